"""Where the sites of a few classes lie in a map of the embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from cellsignal.figures import style


@dataclass(frozen=True)
class ClassMap:
    """One map: `points` float (n, 2), `names` (n,) of the class (empty: of no chosen class); `purity` and its
    `chance` among the sites of the chosen classes (`embedding.neighbour_purity`)."""

    title: str
    points: np.ndarray
    names: np.ndarray
    purity: float
    chance: float


@style.look()
def tsne_classes(maps: Sequence[ClassMap], classes: Sequence[str], neighbours: int) -> Figure:
    """A panel per map (without and with pseudo-labels): sites of `classes` in colour, all others in grey behind.

    `neighbours`: as many as the purity is of; 0 where there is none.
    """
    figure, axes = style.panels(1, len(maps), 5.2 * len(maps), 5.6)
    for ax, one in zip(axes[0], maps, strict=True):
        others = one.names == ""
        ax.scatter(*one.points[others].T, s=6, c=style.FAINT, linewidths=0, label=f"other sites ({others.sum():,})")
        own = max(int((~others).sum()), 1)
        size = float(np.clip(6000 / own, 12, 45))  # points²
        for i, name in enumerate(classes):
            colour, marker = style.group_style(i)
            inside = one.names == name
            ax.scatter(
                *one.points[inside].T, s=size, c=colour, marker=marker, linewidths=0.4, edgecolors="white", alpha=0.9,
                label=f"{name} ({inside.sum():,} site{'' if inside.sum() == 1 else 's'})",
            )  # fmt: skip
        share = "each class is in one well: no neighbour to compare"
        if neighbours:
            share = f"{100 * one.purity:.0f} % of neighbours share the class (chance {100 * one.chance:.0f} %)"
        ax.set_title(f"{one.title}\n{share}", fontsize=9)
        ax.set_aspect("equal", adjustable="datalim")
        style.bare(ax)
    handles, labels = axes[0, -1].get_legend_handles_labels()
    text = f"t-SNE of {len(maps[0].points):,} sites (axes without unit)."
    if neighbours:
        nearest = f"{neighbours} nearest coloured sites" if neighbours > 1 else "nearest coloured site"
        text += f" Percentages: of the {nearest} of each coloured one in the embedding, without those of the same well."
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(2 * len(maps), len(labels)), markerscale=1.3,
        title=fill(text, int(15 * figure.get_figwidth())), title_fontsize=8,
    )  # fmt: skip
    return figure
