"""The confusion matrix, or the most confused pairs where classes are many."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from cellsignal.errors import BadInput
from cellsignal.figures import style

LARGEST_MATRIX = 48  # classes; names stay readable
LARGEST_PRINTED = 12  # classes; the shares fit into their cells


@style.look()
def confusion(counts: np.ndarray, names: Sequence[str], pairs: int = 25, title: str = "Confusion") -> Figure:
    """Row-normalized matrix of up to 48 classes; for more, the `pairs` most confused pairs as bars.

    `counts`: int (classes, classes), wells of true class (row) that were called a class (column).
    `names`: one per class. Classes that are neither true nor called anywhere are left out. Raises
    `BadInput` if the sizes differ.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape != (len(names), len(names)):
        raise BadInput(f"confusion: counts of shape {counts.shape}, expected {(len(names), len(names))} for the names")
    used = np.flatnonzero(counts.sum(0) + counts.sum(1)).tolist()
    counts, names = counts[np.ix_(used, used)], [names[i] for i in used]
    if not len(used):
        return style.note("No well has a known answer: there is nothing to confuse.")
    wells = f"{int(counts.sum()):,} wells, {np.trace(counts) / counts.sum():.1%} right".replace("%", " %")
    if len(used) > LARGEST_MATRIX:
        return _pairs(counts, names, pairs, f"{title}: the most confused of {len(used):,} classes\n{wells}")
    return _matrix(counts, names, f"{title}: {wells}")


def _matrix(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    size = len(names)
    totals = counts.sum(1)
    shares = counts / np.maximum(totals, 1)[:, None]
    side = min(10.5, max(4.2, 2.2 + 0.19 * size))
    figure, axes = style.panels(1, 1, side + 1.2, side)
    ax = axes[0, 0]
    # The root shows the few per cent off the diagonal, which are what one looks for here.
    image = ax.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
    small = 8.0 if size <= 24 else 7.0
    ax.set_xticks(range(size), names, rotation=90, fontsize=small)
    ax.set_yticks(range(size), [f"{n} ({t:,})" for n, t in zip(names, totals, strict=True)], fontsize=small)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if size <= LARGEST_PRINTED:
        for t, p in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[t, p] > 0.25 else style.INK
            ax.text(p, t, f"{100 * shares[t, p]:.0f}", ha="center", va="center", color=ink, fontsize=8)
    ax.set_xlabel("called")
    ax.set_ylabel("true class (wells)")
    ax.set_title(title)
    bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, ticks=[0, 0.02, 0.1, 0.25, 0.5, 1])
    style.percent(bar.ax.yaxis, grid=False)
    bar.set_label("share of the true class's wells (root scale)")
    return figure


def _pairs(counts: np.ndarray, names: Sequence[str], pairs: int, title: str) -> Figure:
    off = counts - np.diag(np.diag(counts))
    both = np.triu(off + off.T)
    totals = counts.sum(1)
    first, second = np.nonzero(both)
    if not len(first):
        return style.note(f"{title}\nNo well is called a wrong class.")
    # Equal numbers: the pair with fewer wells first, then by index.
    order = np.lexsort((second, first, totals[first] + totals[second], -both[first, second]))[:pairs]
    figure, axes = style.panels(1, 1, 8.5, 1.8 + 0.26 * len(order))
    ax = axes[0, 0]
    forward, backward = off[first[order], second[order]], off[second[order], first[order]]
    y = np.arange(len(order))
    ax.barh(y, forward, color=style.BLUE, label="the first, called the second")
    ax.barh(y, backward, left=forward, color=style.ORANGE, hatch="////", edgecolor="white", label="the reverse")
    for at, a, b in zip(y, first[order], second[order], strict=True):
        ax.text(both[a, b], at, f" {both[a, b]:,} of {totals[a] + totals[b]:,}", va="center", fontsize=8)
    ax.set_yticks(y, [f"{names[a]}, {names[b]}" for a, b in zip(first[order], second[order], strict=True)])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(0, both.max() * 1.18)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("wells confused (of all wells of the two classes)")
    ax.set_title(title)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
