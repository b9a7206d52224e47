"""What is left of the plate effect in the embeddings of models with different normalizations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style

KINDS = {True: ("plates of one experiment", style.BLUE, "o"), False: ("of different ones", style.ORANGE, "s")}


@style.look()
def plate_effect(distances: pd.DataFrame, models: Sequence[str]) -> Figure:
    """A panel per cell type: a mark per pair of plates, by model, with medians; 1 is as far as another class.

    `distances`: of `embedding.plate_distances`, with a column `model`, one of `models` (a line of text each, in
    the order of the panels' columns).
    """
    if distances.empty:
        return style.note(
            "No class stands on two plates of held-out wells: the distances of plates cannot be compared."
        )
    cell_types = sorted(set(distances["cell_type"]))
    width = max(5.5, (1.0 + 1.5 * len(models)) * len(cell_types))
    figure, axes = style.panels(1, len(cell_types), min(16.0, width), 4.4, sharey="row")
    random = np.random.default_rng(0)  # only where marks lie within their column
    for ax, cell_type in zip(axes[0], cell_types, strict=True):
        for i, model in enumerate(models):
            for same, (_, colour, marker) in KINDS.items():
                chosen = (distances["cell_type"] == cell_type) & (distances["model"] == model)
                values = distances.loc[chosen & (distances["same_experiment"] == same), "distance"]
                if values.empty:
                    continue
                x = i + (-0.2 if same else 0.2)
                spread = x + random.uniform(-0.12, 0.12, len(values))
                ax.plot(spread, values, marker, color=colour, markersize=3.5, alpha=0.45, markeredgewidth=0)
                ax.hlines(values.median(), x - 0.17, x + 0.17, color=style.INK, linewidth=1.8, zorder=3)
                ax.annotate(
                    f"{values.median():.2f}", (x, values.max()), xytext=(0, 4), textcoords="offset points",
                    ha="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
        ax.axhline(1, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.set_xticks(range(len(models)), models)
        ax.set_xlim(-0.5, len(models) - 0.5)
        ax.yaxis.grid(True)
        shown = distances[distances["cell_type"] == cell_type]
        pairs = style.counted(int(shown.groupby("model").size().max()), "pair")
        experiments = style.counted(len(set(shown["experiment_a"]) | set(shown["experiment_b"])), "experiment")
        ax.set_title(f"{cell_type}\n{pairs} of plates, {experiments}", fontsize=9)
    axes[0, 0].set_ylim(0, max(1.12, 1.08 * distances["distance"].max()))
    axes[0, 0].set_ylabel("distance of a class between plates\n(1: as far as another class)")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=name) for name, colour, marker in KINDS.values()
    ]
    handles.append(Line2D([], [], color=style.INK, linewidth=1.8, label="median (number above)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
