"""A few classes among the others: which, and which sites of them and of the others are looked at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.embedding import stratified_sample
from cellsignal.sites import class_numbers


def choose_classes(
    sites: pd.DataFrame, classes: pd.DataFrame, named: Sequence[str] | None, count: int = 3
) -> list[int]:
    """Class indices of `named`, or of the `count` treatments with the most train sites (ties: in the order of classes).

    Raises:
        BadInput: a named class is not in the screen.
    """
    if named is not None:
        return list(dict.fromkeys(class_numbers(classes, named, "report.tsne_classes")))
    treatments = classes.loc[classes["well_type"] == "treatment", "sirna"].sort_values()
    counts = sites.loc[sites["dataset"] == "train", "sirna"].value_counts().reindex(treatments, fill_value=0)
    return counts.sort_values(ascending=False, kind="stable").index[:count].astype(int).tolist()


def sample_around(
    sirna: Sequence[int] | NDArray[np.int64], chosen: Sequence[int], strata: Sequence[Any], most: int, seed: int
) -> NDArray[np.int64]:
    """Ascending rows: all of the `chosen` classes, and of the others as many as there is room for, at most `most`.

    `sirna` and `strata` (such as the experiment): a value per row. Others are drawn by stratum; so are the chosen,
    by class, if they alone are more than `most`.
    """
    number, stratum = np.asarray(sirna), np.asarray(strata)
    inside = np.isin(number, chosen)
    own, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    own = own[stratified_sample(number[own], most, seed)] if len(own) else own
    room = most - len(own)
    others = others[stratified_sample(stratum[others], room, seed)] if len(others) and room else others[:0]
    rows: NDArray[np.int64] = np.sort(np.concatenate([own, others])).astype(np.int64)
    return rows


def comparable(labels: Sequence[Any], wells: Sequence[Any], most: int) -> int:
    """How many nearest neighbours to look at, at most `most`: no more than a row has of its own label in other wells.

    Of rows without any (their class is in one well) nothing is asked; 0 where that holds for all.
    """
    table = pd.DataFrame({"label": np.asarray(labels), "well": np.asarray(wells)})
    same = table.groupby("label")["well"].transform("size") - table.groupby(["label", "well"])["well"].transform("size")
    return min(most, int(same[same > 0].min())) if (same > 0).any() else 0
