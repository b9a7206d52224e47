"""A map of the embedding (t-SNE), coloured by what should and what should not shape it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellsignal.figures import style

LEGEND_GROUPS = 24  # more have no legend
LABELLED_GROUPS = 60  # more are not named on the map


@style.look()
def embedding_map(
    points: np.ndarray,
    groups: Mapping[str, Sequence[str]],
    purity: Mapping[str, tuple[float, float]],
    trustworthiness: float,
    neighbours: int = 10,
) -> Figure:
    """One panel per entry of `groups`, the same points in each.

    `points`: float (n, 2). `groups`: {title: the group of each point}, for instance cell type, experiment, class
    (empty: not known, drawn in grey); the key `cell type` gets the cell types' own colours.
    `purity`: {title: (share of the nearest `neighbours` *in the embedding* that are of the same group, what
    chance would give)}, of `explain.neighbour_purity`. `trustworthiness`: 0–1, of the map (scikit-learn).
    """
    figure, axes = style.panels(1, len(groups), 4.6 * len(groups), 6.2)
    for ax, (title, names) in zip(axes[0], groups.items(), strict=True):
        named = np.asarray(names, dtype=str)
        share, chance = purity[title]
        _cloud(ax, points, named, title == "cell type", share)
        count = len(set(named) - {""})
        ax.set_title(f"{title}: {count:,} group{'s' if count > 1 else ''}\n{_purity(share, chance)}")
        middle = (points.min(0) + points.max(0)) / 2
        half = 0.53 * _extent(points)
        ax.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half], aspect="equal")
        style.bare(ax)
    figure.supxlabel(
        f"t-SNE of {len(points):,} sites (axes without unit), trustworthiness {trustworthiness:.2f}. "
        f"Percentages: the {neighbours} nearest neighbours in the embedding.",
        fontsize=8,
    )
    return figure


def _purity(share: float, chance: float) -> str:
    return f"{share:.0%} of neighbours share it (chance {chance:.1%})".replace("%", " %")


def _cloud(ax: Axes, points: np.ndarray, names: np.ndarray, cell_types: bool, purity: float) -> None:
    groups = sorted(set(names) - {""})
    looks = style.cell_type_styles(groups)
    size = float(np.clip(9000 / len(points), 3, 22))  # points²
    x, y = points[names == ""].T
    ax.scatter(x, y, s=size, c=style.FAINT, marker="o", linewidths=0)
    for i, group in enumerate(groups):
        of_group = points[names == group]
        colour, marker = looks[group] if cell_types else style.group_style(i)
        x, y = of_group.T
        ax.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0, alpha=0.8, label=group)
    if len(groups) <= LEGEND_GROUPS:
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(4, len(groups)), markerscale=1.6,
            handletextpad=0.1, columnspacing=0.8, fontsize=7.5,
        )  # fmt: skip
    elif len(groups) <= LABELLED_GROUPS and purity > 0.4:  # else groups lie mixed, and names on one heap
        for group, (x, y) in _labels(points, names, groups):
            ax.annotate(
                group, (x, y), xytext=(0, 6), textcoords="offset points", fontsize=7, ha="center",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 0.6},
            )  # fmt: skip


def _extent(points: np.ndarray) -> float:
    return float(np.ptp(points, axis=0).max()) or 1.0


def _labels(points: np.ndarray, names: np.ndarray, groups: Sequence[str]) -> list[tuple[str, tuple[float, float]]]:
    """Groups that have room for their name, and where: on the point nearest to the group's median, so
    that the name lies on its group even if that has two parts."""
    extent = _extent(points)
    placed: list[tuple[str, tuple[float, float]]] = []
    for group in groups:
        own = points[names == group]
        x, y = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()]
        # A letter of 7 points is about 1.4 % of a panel wide, a line 3 % high.
        room = 0.014 * extent * len(group), 0.03 * extent
        if all(abs(x - u) > room[0] or abs(y - v) > room[1] for _, (u, v) in placed):
            placed.append((group, (float(x), float(y))))
    return placed
