"""Kaggle's "CellSignal" tables, both releases, and `{train,test}/EXPERIMENT/PlateN/WELL_sS_wC.png`.

The first release names classes by number (0–1138), the later one by text (`sirna_250`, `UNTREATED`).
Numbers stay the class indices; texts are ranked, so that treatments, positive controls and the negative
control follow one another in both. Source: https://www.kaggle.com/c/recursion-cellular-image-classification
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cellsignal.config.screen import ScreenSettings
from cellsignal.errors import raise_all
from cellsignal.screens import rows as checks
from cellsignal.screens.classes import named_classes, numbered_classes
from cellsignal.screens.rows import Rows, joined, read_rows
from cellsignal.screens.rxrx1 import screen_from_columns
from cellsignal.sites import WELL_TYPES, Screen, answer_table

SITES = ["1", "2"]  # per well
WELL = ["id_code", "experiment", "plate", "well"]
TABLES = {
    "train.csv": [*WELL, "sirna"],
    "test.csv": WELL,
    "train_controls.csv": [*WELL, "sirna", "well_type"],
    "test_controls.csv": [*WELL, "sirna", "well_type"],
}
NAMES = "(sirna_([0-9]|[1-9][0-9]{1,2}|10[0-9]{2}|11[0-2][0-9]|113[0-7])|UNTREATED)"  # the later release's


def metadata_files(settings: ScreenSettings, root: Path) -> list[Path]:
    """The four tables and, where there is one, the table of answers."""
    folder = root / (settings.metadata or ".")
    return [folder / name for name in TABLES] + ([root / settings.answers] if settings.answers else [])


def read(settings: ScreenSettings, root: Path) -> Screen:
    """The screen of the four tables below `root`. Raises `BadInput` with all their problems."""
    problems: list[str] = []
    paths = metadata_files(settings, root)
    parts = [read_rows(path, TABLES[path.name], problems) for path in paths[: len(TABLES)]]
    known = read_rows(paths[-1], ["id_code", "sirna"], problems) if settings.answers else None
    raise_all(problems, "metadata")
    tables = []
    for part, name in zip(parts, TABLES, strict=True):
        assert part is not None
        columns = part.table[TABLES[name]].assign(dataset=name.split("_")[0].removesuffix(".csv"))
        if "controls" not in name:
            columns["well_type"] = "treatment"
        tables.append(Rows(columns, part.file, part.line))
    wells = joined(tables)
    wells = Rows(
        wells.table.assign(cell_type=wells.table["experiment"].str.rsplit("-", n=1).str[0]),
        wells.file,
        wells.line,
    )

    classes, index, problems = _classes(wells)
    problems += _well_problems(wells, settings)
    raise_all(problems, "metadata")

    sites = wells.table.loc[wells.table.index.repeat(len(SITES))].reset_index(drop=True)
    sites["site"] = np.tile(SITES, len(wells.table))
    hidden = np.zeros(len(sites), dtype=bool)  # the tables do not hold the test labels
    folders = sites["dataset"] + "/" + sites["experiment"]
    screen = screen_from_columns(sites, np.repeat(index, len(SITES)), classes, hidden, settings, folders)
    return Screen(screen.sites, screen.answers if known is None else _answers(known, screen), classes)


def _classes(wells: Rows) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Class table, class index of each well and problems; the tables must be of one release."""
    labels = wells.table["sirna"]
    test = (wells.table["dataset"] == "test") & (wells.table["well_type"] == "treatment")
    problems = checks.faults(wells, (labels == "") & ~test, "sirna", "a class")
    numbers = labels.str.fullmatch("-?[0-9]+")
    if numbers[labels != ""].mean() > 0.5:
        classes, index, found = numbered_classes(wells, "sirna")
    else:
        strange = (labels != "") & ~labels.str.fullmatch(NAMES)
        problems += checks.faults(wells, strange, "sirna", "sirna_0 to sirna_1137 or UNTREATED")
        classes, index, found = named_classes(wells, "sirna")
    return classes, index, problems + found


def _well_problems(wells: Rows, settings: ScreenSettings) -> list[str]:
    problems = checks.bad_identifiers(wells, ["experiment", "plate", "cell_type"])
    problems += checks.bad_wells(wells, "well", settings.plate_rows, settings.plate_columns)
    problems += checks.bad_choices(wells, "well_type", WELL_TYPES)
    problems += checks.bad_composites(wells, "id_code", ["experiment", "plate", "well"])
    return problems + checks.repeats(wells, "id_code")


def _answers(known: Rows, screen: Screen) -> pd.DataFrame:
    """The answers in `known` (id_code, sirna: class names). Raises `BadInput` with all their problems."""
    sites = screen.sites
    test = set(sites.loc[(sites["dataset"] == "test") & (sites["well_type"] == "treatment"), "well_id"])
    treatments = screen.classes[screen.classes["well_type"] == "treatment"]
    names = dict(zip(treatments["name"], treatments["sirna"], strict=True))
    wells, labels = known.table["id_code"], known.table["sirna"]
    problems = checks.faults(known, ~wells.isin(test), "id_code", "a well of test.csv")
    expected = f"a treatment class as train.csv names them, such as {treatments['name'].iloc[0]}"
    problems += checks.faults(known, ~labels.isin(names), "sirna", expected)
    problems += checks.repeats(known, "id_code")
    raise_all(problems, "answers")
    return answer_table(wells, labels.map(names).to_numpy(np.int64))
