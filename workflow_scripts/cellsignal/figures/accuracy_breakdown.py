"""Accuracy by cell type and by experiment."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.figures.intervals import wilson

ROLES = {"out_of_fold": "out-of-fold (train experiments)", "test": "test experiments"}


@style.look()
def accuracy_breakdown(wells: pd.DataFrame) -> Figure:
    """Bars by cell type above, points by experiment below, each with its Wilson 95 % interval.

    `wells`: one row per scored well, columns `cell_type` str, `experiment` str, `role` (`out_of_fold` or
    `test`), `correct` bool. Test wells are there only where the truth is known.
    """
    if wells.empty:
        return style.note("No well has a known answer: there is nothing to score.")
    by_type = count(wells, ["cell_type", "role"])
    by_experiment = count(wells, ["cell_type", "experiment", "role"])
    width = min(16.0, max(7.5, 1.2 + 0.26 * len(by_experiment)))
    figure, axes = style.panels(2, 1, width, 6.6)
    looks = style.cell_type_styles(wells["cell_type"])
    _cell_types(axes[0, 0], by_type, looks)
    _experiments(axes[1, 0], by_experiment.assign(outlier=outliers(by_experiment)), looks)
    bars = {
        "out_of_fold": Patch(facecolor=style.MUTED, label=ROLES["out_of_fold"]),
        "test": Patch(facecolor="white", edgecolor=style.MUTED, hatch="////", label=ROLES["test"]),
    }
    shown = [bar for role, bar in bars.items() if role in set(wells["role"])]
    interval = Line2D([], [], color=style.INK, linewidth=1.2, label="Wilson 95 % interval")
    figure.legend(handles=[*shown, interval], loc="outside lower center", ncols=3)
    return figure


def count(wells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Per group of `keys`, sorted: `wells`, `correct` (counts), `accuracy`, `low`, `high` (0–1)."""
    table = wells.groupby(keys, sort=True)["correct"].agg(wells="size", correct="sum").reset_index()
    table["accuracy"] = table["correct"] / table["wells"]
    bounds = [wilson(int(c), int(n)) for c, n in zip(table["correct"], table["wells"], strict=True)]
    table[["low", "high"]] = np.array(bounds).reshape(-1, 2)
    return table


def outliers(table: pd.DataFrame) -> pd.Series:
    """bool, by row: experiments unlike the others of their cell type and role.

    `table`: of `count`, by cell type, experiment and role. An outlier's accuracy lies more than 3 scaled median
    absolute deviations from the median of its group, and the median lies outside its Wilson interval, so that
    neither a group that agrees to the well nor a small experiment makes one. Groups of fewer than four have none.
    """
    grouped = table.groupby(["cell_type", "role"])["accuracy"]
    median = grouped.transform("median")
    away = (table["accuracy"] - median).abs()
    mad = away.groupby([table["cell_type"], table["role"]]).transform("median")
    certain = (median < table["low"]) | (median > table["high"])
    found: pd.Series = (away > 3 * 1.4826 * mad) & certain & (grouped.transform("size") >= 4)
    return found


def _cell_types(ax: Axes, table: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    roles = [role for role in ROLES if role in set(table["role"])]
    for x, cell_type in enumerate(looks):
        rows = table[table["cell_type"] == cell_type]
        for row in rows.to_dict("records"):
            at = x + (roles.index(str(row["role"])) - (len(roles) - 1) / 2) * 0.4
            colour = looks[cell_type][0]
            test = row["role"] == "test"
            ax.bar(
                at, row["accuracy"], 0.36, facecolor="white" if test else colour, edgecolor=colour,
                hatch="////" if test else None,
            )  # fmt: skip
            ax.vlines(at, row["low"], row["high"], color=style.INK, linewidth=1.2)
            text = f"{row['accuracy']:.1%}".replace("%", " %") + f"\n{row['wells']:,} wells"
            ax.text(at, row["high"] + 0.02, text, ha="center", va="bottom", fontsize=8)
    ax.set_xticks(range(len(looks)), list(looks))
    ax.set_xlim(-0.6, len(looks) - 0.4)
    _shares(ax, 1.22)  # room for the numbers above the bars
    ax.set_title("By cell type")


def _experiments(ax: Axes, table: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    for x, row in enumerate(table.to_dict("records")):
        colour, marker = looks[str(row["cell_type"])]
        ax.vlines(x, row["low"], row["high"], color=colour, linewidth=1.4)
        if row["outlier"]:
            ax.plot(x, row["accuracy"], "o", markersize=13, markerfacecolor="none", color=style.VERMILLION, zorder=1)
        face = "white" if row["role"] == "test" else colour
        ax.plot(
            x,
            row["accuracy"],
            marker,
            color=colour,
            markerfacecolor=face,
            markersize=6,
            markeredgewidth=1.4,
            clip_on=False,
        )
    changes = np.flatnonzero(table["cell_type"].to_numpy()[1:] != table["cell_type"].to_numpy()[:-1])
    for change in changes:
        ax.axvline(change + 0.5, color=style.MUTED, linewidth=0.7)
    names = [f"{row['experiment']} ({row['wells']:,})" for row in table.to_dict("records")]
    ax.set_xticks(range(len(table)), names, rotation=90)
    ax.set_xlim(-0.7, len(table) - 0.3)
    _shares(ax, 1.03)
    odd = ", ".join(table.loc[table["outlier"], "experiment"]) or "none"
    roles = "filled: out-of-fold, open: test; " if len(set(table["role"])) > 1 else ""
    ax.set_title(f"By experiment (wells); {roles}ringed outliers: {odd}")


def _shares(ax: Axes, top: float) -> None:
    ax.set_ylim(0, top)
    ax.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["left"].set_bounds(0, 1)
    style.percent(ax.yaxis)
    ax.set_ylabel("accuracy")
