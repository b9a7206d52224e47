"""The submission: `id_code,sirna`, one row for each test treatment well.

Classes are written as the screen's own tables write them: by number in RxRx1's public release and Kaggle's
first one, by name (`sirna_250`) in Kaggle's later release and in a user's table.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import write_text
from cellsignal.predictions import some

HEADER = ["id_code", "sirna"]


def write_submission(
    path: str | Path,
    assigned: pd.DataFrame,
    test_wells: pd.DataFrame,
    classes: pd.DataFrame,
    *,
    by_name: bool,
    sample: str | Path | None = None,
) -> None:
    """Write a submission, atomically.

    Args:
        path: the CSV.
        assigned: `well_id`, `sirna` (class index) of every test treatment well, in any order.
        test_wells: `well_id` of the test treatment wells.
        classes: class table `sirna`, `name`, `well_type`.
        by_name: write class names; otherwise class numbers.
        sample: a sample submission, whose row order is taken over; default: sorted by well.

    Raises:
        BadInput: wells are missing, twice or not in the test set; a class is no treatment; the sample's wells
            are others than the test set's.
    """
    problems = _well_problems(assigned["well_id"], test_wells["well_id"])
    problems += _class_problems(assigned, classes)
    order = sorted(test_wells["well_id"])
    if sample is not None:
        order = _read(sample)["id_code"].tolist()
        problems += _well_problems(pd.Series(order, dtype=str), test_wells["well_id"], f"{sample}: ")
    raise_all(problems, str(path))
    chosen = assigned.set_index("well_id")["sirna"].loc[order]
    names = classes.set_index("sirna")["name"]
    written = names.loc[chosen].tolist() if by_name else chosen.astype(int).tolist()
    lines = [f"{well},{label}" for well, label in zip(order, written, strict=True)]
    write_text(path, "\n".join([",".join(HEADER), *lines]) + "\n")


def read_submission(
    path: str | Path, test_wells: pd.DataFrame, classes: pd.DataFrame, *, by_name: bool
) -> pd.DataFrame:
    """A submission as `well_id`, `sirna` (class index), in the file's order, checked like one to be written.

    Raises:
        BadInput: as `write_submission`, or a class that the screen does not have.
    """
    table = _read(path)
    names = classes["name"].astype(str) if by_name else classes["sirna"].astype(str)
    index = table["sirna"].map(dict(zip(names, classes["sirna"], strict=True)))
    unknown = table["sirna"][index.isna()]
    problems = []
    if len(unknown):
        example = names[classes["well_type"] == "treatment"].iloc[0]
        problems.append(f"sirna: {some(unknown.unique())} in {len(unknown)} rows; expected a class such as {example}")
    found = pd.DataFrame({"well_id": table["id_code"], "sirna": index.fillna(-1).astype("int64")})
    known = found[found["sirna"] >= 0]
    problems += _well_problems(found["well_id"], test_wells["well_id"])
    problems += _class_problems(known, classes)
    raise_all(problems, str(path))
    return found


def _read(path: str | Path) -> pd.DataFrame:
    """The rows of a submission file, all text. Raises BadInput if it is not one."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as CSV ({error})") from error
    if missing := [name for name in HEADER if name not in table]:
        raise BadInput(f"{path}: no column {', '.join(missing)}; found {', '.join(table.columns)}")
    return table[HEADER]


def _well_problems(found: "pd.Series[Any]", expected: "pd.Series[Any]", where: str = "") -> list[str]:
    """Wells that are missing, twice, or not of the test set."""
    cases = (
        (expected[~expected.isin(found)], "test treatment wells without a row"),
        (found[~found.isin(expected)], "rows of wells that are no test treatment wells"),
        (found[found.duplicated()], "rows of wells that have one already"),
    )
    return [f"{where}{len(wells)} {what}: {some(wells)}" for wells, what in cases if len(wells)]


def _class_problems(assigned: pd.DataFrame, classes: pd.DataFrame) -> list[str]:
    """Wells whose class is no treatment."""
    treatments = classes.loc[classes["well_type"] == "treatment", "sirna"]
    wrong = assigned[~assigned["sirna"].isin(treatments)]
    if wrong.empty:
        return []
    return [
        f"{len(wrong)} wells whose class is no treatment, first {wrong['well_id'].iloc[0]} with class "
        f"{wrong['sirna'].iloc[0]}"
    ]
