"""Where the brightness of images varies: between cell types, experiments, plates, or images of a plate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.variance import variance_components

FLOOR = 1e-2  # grey levels; a darker image counts as this
LEVELS = {"cell type": "cell_type", "experiment": "experiment", "plate": "plate_id"}
REST = "image"
LOOKS = {
    "cell type": ("between cell types", style.BLUE, ""),
    "experiment": ("between experiments of a cell type", style.ORANGE, "////"),
    "plate": ("between plates of an experiment", style.GREEN, "...."),
    "image": ("between images of a plate", "#BBBBBB", "\\\\\\\\"),
}


def channel_components(means: pd.DataFrame) -> pd.DataFrame:
    """Variance components of the log of every image's channel mean, by channel.

    `means`: a row per site and channel, columns `channel` int, `cell_type`, `experiment`, `plate_id`, `mean` (grey
    levels). Returns `channel` and the columns of `variance_components`, and `sd`, the root of the variance: 0.1
    means that brightness differs by a factor of about 1.1.
    """
    parts = []
    for channel, part in means.groupby("channel", sort=True):
        logs = np.log(part["mean"].clip(lower=FLOOR))
        groups = {level: part[column].to_numpy() for level, column in LEVELS.items()}
        parts.append(variance_components(logs, groups, REST).assign(channel=channel))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(sd=np.sqrt(table["variance"]))


@style.look()
def channel_variance(components: pd.DataFrame, channels: Sequence[str]) -> Figure:
    """Bars per channel and level: left the standard deviation of the log mean, right the shares of its variance.

    `components`: of `channel_components`. Levels that cannot be told apart have no bar, and are named below.
    """
    told = components.dropna(subset="variance")
    levels = [level for level in LOOKS if level in set(told["level"])]
    if not levels:
        return style.note("One image, or images that are all alike: there is no variance of channel means.")
    figure, axes = style.panels(1, 2, 10.0, 1.6 + 0.2 * (len(levels) + 1) * len(channels), sharey=True)
    left, right = axes[0]
    _deviations(left, told, levels, len(channels))
    _shares(right, told, levels, len(channels))
    left.set_yticks(range(len(channels)), [style.words(name) for name in channels])
    left.set_ylim(len(channels) - 0.4, -0.6)
    counts = told.drop_duplicates("level").set_index("level")["groups"]
    handles = [
        Patch(facecolor=LOOKS[level][1], edgecolor="white", hatch=LOOKS[level][2],
              label=f"{LOOKS[level][0]} ({counts[level]:,} {level}{'' if counts[level] == 1 else 's'})")
        for level in levels
    ]  # fmt: skip
    missing = [level for level in LOOKS if level not in levels]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=2, title_fontsize=8,
        title=f"{' and '.join(missing)}: one in each group before it, so that it has no variance of its own"
        if missing else None,
    )  # fmt: skip
    return figure


def _deviations(ax: Axes, table: pd.DataFrame, levels: list[str], channels: int) -> None:
    height = 0.8 / len(levels)
    widest = max(float(table["sd"].max()), 1e-9)
    for i, level in enumerate(levels):
        sds = table[table["level"] == level].set_index("channel")["sd"].reindex(range(channels))
        y = np.arange(channels) + (i - (len(levels) - 1) / 2) * height
        ax.barh(y, sds, height=0.92 * height, color=LOOKS[level][1], edgecolor="white", hatch=LOOKS[level][2])
        for at, sd in zip(y, sds, strict=True):
            if np.isfinite(sd):
                ax.text(sd + 0.01 * widest, at, f"{sd:.2f}", va="center", fontsize=7)
    ax.set_xlim(0, 1.12 * widest)
    ax.grid(True, axis="x")
    ax.tick_params(axis="y", length=0)
    ax.set_title("standard deviation of the log of the mean", fontsize=9)
    ax.set_xlabel("standard deviation (0.1: a factor of about 1.1)")


def _shares(ax: Axes, table: pd.DataFrame, levels: list[str], channels: int) -> None:
    start = np.zeros(channels)
    for level in levels:
        shares = table[table["level"] == level].set_index("channel")["share"].reindex(range(channels)).fillna(0)
        _, colour, hatch = LOOKS[level]
        ax.barh(range(channels), shares, left=start, height=0.6, color=colour, edgecolor="white", hatch=hatch)
        for channel, share in enumerate(shares):
            if share >= 0.05:
                ax.text(
                    start[channel] + share / 2, channel, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
                )  # fmt: skip
        start = start + shares.to_numpy()
    ax.set_xlim(0, 1)
    style.percent(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.set_title("where the variance lies", fontsize=9)
    ax.set_xlabel("share of the variance of the log of the mean")
