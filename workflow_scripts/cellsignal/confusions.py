"""The structure of confusions: which classes are taken for one another, in groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

TOGETHER = 0.05  # share of two classes' wells that are confused, from which on they are one cluster


@dataclass(frozen=True)
class Clusters:
    """Classes clustered by how often they are confused.

    Attributes:
        tree: SciPy's linkage matrix (classes − 1, 4) of the distances 1 − √share, average linkage; empty for fewer
            than two classes.
        order: int (classes,), the leaves from left to right: classes that are confused stand together.
        cluster: int (classes,), number of each class's cluster, from 1 in the order of the leaves. Two clusters
            are one while 1 − (their mean distance) is above √0.05, about one in twenty wells confused.
    """

    tree: NDArray[np.float64]
    order: NDArray[np.int64]
    cluster: NDArray[np.int64]


def shared(counts: NDArray[np.integer], wells: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
    """Share of the wells of two classes that are taken for the other of them, float (classes, classes), 0–1.

    `counts`: wells of the true class (row) that were called a class (column). `wells`: of each true class, where
    some were called classes that `counts` leaves out. The diagonal is 0.
    """
    off = np.asarray(counts, dtype=np.float64).copy()
    total = off.sum(axis=1) if wells is None else np.asarray(wells, dtype=np.float64)
    np.fill_diagonal(off, 0)
    both = total[:, None] + total[None, :]
    return np.divide(off + off.T, both, out=np.zeros_like(off), where=both > 0)


def cluster_classes(counts: NDArray[np.integer], wells: NDArray[np.integer] | None = None) -> Clusters:
    """Hierarchical clustering of the classes of a confusion matrix; arguments as in `shared`."""
    n = len(counts)
    if n < 2:
        return Clusters(np.empty((0, 4)), np.arange(n), np.ones(n, dtype=np.int64))
    # The root, as in the figure's shades: else all but the worst pairs would be equally far apart.
    distance = 1 - np.sqrt(shared(counts, wells))
    np.fill_diagonal(distance, 0)
    condensed = squareform(distance, checks=False)
    tree = linkage(condensed, "average")
    tree = optimal_leaf_ordering(tree, condensed) if n <= 256 else tree  # cubic in the number of classes
    order = leaves_list(tree).astype(np.int64)
    found = fcluster(tree, 1 - np.sqrt(TOGETHER), "distance")
    number = {cluster: i for i, cluster in enumerate(dict.fromkeys(found[order]), start=1)}
    return Clusters(tree, order, np.array([number[cluster] for cluster in found], dtype=np.int64))


def confusion_table(counts: NDArray[np.integer], names: Sequence[str], cluster: NDArray[np.int64]) -> pd.DataFrame:
    """Every pair that occurs, worst first: `true`, `called`, `wells`, `share` (of the true class), `right`, and the
    clusters of both."""
    counts = np.asarray(counts)
    true, called = np.nonzero(counts)
    totals = counts.sum(axis=1)
    table = pd.DataFrame(
        {
            "true": np.asarray(names, dtype=object)[true],
            "called": np.asarray(names, dtype=object)[called],
            "wells": counts[true, called],
            "share": counts[true, called] / totals[true],
            "right": true == called,
            "cluster_of_true": cluster[true],
            "cluster_of_called": cluster[called],
        }
    )
    return table.sort_values(["right", "wells"], ascending=[True, False], kind="stable", ignore_index=True)
