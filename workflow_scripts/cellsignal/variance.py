"""Variance components of nested groups: how much of a value's variance lies at which level."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def variance_components(values: ArrayLike, groups: Mapping[str, ArrayLike], rest: str = "rest") -> pd.DataFrame:
    """Components of the nested random-effects analysis of variance (Searle, Casella & McCulloch 1992, section 5.3).

    value = mean + effect of the first group + effect of the second one within it + … + rest. Mean squares are set
    equal to their expectations, which takes groups of unequal size as they are.

    Args:
        values: float (n,).
        groups: level → the group of each value, the coarsest level first; each level is nested in those before it.
        rest: the name of what is left, between the values of a group of the last level.

    Returns:
        A row per level, `rest` last: `level`, `groups` (number), `degrees` (of freedom), `variance` (0 where the
        estimate is negative; NaN where the level cannot be told from the one before it, as plates cannot if each
        experiment has one: its variance is part of that one's then) and `share` of the sum of variances.
    """
    y = np.asarray(values, dtype=float)
    codes = _nested_codes(groups, len(y))
    sizes = [np.bincount(code) for code in codes]
    degrees = [0, *(len(fine) - len(coarse) for coarse, fine in pairwise(sizes))]
    kept = [0, *(level for level in range(1, len(codes)) if degrees[level])]
    fitted = [(np.bincount(code, weights=y) / size)[code] for code, size in zip(codes, sizes, strict=True)]
    variance: dict[int, float] = {}
    for before, level in reversed(list(pairwise(kept))):
        square = float(((fitted[level] - fitted[before]) ** 2).sum()) / degrees[level]

        def weight(finer: int, before: int = before, level: int = level) -> float:
            """What a unit of variance at a level that is as fine or finer adds to the expected mean square."""
            inside, around = (_squares_by_size(codes, sizes, finer, of) for of in (level, before))
            return (inside - around) / degrees[level]

        explained = sum(weight(finer) * max(variance[finer], 0.0) for finer in variance)
        variance[level] = (square - explained) / weight(level)
    table = pd.DataFrame(
        {
            "level": [*groups, rest],
            "groups": [len(size) for size in sizes[1:]],
            "degrees": degrees[1:],
            "variance": [max(variance[level], 0.0) if level in variance else np.nan for level in range(1, len(codes))],
        }
    )
    total = table["variance"].sum()
    return table.assign(share=table["variance"] / total if total else np.nan)


def _nested_codes(groups: Mapping[str, ArrayLike], n: int) -> list[NDArray[Any]]:
    """Group numbers (n,) per level: one group of all values, those of `groups`, and each value by itself."""
    table = pd.DataFrame({str(i): np.asarray(names) for i, names in enumerate(groups.values())})
    inner = [table.groupby(list(table.columns[: i + 1])).ngroup().to_numpy(np.int64) for i in range(table.shape[1])]
    return [np.zeros(n, np.int64), *inner, np.arange(n, dtype=np.int64)]


def _squares_by_size(codes: Sequence[NDArray[Any]], sizes: Sequence[NDArray[Any]], fine: int, coarse: int) -> float:
    """Sum over the groups of level `fine` of size² / size of the group of level `coarse` that they lie in."""
    return float((sizes[fine][codes[fine]] / sizes[coarse][codes[coarse]]).sum())
