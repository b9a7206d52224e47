"""Attention per channel, by cell type and class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellsignal.attention import attention
from cellsignal.figures import style

MEASURES = {
    "correlation": "concordance: Pearson's r of map and channel",
    "distance": "the paper's eq. 15, as 1 − distance of map and channel",
}
SHARE = "share of the site's largest, mean of sites"


def mean_attention(sites: pd.DataFrame, channels: Sequence[str]) -> pd.DataFrame:
    """Mean attention: `cell_type`, `class_name`, `sites`, `largest_r`, and `{measure}_{channel}` for each of both.

    `sites`: one row per site, of `site_attention`. Its values are made shares of the site's largest, and then averaged
    over sites whose map is not empty, `sites` in number; `largest_r` is their mean largest |r|, which the shares hide.
    """
    drawn = sites[sites[f"correlation_{channels[0]}"].notna()]
    shares = drawn[["cell_type", "class_name"]].copy()
    for measure in MEASURES:
        columns = [f"{measure}_{channel}" for channel in channels]
        shares[columns] = attention(drawn[columns].to_numpy(float))
    shares["largest_r"] = drawn[[f"correlation_{channel}" for channel in channels]].abs().max(axis=1)
    groups = shares.groupby(["cell_type", "class_name"], sort=True)
    return groups.size().rename("sites").to_frame().join(groups.mean()).reset_index()


@style.look()
def channel_attention(means: pd.DataFrame, channels: Sequence[str], layer: str) -> Figure:
    """A panel per measure: rows are cell type × class, columns channels; the largest of a row is bold.

    `means`: of `mean_attention`. `layer`: the module whose feature map the Grad-CAM was taken of.
    """
    if means.empty:
        return style.note("No site was explained: the network's fold held out no wells, or every map is empty.")
    if len(channels) == 1:
        return style.note("The screen has one channel: there is none to compare its attention with.")
    rows = len(means)
    figure, axes = style.panels(
        1, len(MEASURES), 2.4 + 2 * max(3.6, 1.2 + 0.62 * len(channels)), max(3.2, 1.9 + 0.3 * rows), sharey="row"
    )
    names = [
        f"{r['cell_type']}, {r['class_name']} ({r['sites']}; {r['largest_r']:.2f})" for r in means.to_dict("records")
    ]
    cells = means["cell_type"].to_numpy()
    for ax, (measure, title) in zip(axes[0], MEASURES.items(), strict=True):
        values = means[[f"{measure}_{channel}" for channel in channels]].to_numpy().round(2) + 0.0  # no −0
        # Correlations have a sign. The other measure is never far from 1: on one scale with them it is all dark.
        signed = measure == "correlation"
        low, high = (-1.0, 1.0) if signed else (min(float(values.min()), 0.95), 1.0)
        image = ax.imshow(values, cmap="PuOr" if signed else "Purples", vmin=low, vmax=high, aspect="auto")
        dark = np.abs(values) > 0.6 if signed else values > low + 0.6 * (high - low)
        for (y, x), value in np.ndenumerate(values):
            weight = "bold" if value == values[y].max() else "normal"
            ink = "white" if dark[y, x] else style.INK
            text = f"{value:.2f}".replace("-", "−")
            ax.text(x, y, text, ha="center", va="center", fontsize=7.5, weight=weight, color=ink)
        for change in np.flatnonzero(cells[1:] != cells[:-1]):
            ax.axhline(change + 0.5, color="white", linewidth=4)
        ax.set_xticks(range(len(channels)), map(style.words, channels), rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(rows), names)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(title, fontsize=9)
        figure.colorbar(image, ax=ax, fraction=0.06, pad=0.02).set_label(SHARE)
    style.footnote(
        figure,
        f"Grad-CAM of {layer}; in brackets: sites, and the mean of their largest |r|; bold: the largest of a row",
    )
    figure.align_ylabels()
    return figure


def site_attention(
    sites: pd.DataFrame, correlation: np.ndarray, distance: np.ndarray, channels: Sequence[str]
) -> pd.DataFrame:
    """`sites` with a column per measure and channel; the arrays are (sites, channels), of `attention.concordance`."""
    values = {"correlation": correlation, "distance": distance}
    columns = {f"{m}_{c}": values[m][:, i] for m in MEASURES for i, c in enumerate(channels)}
    return sites.reset_index(drop=True).assign(**columns)
