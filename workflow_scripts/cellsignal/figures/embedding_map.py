"""A map of the embedding (t-SNE), coloured by what should and what should not shape it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellsignal.embedding import FEWEST_MAPPED, NEIGHBOURS, Measure
from cellsignal.figures import style

LEGEND_GROUPS, LEGEND_COLUMNS = 24, 4  # more groups have no legend
LABELLED_GROUPS = 60  # more are not named on the map
UNKNOWN = "not known to the figure"


@dataclass(frozen=True)
class MapRow:
    """One map: `points` float (n, 2), `trustworthiness` 0–1 (scikit-learn) or NaN, a `Measure` per grouping."""

    title: str
    points: np.ndarray
    trustworthiness: float
    measures: Mapping[str, Measure]


@style.look()
def embedding_map(
    rows: Sequence[MapRow], groups: Mapping[str, Sequence[str]], of: str, neighbours: int = NEIGHBOURS
) -> Figure:
    """A row of panels per map (such as without and with pseudo-labels), a column per entry of `groups`.

    `groups`: {title: the group of each point}, for instance cell type, experiment, class (empty: not known, a
    hollow ring); the key `cell type` gets the cell types' own colours. The points of all rows are the same sites; `of`
    tells how many, as in "4,000 sites of 3,900 wells of 12 experiments".
    Above each panel: the share of the nearest `neighbours` *in the embedding* that are of the same group.
    """
    if not len(rows[0].points):
        return style.note("Too few sites to map: of known class, fold 0 held out none, and no test site was predicted.")
    sizes = np.array([np.ptp(row.points, axis=0) for row in rows])
    ratio = float(np.clip((sizes[:, 1] / np.maximum(sizes[:, 0], 1e-9)).max(), 0.4, 1.0))  # no higher than the maps
    entries = max((count for count in map(_count, groups.values()) if count <= LEGEND_GROUPS), default=0)
    height = (4.3 * ratio + 0.6) * len(rows) + 0.5 + 0.2 * np.ceil(entries / LEGEND_COLUMNS)
    figure, axes = style.panels(len(rows), len(groups), 4.6 * len(groups), height)
    for line, row in zip(axes, rows, strict=True):
        middle = (row.points.min(0) + row.points.max(0)) / 2
        half = 0.53 * max(float(np.ptp(row.points[:, 0])), float(np.ptp(row.points[:, 1])) / ratio, 1e-9)
        for ax, (title, names) in zip(line, groups.items(), strict=True):
            named = np.asarray(names, dtype=str)
            measure = row.measures[title]
            _cloud(ax, row.points, named, title == "cell type", measure.purity, legend=row is rows[-1])
            count = _count(names)
            ax.set_title(f"{title}: {count:,} group{'s' if count > 1 else ''}\n{_numbers(measure)}")
            ax.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half * ratio, half * ratio], aspect="equal")
            style.bare(ax)
        trust = "" if np.isnan(row.trustworthiness) else f"\ntrustworthiness {row.trustworthiness:.2f}"
        line[0].set_ylabel(row.title + trust, fontsize=9)
    count = len(rows[0].points)
    kind = "t-SNE" if count >= FEWEST_MAPPED else "Principal components"
    text = (
        f"{kind} of {of} (axes without unit). Percentages: of the {neighbours} nearest neighbours in the embedding, "
        "those of the same group. s: silhouette in the embedding. Both leave out sites of the same well."
    )
    if len(rows) > 1:
        text += " From the first map to the last the network was trained further, too: that is part of the difference."
    style.footnote(figure, text)
    return figure


def _count(names: Sequence[str]) -> int:
    return len(set(names) - {""})


def _numbers(measure: Measure) -> str:
    if np.isnan(measure.purity):
        return "no site has a neighbour in another well"
    text = f"{measure.purity:.0%} of neighbours share it (chance {measure.chance:.1%})".replace("%", " %")
    return (
        text
        if np.isnan(measure.silhouette)
        else f"{text}, s = {round(measure.silhouette, 2) + 0.0:.2f}".replace("-", "−")
    )


def _cloud(ax: Axes, points: np.ndarray, names: np.ndarray, cell_types: bool, purity: float, legend: bool) -> None:
    groups = sorted(set(names) - {""})
    looks = style.cell_type_styles(groups)
    size = float(np.clip(9000 / len(points), 3, 22))  # points²
    if "" in names:
        x, y = points[names == ""].T
        ax.scatter(x, y, s=size, facecolors="none", edgecolors=style.FAINT, linewidths=0.8, label=UNKNOWN)
    for i, group in enumerate(groups):
        colour, marker = looks[group] if cell_types else style.group_style(i)
        x, y = points[names == group].T
        ax.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0, alpha=0.8, label=group)
    if legend:
        _legend(ax, len(groups))
    # Where neighbours are of other groups, the groups lie mixed, and their names would lie on one heap.
    if LEGEND_GROUPS < len(groups) <= LABELLED_GROUPS and purity > 0.4:
        for group, (x, y) in _labels(points, names, groups):
            ax.annotate(
                group, (x, y), xytext=(0, 6), textcoords="offset points", fontsize=7, ha="center",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 0.6},
            )  # fmt: skip


def _legend(ax: Axes, count: int) -> None:
    """Every group where they are few; else how they are told apart, and which points are of none."""
    handles, labels = ax.get_legend_handles_labels()
    many = count > LEGEND_GROUPS
    if many:
        shown = [label == UNKNOWN for label in labels]
        handles, labels = (
            [part for part, keep in zip(parts, shown, strict=True) if keep] for parts in (handles, labels)
        )
    ax.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=max(1, min(LEGEND_COLUMNS, len(labels))),
        markerscale=1.6, handletextpad=0.1, columnspacing=0.8, fontsize=7.5, title_fontsize=7.5,
        title="each group has its colour and mark" if many else None,
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
