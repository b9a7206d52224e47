"""What normalization removes: the brightness of plates before it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style


@style.look()
def normalization_effect(means: pd.DataFrame, channels: Sequence[str]) -> Figure:
    """A panel per channel: the mean pixel of every plate, by experiment, grouped by cell type (log scale).

    `means`: one row per plate and channel, columns `plate_id`, `experiment`, `cell_type`, `channel` (index
    into `channels`), `mean` (grey levels, before normalization). Plate normalization makes all of them equal.
    Panels tell how far experiments of a cell type, and plates of an experiment, lie apart (`spread`).
    """
    order = means[["cell_type", "experiment"]].drop_duplicates().sort_values(["cell_type", "experiment"])
    experiments = list(dict.fromkeys(order["experiment"]))
    columns = 1 if len(experiments) > 26 else min(2, len(channels))
    rows = -(-len(channels) // columns)
    width = min(12.0, max(5.0, 1.0 + 0.2 * len(experiments))) * columns
    figure, axes = style.panels(rows, columns, min(12.0, width), 1.75 * rows + 1.5, sharex=True)
    looks = style.cell_type_styles(means["cell_type"])
    for channel, ax in enumerate(axes.flat):
        if channel >= len(channels):
            ax.axis("off")
            continue
        of_channel = means[means["channel"] == channel]
        _plates(ax, of_channel, experiments, looks)
        text = _spread_text(of_channel)
        ax.set_title(style.words(channels[channel]) + (f": {text}" if text else ""), fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel("mean, grey levels")
    for ax in axes[-1, :]:
        ax.set_xticks(range(len(experiments)), experiments, rotation=90)
        ax.set_xlim(-0.7, len(experiments) - 0.3)
        ax.xaxis.set_tick_params(labelbottom=True)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"{name} (a mark per plate)")
        for name, (colour, marker) in looks.items()
    ]
    handles.append(Line2D([], [], color=style.MUTED, linewidth=1.2, label="geometric mean of the cell type"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(3, len(handles)),
        title="×/÷: one standard deviation of the log mean, between experiments of a cell type\n"
        "and between plates of an experiment",
        title_fontsize=8,
    )
    return figure


def spread(means: pd.DataFrame) -> tuple[float, float]:
    """(between experiments of a cell type, between plates of an experiment): sd of the log of the mean.

    `means` as above, of one channel. Experiments are averaged over plates first. Degrees of freedom are
    those within the groups; NaN where no group has two members.
    """
    logs = np.log(means["mean"].clip(lower=1e-3))
    table = means.assign(log=logs)
    by_experiment = table.groupby(["cell_type", "experiment"])["log"].mean().reset_index()
    return (
        _within(by_experiment, ["cell_type"]),
        _within(table, ["cell_type", "experiment"]),
    )


def _within(table: pd.DataFrame, keys: list[str]) -> float:
    """Pooled standard deviation of `log` within the groups of `keys`."""
    groups = table.groupby(keys)["log"]
    free = len(table) - groups.ngroups
    return float(np.sqrt(((table["log"] - groups.transform("mean")) ** 2).sum() / free)) if free else float("nan")


def _spread_text(means: pd.DataFrame) -> str:
    experiments, plates = spread(means)
    parts = [
        f"{what} ×/÷ {np.exp(value):.2f}"
        for what, value in (("experiments", experiments), ("plates", plates))
        if np.isfinite(value)
    ]
    return ", ".join(parts)


def _plates(ax: Axes, means: pd.DataFrame, experiments: list[str], looks: dict[str, tuple[str, str]]) -> None:
    at = means["experiment"].map(experiments.index)
    for cell_type, (colour, marker) in looks.items():
        chosen = means["cell_type"] == cell_type
        if not chosen.any():
            continue
        x, y = at[chosen], means.loc[chosen, "mean"]
        ax.plot(x, y, marker, color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
        centre = float(np.exp(np.log(y.clip(lower=1e-3)).mean()))
        ax.hlines(centre, x.min() - 0.4, x.max() + 0.4, color=style.MUTED, linewidth=1.2)
    style.logarithmic(ax)
