"""`screen`: where the raw data is, and how to read it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from cellsignal.config.base import Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A name that becomes part of a path: it cannot hold a separator or leave its folder."""


def _below_the_root(path: str) -> str:
    if path.startswith(("/", "~")):
        raise ValueError(f"{path} does not lie below screen.root; expected a path relative to it")
    return path


Below = Annotated[str, AfterValidator(_below_the_root)]
"""A path relative to the screen's root."""


class TableColumns(Section):
    """How a user's table maps to the site table. A value is a column name, or a template of column
    names in braces such as `{plate}_{well}_{frame}`; text without braces that names no column is an
    error."""

    images: list[str] = Field(
        min_length=1,
        description="one path column or template per channel, or a single one for multi-channel TIFFs; "
        "paths are relative to `screen.root`",
    )
    label: str = Field(description="class of the site; empty where it is unknown")
    plate: str = Field(description="plate within its experiment")
    experiment: str | None = Field(None, description="batch of plates; default: each plate is one")
    well: str | None = Field(None, description="well; `B02`-like positions get a row and a column")
    site: str | None = Field(None, description="field of view within the well; default: 1, 2, … in the table's order")
    cell_type: str | None = Field(None, description="cell type; default: `cells` for all")
    dataset: str | None = Field(None, description="`train` or `test`; default: all train")
    well_type: str | None = Field(
        None, description="`treatment`, `positive_control`, `negative_control`; default: all treatment"
    )


class TableSettings(Section):
    """A screen that the user describes in a CSV file (`screen.kind: table`)."""

    metadata: Below = Field(description="the CSV, relative to `screen.root`")
    columns: TableColumns
    classes: list[str] | None = Field(
        None, description="class names in order; default: the sorted distinct labels of the table"
    )


class SimulatedSettings(Section):
    """The simulated screen (`screen.kind: simulated`): RxRx1's layout and kinds of noise, with known truth."""

    cell_types: dict[Name, Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="cell type → [train experiments, test experiments]"
    )
    sirnas: int = Field(40, ge=8, description="treatment classes; a multiple of 4 (four plate groups)")
    positive_controls: int = Field(4, ge=0, description="control classes, on every plate")
    seed: int = Field(0, ge=0, description="makes the whole screen")
    cells_per_site: float = Field(9.0, gt=0, description="mean number of cells in a site")
    phenotype_scale: float = Field(0.5, ge=0, description="standard deviation of a phenotype dimension")
    cell_type_specific: float = Field(
        0.4, ge=0, le=1, description="share of phenotype variance that is specific to a cell type"
    )
    batch_effect: float = Field(
        1.0, ge=0, description="experiment and plate effects, as a multiple of those published for RxRx1"
    )
    well_gain_sd: float = Field(0.06, ge=0, description="well-to-well standard deviation of log gain")
    photons: float = Field(1.0, gt=0, description="photons per grey level; fewer means more Poisson noise")


class ScreenSettings(Section):
    """The raw screen."""

    name: Name = Field(description="folder under `results/` for everything that depends on the data alone")
    kind: Literal["rxrx1", "kaggle", "table", "simulated"] = Field(
        description="`rxrx1`: the public release; `kaggle`: either release of the competition's tables; "
        "`table`: any CSV; `simulated`: made by the workflow"
    )
    root: str | None = Field(None, description="folder of the raw data; not for simulated screens")
    channels: list[str] = Field(min_length=1, description="channel names in the order of the images")
    image_size: int = Field(ge=8, description="height and width of every image, pixels")
    plate_rows: int = Field(16, ge=1, le=32, description="rows of a plate")
    plate_columns: int = Field(24, ge=1, le=48, description="columns of a plate")
    metadata: Below | None = Field(
        None,
        description="folder (kaggle) or file (rxrx1) of the tables, relative to `root`; default: `root` or "
        "`metadata.csv`",
    )
    answers: Below | None = Field(
        None,
        description="CSV with `id_code,sirna` of test wells whose truth is known (kaggle), relative to "
        "`root`; read by nothing but `score`",
    )
    table: TableSettings | None = None
    simulated: SimulatedSettings | None = None

    @model_validator(mode="after")
    def files_are_of_the_kind(self) -> "ScreenSettings":
        problems = []
        if repeated := sorted({name for name in self.channels if self.channels.count(name) > 1}):
            problems.append(f"channels: {', '.join(repeated)} named more than once; expected names that differ")
        if self.answers is not None and self.kind != "kaggle":
            problems.append(
                f"answers: {self.answers}, but kind is {self.kind}; expected it for kaggle only "
                "(other kinds have the truth in their tables)"
            )
        if self.metadata is not None and self.kind not in ("rxrx1", "kaggle"):
            where = "; a table's is `screen.table.metadata`" if self.kind == "table" else ""
            problems.append(
                f"metadata: {self.metadata}, but kind is {self.kind}; expected it for rxrx1 and kaggle{where}"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self


class PackSettings(Section):
    """Packing raw images into plate stores."""

    allow_missing_sites: bool = Field(
        False, description="pack a plate without its unreadable sites, which are listed, instead of stopping"
    )


class FoldSettings(Section):
    """Cross-validation folds. Whole groups are held out, never single wells."""

    count: int = Field(5, ge=1, description="number of folds; 1 without `held_out`: train on everything")
    held_out: list[list[str]] | None = Field(
        None,
        description="the groups that each fold holds out, fold by fold, taken as they are: a group may be held out "
        "twice or never, a fold may hold out nothing; default: drawn, each group in one fold",
    )
    group: Literal["experiment", "plate_id"] = Field(
        "experiment", description="column whose values stay together in one fold"
    )
    stratify: Literal["cell_type", "label"] = Field(
        "cell_type", description="drawn folds: spread these evenly over the folds"
    )
    keep_twins: bool = Field(
        True,
        description="drawn folds: keep experiments that share one well layout in one fold (HUVEC-07 and RPE-03)",
    )
    seed: int = Field(0, ge=0, description="drawn folds: breaks ties")

    @model_validator(mode="after")
    def every_fold_has_its_list(self) -> "FoldSettings":
        if self.held_out is None:
            return self
        problems = []
        if len(self.held_out) != self.count:
            problems.append(
                f"held_out: {len(self.held_out)} lists, but count is {self.count}; expected one list per fold, or "
                "held_out: null for folds that are drawn (a recipe inherits what it does not set)"
            )
        for fold, groups in enumerate(self.held_out):
            if twice := sorted({group for group in groups if groups.count(group) > 1}):
                problems.append(f"held_out: fold {fold} names {', '.join(twice)} more than once; expected each once")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def nothing_held_out(self) -> bool:
        """Whether every fold trains on everything, so that there are no out-of-fold wells."""
        return self.count == 1 if self.held_out is None else not any(self.held_out)
