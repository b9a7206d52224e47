"""How bright images are: the distribution of every image's channel means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style

BINS = 48
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1, 1.5)))
FLOOR = 1e-2  # grey levels; a darker image is drawn here


def distribute(means: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Histogram of the mean of every image, per channel and cell type, over equal steps of its logarithm.

    `means`: one row per site and channel, columns `channel` int, `cell_type`, `mean` (grey levels). Returns
    `channel`, `cell_type`, `low`, `high` (grey levels), `sites` and `median` (of the channel in the cell type).
    """
    parts = []
    for channel, of_channel in means.groupby("channel", sort=True):
        logs = np.log(of_channel["mean"].clip(lower=FLOOR))
        low, high = float(logs.min()), float(logs.max())
        edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
        for cell_type, part in logs.groupby(of_channel["cell_type"], sort=True):
            counts, _ = np.histogram(part, edges)
            parts.append(
                pd.DataFrame(
                    {
                        "channel": channel,
                        "cell_type": cell_type,
                        "low": np.exp(edges[:-1]),
                        "high": np.exp(edges[1:]),
                        "sites": counts,
                        "median": float(np.exp(part.median())),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@style.look()
def image_means(distribution: pd.DataFrame, channels: Sequence[str]) -> Figure:
    """A panel per channel: the share of sites by the mean of their image (log scale), a line per cell type.

    `distribution`: of `distribute`; `channels` are the names by index.
    """
    columns = min(3, len(channels))
    rows = -(-len(channels) // columns)
    figure, axes = style.panels(rows, columns, max(4.5, 3.5 * columns), 2.1 * rows + 0.7)
    cell_types = sorted(set(distribution["cell_type"]))
    looks = style.cell_type_styles(cell_types)
    for channel, ax in enumerate(axes.flat):
        if channel >= len(channels):
            ax.axis("off")
            continue
        of_channel = distribution[distribution["channel"] == channel]
        for i, cell_type in enumerate(cell_types):
            part = of_channel[of_channel["cell_type"] == cell_type]
            if part.empty:
                continue
            share = part["sites"].to_numpy() / max(part["sites"].sum(), 1)
            edges = np.append(part["low"].to_numpy(), part["high"].iloc[-1])
            colour = looks[cell_type][0]
            ax.stairs(share, edges, color=colour, linestyle=DASHES[i % len(DASHES)], linewidth=1.4)
            # One above the other, so that equal medians are both seen.
            ax.plot(
                part["median"].iloc[0], 0.04 + 0.08 * i, looks[cell_type][1], color=colour, markersize=6,
                markeredgecolor="white", transform=ax.get_xaxis_transform(), zorder=3,
            )  # fmt: skip
        style.logarithmic(ax, "x")
        ax.set_ylim(0, None)
        style.percent(ax.yaxis)
        ax.set_title(style.words(channels[channel]), fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel("share of sites")
    for ax in axes[-1, :]:
        ax.set_xlabel("mean of a site's image, grey levels")
    first = distribution[distribution["channel"] == distribution["channel"].min()]
    sites = first.groupby("cell_type")["sites"].sum()
    handles = [
        Line2D(
            [], [], color=looks[name][0], linestyle=DASHES[i % len(DASHES)], marker=looks[name][1],
            label=f"{name} ({sites[name]:,} sites; mark: median)",
        )
        for i, name in enumerate(cell_types)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure
