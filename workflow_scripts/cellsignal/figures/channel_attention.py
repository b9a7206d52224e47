"""Attention per channel, by cell type and class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellsignal.figures import style

MEASURES = {
    "correlation": "concordance: Pearson correlation of map and channel",
    "distance": "the paper's eq. 15 as 1 − distance of map and channel",
}


def mean_attention(sites: pd.DataFrame, channels: Sequence[str]) -> pd.DataFrame:
    """Mean over sites: `cell_type`, `class_name`, `sites`, and `{measure}_{channel}` for each measure and channel.

    `sites`: one row per site, with the same columns but `sites`.
    """
    columns = [f"{measure}_{channel}" for measure in MEASURES for channel in channels]
    groups = sites.groupby(["cell_type", "class_name"], sort=True)
    return groups.size().rename("sites").to_frame().join(groups[columns].mean()).reset_index()


@style.look()
def channel_attention(attention: pd.DataFrame, channels: Sequence[str], layer: str) -> Figure:
    """A panel per measure: rows are cell type × class, columns channels; the largest of a row is framed.

    `attention`: of `mean_attention`. `layer`: the module whose feature map the Grad-CAM was taken of.
    """
    if attention.empty:
        return style.note("No site was explained.")
    rows = len(attention)
    figure, axes = style.panels(
        1, len(MEASURES), 2.4 + 2 * (1.2 + 0.62 * len(channels)), 1.9 + 0.3 * rows, sharey="row"
    )
    for ax, (measure, title) in zip(axes[0], MEASURES.items(), strict=True):
        values = attention[[f"{measure}_{channel}" for channel in channels]].to_numpy()
        image = ax.imshow(values, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                weight = "bold" if value == row.max() else "normal"
                text = f"{value:.2f}".replace("-", "−")
                ink = "white" if abs(value) > 0.6 else style.INK
                ax.text(x, y, text, ha="center", va="center", fontsize=7.5, weight=weight, color=ink)
        ax.set_xticks(range(len(channels)), channels, rotation=40, ha="right")
        names = [f"{r['cell_type']}, {r['class_name']} ({r['sites']})" for r in attention.to_dict("records")]
        ax.set_yticks(range(rows), names)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(title, fontsize=9)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("share of the site's largest, mean of sites")
    figure.supxlabel(f"Grad-CAM of {layer}; in brackets: sites; bold: the largest of a row", fontsize=8)
    figure.align_ylabels()
    return figure


def site_attention(
    sites: pd.DataFrame, correlation: np.ndarray, distance: np.ndarray, channels: Sequence[str]
) -> pd.DataFrame:
    """`sites` with a column per measure and channel; the arrays are (sites, channels), of `explain.attention`."""
    values = {"correlation": correlation, "distance": distance}
    columns = {f"{m}_{c}": values[m][:, i] for m in MEASURES for i, c in enumerate(channels)}
    return sites.reset_index(drop=True).assign(**columns)
