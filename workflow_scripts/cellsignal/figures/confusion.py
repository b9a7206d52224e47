"""The confusion matrix with its clusters, and the most confused pairs where classes are many."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import dendrogram

from cellsignal.confusions import Clusters, cluster_classes, shared
from cellsignal.errors import BadInput
from cellsignal.figures import style

LARGEST_MATRIX = 48  # classes; names stay readable
LARGEST_PRINTED = 12  # classes; the shares fit into their cells


@style.look()
def confusion(counts: np.ndarray, names: Sequence[str], pairs: int = 25, title: str = "Confusion") -> Figure:
    """Row-normalized matrix, classes in the order of their clusters, with the tree.

    Of more than 48 classes, the `pairs` most confused pairs as bars, and the matrix of the classes in the most
    confused pairs. `counts`: int (classes, classes), wells of true class (row) that were called a class (column).
    `names`: one per class. Classes that are neither true nor called anywhere are left out. Raises `BadInput` if
    the sizes differ.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape != (len(names), len(names)):
        raise BadInput(f"confusion: counts of shape {counts.shape}, expected {(len(names), len(names))} for the names")
    used = np.flatnonzero(counts.sum(0) + counts.sum(1)).tolist()
    counts, names = counts[np.ix_(used, used)], [names[i] for i in used]
    if not len(used):
        return style.note("No fold held out wells: there is nothing to confuse.")
    wells = f"{style.counted(int(counts.sum()), 'well')}, {np.trace(counts) / counts.sum():.1%} right".replace(
        "%", " %"
    )
    if len(used) > LARGEST_MATRIX:
        return _pairs(counts, names, pairs, f"{title}: the most confused of {len(used):,} classes\n{wells}")
    side = min(10.5, max(4.2, 2.2 + 0.19 * len(used)))
    figure, axes = style.panels(2, 1, side + 1.2, side + 1.0, height_ratios=(1.0, side))
    _matrix(figure, axes[0, 0], axes[1, 0], counts, counts.sum(1), names, f"{title}: {wells}")
    return figure


def most_confused(counts: np.ndarray, most: int = LARGEST_MATRIX) -> list[int]:
    """The classes of the worst pairs, at most `most`, ascending."""
    share = np.triu(shared(counts))
    first, second = np.nonzero(share)
    chosen: dict[int, None] = {}
    for pair in np.lexsort((second, first, -share[first, second])):
        both = dict.fromkeys([int(first[pair]), int(second[pair])])
        if len(chosen | both) > most:
            break
        chosen |= both
    return sorted(chosen)


def _matrix(
    figure: Figure, above: Axes, ax: Axes, counts: np.ndarray, totals: np.ndarray, names: Sequence[str], title: str
) -> None:
    """The tree in `above` and the matrix in `ax`; `totals` are the wells of each true class."""
    size = len(names)
    found = cluster_classes(counts, totals)
    shares = (counts / np.maximum(totals, 1)[:, None])[np.ix_(found.order, found.order)]
    names, totals = [names[i] for i in found.order], totals[found.order]
    _tree(above, found)
    # The root shows the few per cent off the diagonal, which are what one looks for here.
    image = ax.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
    small = 8.0 if size <= 24 else 7.0
    ax.set_xticks(range(size), names, rotation=90, fontsize=small)
    ax.set_yticks(range(size), [f"{n} ({t:,})" for n, t in zip(names, totals, strict=True)], fontsize=small)
    for axis in (ax.xaxis, ax.yaxis):  # thin lines, so that the eye finds a cell's row and column
        axis.set_ticks(np.arange(1, size) - 0.5, minor=True)
    ax.grid(True, which="minor", linewidth=0.4)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if size <= LARGEST_PRINTED:
        for t, p in zip(*np.nonzero(shares), strict=True):
            ink = "white" if shares[t, p] > 0.25 else style.INK
            ax.text(p, t, f"{100 * shares[t, p]:.0f}", ha="center", va="center", color=ink, fontsize=8)
    _frames(ax, found)
    ax.set_xlabel("called")
    ax.set_ylabel("true class (wells)")
    above.set_title(title)
    bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, ticks=[0, 0.02, 0.1, 0.25, 0.5, 1])
    style.percent(bar.ax.yaxis, grid=False)
    bar.set_label("share of the true class's wells (root scale)")


def _tree(ax: Axes, found: Clusters) -> None:
    """The dendrogram; its axis tells the share of wells confused, most at the bottom."""
    ax.set_xlim(0, 10 * len(found.order))  # SciPy puts leaf i at 10 i + 5
    if len(found.tree):
        dendrogram(found.tree, ax=ax, no_labels=True, color_threshold=0, above_threshold_color=style.MUTED)
    ticks = [0, 0.02, 0.1, 0.25, 0.5]
    ax.set_yticks([1 - share**0.5 for share in ticks], [f"{100 * share:.0f} %" for share in ticks], fontsize=7)
    ax.set_ylim(0.25, 1.02)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.set_ylabel("confused", fontsize=8)


def _frames(ax: Axes, found: Clusters) -> None:
    """A frame around each cluster of two classes or more."""
    start = 0
    ordered = found.cluster[found.order].tolist()
    for number in dict.fromkeys(ordered):
        size = ordered.count(number)
        if size > 1:
            ax.add_patch(
                Rectangle((start - 0.5, start - 0.5), size, size, fill=False, edgecolor=style.VERMILLION, linewidth=1.2)
            )
        start += size


def _pairs(counts: np.ndarray, names: Sequence[str], pairs: int, title: str) -> Figure:
    off = counts - np.diag(np.diag(counts))
    both = np.triu(off + off.T)
    totals = counts.sum(1)
    first, second = np.nonzero(both)
    if not len(first):
        return style.note(f"{title}\nNo well is called a wrong class.")
    # Equal numbers: the pair with fewer wells first, then by index.
    order = np.lexsort((second, first, totals[first] + totals[second], -both[first, second]))[:pairs]
    chosen = most_confused(counts)
    bars, side = 0.9 + 0.26 * len(order), min(10.5, max(4.2, 2.2 + 0.19 * len(chosen)))
    figure, axes = style.panels(3, 1, 10.5, bars + side + 2.0, height_ratios=(bars, 1.0, side))
    ax = axes[0, 0]
    of_chosen = f"The {len(chosen)} classes of the worst pairs, clustered"
    matrix = counts[np.ix_(chosen, chosen)]
    _matrix(figure, axes[1, 0], axes[2, 0], matrix, totals[chosen], [names[i] for i in chosen], of_chosen)
    forward, backward = off[first[order], second[order]], off[second[order], first[order]]
    y = np.arange(len(order))
    ax.barh(y, forward, color=style.BLUE, label="the first, called the second")
    ax.barh(y, backward, left=forward, color=style.ORANGE, hatch="////", edgecolor="white", label="the reverse")
    for at, a, b in zip(y, first[order], second[order], strict=True):
        ax.text(both[a, b], at, f" {both[a, b]:,} of {totals[a] + totals[b]:,}", va="center", fontsize=8)
    ax.set_yticks(y, [f"{names[a]}, {names[b]}" for a, b in zip(first[order], second[order], strict=True)])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(0, both.max() * 1.18)
    style.whole(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("wells confused (of all wells of the two classes)")
    ax.set_title(title)
    ax.legend(loc="lower right", ncols=1)
    return figure
