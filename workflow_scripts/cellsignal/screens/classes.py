"""Class indices and names: RxRx1's numbers as they are, names ranked."""

import numpy as np
import pandas as pd

from cellsignal.screens.rows import Rows, faults
from cellsignal.sites import WELL_TYPES


def usual_type(labels: pd.Series, well_type: pd.Series) -> pd.Series:
    """The well type that most rows of a label have, indexed by label; empty labels are left out."""
    named = labels[labels != ""]
    counts = well_type[named.index].groupby(named).value_counts().reset_index(name="n")
    counts["rank"] = counts["well_type"].map({t: i for i, t in enumerate(WELL_TYPES)}).fillna(len(WELL_TYPES))
    counts = counts.sort_values(["n", "rank"], ascending=[False, True], kind="stable")
    return counts.drop_duplicates(named.name).set_index(named.name)["well_type"]


def mixed_types(rows: Rows, key: str) -> list[str]:
    """Rows whose label in column `key` has another well type in most rows."""
    labels = rows.table[key]
    usual = labels.map(usual_type(labels, rows.table["well_type"]))
    bad = (labels != "") & (usual != rows.table["well_type"])
    shown = labels + " in a " + rows.table["well_type"] + " well"
    return faults(rows, bad, key, "a label to have one well_type, as in its other rows", shown)


def numbered_classes(rows: Rows, key: str, names: str | None = None) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Classes whose numbers (column `key`; empty: unknown) are the class indices.

    RxRx1 numbers treatments first (0–1107), then positive controls (1108–1137), then the one
    negative control (1138). The last class is the negative control; without one, the numbers must have
    no gaps. `names`: the column with the classes' names; default: the number is the name.

    Returns the class table, the class index of each row (int64, −1 where unknown) and the problems.
    """
    labels, well_type = rows.table[key], rows.table["well_type"]
    problems = faults(rows, (labels != "") & ~labels.str.fullmatch("[0-9]{1,9}"), key, "a class number")
    usable = labels.str.fullmatch("[0-9]{1,9}")
    index = labels.where(usable, "-1").to_numpy(dtype=np.int64)
    problems += mixed_types(Rows(rows.table.assign(**{key: labels.where(usable, "")}), rows.file, rows.line), key)

    usual = usual_type(labels.where(usable, ""), well_type)
    number = pd.Series(index, index=labels.index)
    of = {t: number[usable & (labels.map(usual) == t)] for t in WELL_TYPES}
    negatives = of["negative_control"]
    last = int(negatives.mode().iloc[0]) if len(negatives) else number[usable].nunique() - 1
    positives = of["positive_control"]
    end = last if len(negatives) else last + 1  # of the positive controls
    first = min(int(positives.min()), end) if len(positives) else end
    ranges = {"treatment": (0, first), "positive_control": (first, end), "negative_control": (end, last + 1)}
    types = np.full(last + 1, WELL_TYPES[0], dtype=object)
    for kind, (low, high) in ranges.items():
        types[low:high] = kind
        bad = usable & (labels.map(usual) == kind) & ((number < low) | (number >= high))
        problems += faults(rows, bad, key, f"a {kind} class, numbered from {low} to {high - 1}")
    classes = pd.DataFrame({"sirna": np.arange(last + 1), "well_type": pd.Series(types, dtype=str)})
    classes["name"] = classes["sirna"].astype(str)
    if names is not None:
        called = rows.table[usable & (rows.table[names] != "")].drop_duplicates(key)
        name_of = dict(zip(called[key].astype(int), called[names], strict=True))
        classes["name"] = pd.Series([name_of.get(i, str(i)) for i in range(last + 1)], dtype=str)
        problems += _misnamed(rows, key, names)
    return classes[["sirna", "name", "well_type"]], index, problems


def _misnamed(rows: Rows, key: str, names: str) -> list[str]:
    """Rows whose name and number do not belong together, as most rows have them."""
    problems = []
    known = (rows.table[key] != "") & (rows.table[names] != "")
    pairs = rows.table.loc[known, [key, names]].value_counts().reset_index(name="n")
    for one, other in ((key, names), (names, key)):
        usual = pairs.drop_duplicates(one).set_index(one)[other]
        bad = known & (rows.table[one].map(usual) != rows.table[other])
        shown = rows.table[other] + " with " + one + " " + rows.table[one]
        problems += faults(rows, bad, other, f"the {other} of that {one} in most other rows", shown)
    return problems


def named_classes(rows: Rows, key: str) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Classes known by name (column `key`; empty: unknown), ranked: treatments, positive, negative controls.

    Within a well type, names are sorted by their text and then by the number they end in.
    Returns the class table, the class index of each row (int64, −1 where unknown) and the problems.
    """
    usual = usual_type(rows.table[key], rows.table["well_type"])
    parts = usual.index.to_series().str.extract(r"^(.*?)([0-9]*)$")
    order = pd.DataFrame({
        "rank": usual.map({t: i for i, t in enumerate(WELL_TYPES)}).fillna(len(WELL_TYPES)),
        "text": parts[0],
        "number": pd.to_numeric(parts[1]).fillna(-1),
        "name": usual.index,
    }).sort_values(["rank", "text", "number", "name"])  # fmt: skip
    names = order["name"].tolist()
    classes = pd.DataFrame({
        "sirna": np.arange(len(names)),
        "name": pd.Series(names, dtype=str),
        "well_type": pd.Series(usual[names].tolist(), dtype=str),
    })  # fmt: skip
    rank = {name: i for i, name in enumerate(names)}
    index = rows.table[key].map(rank).fillna(-1).to_numpy(np.int64)
    return classes, index, mixed_types(rows, key)
