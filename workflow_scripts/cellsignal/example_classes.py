"""Sites that show what a class looks like elsewhere, and what other classes look like beside it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class ExampleRow:
    """Sites that differ in one thing.

    Attributes:
        title: what they differ in, in two lines, and what they share in a third.
        sites: rows of the site table with a column `label`, what tells each from the others; empty where the screen
            has none. lacking: why it has none.
    """

    title: str
    sites: pd.DataFrame
    lacking: str = ""


@dataclass(frozen=True)
class _Kind:
    title: str
    shared: tuple[str, ...]  # columns in which the sites of a row agree
    differs: str  # the column in which all differ
    named: tuple[str, ...]  # what is said of the row
    label: tuple[str, ...]  # what is said of each site
    lacking: str


KINDS = (
    _Kind(
        "one class\nover experiments",
        shared=("cell_type", "sirna"), differs="experiment", named=("class_name", "cell_type"), label=("experiment",),
        lacking="No class of a cell type is in two experiments.",
    ),
    _Kind(
        "one class\nover plates of an experiment",
        shared=("experiment", "cell_type", "sirna"), differs="plate_id",
        named=("class_name", "experiment"), label=("plate_id",),
        lacking="No class is on two plates of an experiment.",
    ),
    _Kind(
        "one class\nover cell types",
        shared=("sirna",), differs="cell_type", named=("class_name",), label=("cell_type", "experiment"),
        lacking="No class is in two cell types.",
    ),
    _Kind(
        "several classes\non a plate",
        shared=("plate_id", "cell_type"), differs="sirna", named=("plate_id",), label=("class_name",),
        lacking="No plate has two classes.",
    ),
)  # fmt: skip
"""The four parts of DeepNoise's figure 1 (it calls an experiment a batch and a class an siRNA)."""


def choose_examples(sites: pd.DataFrame, names: pd.Series, seed: int, across: int = 4) -> list[ExampleRow]:
    """A row of at most `across` sites for each of `KINDS`, drawn by `seed`.

    Drawn is among what fills the row best: treatments if they can fill two places, all classes else (where an
    experiment has each treatment once, only controls are on several of its plates).

    Args:
        sites: rows of the site table whose class is known and whose pixels are packed.
        names: class index → name.
    """
    random = np.random.default_rng(seed)
    sites = sites.assign(class_name=sites["sirna"].map(names)).sort_values("site_id", ignore_index=True)
    treatments = sites[sites["well_type"] == "treatment"]
    rows = []
    for kind in KINDS:
        found = _draw(treatments, kind, across, random)
        found = _draw(sites, kind, across, random) if found.empty else found
        if found.empty:
            rows.append(ExampleRow(kind.title, found, kind.lacking))
            continue
        first = found.iloc[0]
        shared = ", ".join(first[list(kind.named)])
        label = found[list(kind.label)].astype(str).agg(", ".join, axis=1)
        rows.append(ExampleRow(f"{kind.title}\n{shared}", found.assign(label=label)))
    return rows


def _draw(sites: pd.DataFrame, kind: _Kind, across: int, random: np.random.Generator) -> pd.DataFrame:
    """One site for each of at most `across` values; no rows where no group has two of them."""
    values = sites.groupby(list(kind.shared))[kind.differs].nunique().clip(upper=across)
    if values.empty or values.max() < 2:
        return sites.iloc[:0]
    fullest = values[values == values.max()].index
    drawn = fullest[int(random.integers(len(fullest)))]
    chosen = drawn if isinstance(drawn, tuple) else (drawn,)
    inside = np.logical_and.reduce([sites[column] == value for column, value in zip(kind.shared, chosen, strict=True)])
    group = sites[inside]
    group = group.iloc[random.permutation(len(group))].drop_duplicates(kind.differs).iloc[:across]
    return group.sort_values(kind.differs, ignore_index=True)
