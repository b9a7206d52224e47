"""What each part is worth: sites, models and rounds averaged, and the priors of the plate layout."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellsignal.figures import style
from cellsignal.intervals import told

UNITS = {  # label, marker, colour
    "site": ("one site, one model", "o", style.GREY),
    "well": ("a well's sites, one model", "s", style.BLUE),
    "ensemble": ("a well's sites, all models", "D", style.VERMILLION),
}

NONE_HELD_OUT = "No fold held out wells: what averaging is worth cannot be told."


@style.look()
def averaging(votes: pd.DataFrame, priors: pd.DataFrame, priors_of: str) -> Figure:
    """Left: accuracy without any prior by what was averaged. Right: what the priors of the layout add.

    `votes`: of `votes.all_votes`: `name` (of a model, or of the ensemble, and its round), `unit` (`site`, `well`,
    `ensemble`), `accuracy`, `count` (sites or wells), `low`, `high`, `groups`, `resampled`; what has no out-of-fold
    wells is left out. `priors`: `method`, `plate_groups` bool, `accuracy`, `wells` and, where they were taken, `low`
    and `high`; empty where no answers are known. `priors_of`: what wells those are, and of how many experiments.
    """
    votes = votes[votes["count"] > 0]
    columns = int(len(votes) > 0) + int(len(priors) > 0)
    if not columns:
        return style.note(f"{NONE_HELD_OUT} No answers of test wells are known either.")
    names = list(dict.fromkeys(votes["name"]))
    figure, axes = style.panels(1, columns, 5.8 * columns + 0.6, max(4.2, 2.6 + 0.34 * len(names)))
    if len(votes):
        _votes(axes[0, 0], votes, names)
    if len(priors):
        _priors(axes[0, -1], priors, priors_of)
    if not len(votes):
        style.footnote(figure, NONE_HELD_OUT)
    return figure


def _votes(ax: Axes, votes: pd.DataFrame, names: Sequence[str]) -> None:
    for unit, (label, marker, colour) in UNITS.items():
        rows = votes[votes["unit"] == unit]
        if rows.empty:
            continue
        y = [names.index(name) for name in rows["name"]]
        ax.hlines(y, rows["low"], rows["high"], color=colour, linewidth=1.2)
        ax.plot(rows["accuracy"], y, marker, color=colour, markersize=6, label=label)
        if unit != "site":
            for at, share in zip(y, rows["accuracy"], strict=True):
                ax.annotate(
                    f"{share:.1%}".replace("%", " %"), (share, at), xytext=(0, 6), textcoords="offset points",
                    ha="center", fontsize=7.5,
                )  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.7)
    ax.set_xlim(0, 1)
    style.percent(ax.xaxis)
    wells = int(votes.loc[votes["unit"] != "site", "count"].max())
    line = told(zip(votes["groups"], votes["resampled"], strict=True))
    ax.set_xlabel(f"accuracy on {wells:,} out-of-fold wells\n(line: {line})")
    ax.set_title("No layout used on these wells: what is averaged")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))


def _priors(ax: Axes, priors: pd.DataFrame, of: str) -> None:
    methods = list(dict.fromkeys(priors["method"]))
    y = np.arange(len(methods))
    for with_groups, offset, colour, hatch in ((False, -0.19, style.BLUE, None), (True, 0.19, style.ORANGE, "////")):
        rows = priors[priors["plate_groups"] == with_groups].set_index("method")
        at = [i for i, method in enumerate(methods) if method in rows.index]
        values = rows.loc[[methods[i] for i in at], "accuracy"]
        label = "with plate groups" if with_groups else "without"
        ax.barh(y[at] + offset, values, 0.36, color=colour, hatch=hatch, edgecolor="white", label=label)
        past = values.to_numpy(dtype=float)
        if {"low", "high"} <= set(rows.columns):
            lines = rows.loc[[methods[i] for i in at], ["low", "high"]].to_numpy(dtype=float)
            ax.hlines(y[at] + offset, *lines.T, color=style.INK, linewidth=1.2)
            past = np.fmax(past, lines[:, 1])
        for i, value, x in zip(at, values, past, strict=True):
            ax.text(x + 0.01, y[i] + offset, f"{value:.1%}".replace("%", " %"), va="center", fontsize=8)
    ax.set_yticks(y, ["no balancing" if method == "none" else method for method in methods])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(methods) - 0.4, -0.6)
    ax.set_xlim(0, 1.15)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    style.percent(ax.xaxis)
    ax.set_xlabel(f"accuracy on {int(priors['wells'].iloc[0]):,} {of}")
    ax.set_title("The last ensemble: what the layout adds")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))
