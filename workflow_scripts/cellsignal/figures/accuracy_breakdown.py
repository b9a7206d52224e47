"""Accuracy by cell type, by experiment and by class."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import fisher_exact

from cellsignal.figures import style
from cellsignal.intervals import CONFIDENCE, interval, told
from cellsignal.metrics import class_metrics

ROLES = {"out_of_fold": "out-of-fold (train experiments)", "test": "test experiments"}
MEASURES = {  # of a class: colour, marker, dash
    "precision": (style.BLUE, "o", "-"),
    "sensitivity": (style.VERMILLION, "s", (0, (4, 1.5))),
    "specificity": (style.GREEN, "^", (0, (1.5, 1))),
}
TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
WORST = 12  # classes that are named


@style.look()
def accuracy_breakdown(wells: pd.DataFrame, measures: pd.DataFrame) -> Figure:
    """Bars by cell type, points by experiment, each with its interval, and a row of panels by class for each role.

    Args:
        wells: one row per scored well, columns `cell_type`, `experiment`, `plate_id` str, `role` (`out_of_fold` or
            `test`), `correct` bool. Test wells are there only where the truth is known.
        measures: of `measure_classes`.
    """
    if wells.empty:
        return style.note("No well that was predicted has a known answer: there is nothing to score.")
    by_type = count(wells, ["cell_type", "role"])
    by_experiment = count(wells, ["cell_type", "experiment", "role"])
    width = min(16.0, max(8.5, 1.2 + 0.26 * len(by_experiment)))
    roles = [role for role in ROLES if role in set(measures["role"])]
    ratios = [1.0, 1.0, *[1.05] * len(roles)]
    figure, axes = style.panels(2 + len(roles), 2, width, 3.3 * sum(ratios), height_ratios=ratios)
    above, below = (_whole_row(figure, axes, row) for row in (0, 1))
    looks = style.cell_type_styles(wells["cell_type"])
    _cell_types(above, by_type, looks)
    _experiments(below, by_experiment.assign(outlier=outliers(by_experiment)), looks)
    for (left, right), role in zip(axes[2:], roles, strict=True):
        of_role = measures[measures["role"] == role]
        experiments = wells.loc[wells["role"] == role, "experiment"].nunique()
        _distributions(left, of_role, role, experiments)
        _worst(right, of_role)
    bars = {
        "out_of_fold": Patch(facecolor=style.MUTED, label=ROLES["out_of_fold"]),
        "test": Patch(facecolor="white", edgecolor=style.MUTED, hatch="////", label=ROLES["test"]),
    }
    shown = [bar for role, bar in bars.items() if role in set(wells["role"])]
    lines = [
        Line2D(
            [],
            [],
            color=style.INK,
            linewidth=1.2,
            label=f"line, {by}: {told(zip(table['groups'], table['unit'], strict=True))}",
        )
        for by, table in (("by cell type", by_type), ("by experiment", by_experiment))
    ]
    figure.legend(handles=[*shown, *lines], loc="outside lower center", ncols=1 if width < 10 else 2)
    return figure


def _whole_row(figure: Figure, axes: np.ndarray, row: int) -> Axes:
    """One panel in place of the two of a row."""
    grid = axes[row, 0].get_gridspec()
    for ax in axes[row]:
        ax.remove()
    return figure.add_subplot(grid[row, :])


def count(wells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Per group of `keys`, sorted: `wells`, `correct` (counts), `accuracy`, and of `intervals.interval` `low`, `high`
    (0–1, NaN where there is none), `groups` and their `unit`: experiments or, of a single one, its plates."""
    grouped = wells.groupby(keys, sort=True)
    table = grouped["correct"].agg(wells="size", correct="sum").reset_index()
    table["accuracy"] = table["correct"] / table["wells"]
    lines = [vars(interval(part["correct"], part)) for _, part in grouped]
    return table.join(pd.DataFrame(lines, columns=["low", "high", "groups", "unit"]))


def measure_classes(wells: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """`role`, `class_name` and what `metrics.class_metrics` says of each class, role by role.

    `wells`: scored wells with `role`, `sirna`, `predicted`. `names`: class index → name.
    """
    parts = [
        class_metrics(part["sirna"], part["predicted"]).assign(role=role)
        for role in ROLES
        if len(part := wells[wells["role"] == role])
    ]
    table = pd.concat(parts, ignore_index=True) if parts else class_metrics([], []).assign(role="")
    columns = [name for name in table.columns if name != "role"]
    return table.assign(class_name=table["sirna"].map(names))[["role", "class_name", *columns]]


def outliers(table: pd.DataFrame) -> pd.Series:
    """bool, by row: experiments unlike the others of their cell type and role.

    `table`: of `count`, by cell type, experiment and role. An outlier's accuracy lies more than 3 scaled median
    absolute deviations from the median of its group, and chance alone, which well of it was right, does not explain
    that (Fisher's exact test against the others of the group, p < 0.05), so that neither a group that agrees to the
    well nor a small experiment makes one. Groups of fewer than four have none.
    """
    keys = ["cell_type", "role"]
    grouped = table.groupby(keys)
    median = grouped["accuracy"].transform("median")
    away = (table["accuracy"] - median).abs()
    mad = away.groupby([table[key] for key in keys]).transform("median")
    others = grouped[["correct", "wells"]].transform("sum") - table[["correct", "wells"]]
    far = (away > 3 * 1.4826 * mad) & (grouped["accuracy"].transform("size") >= 4)
    found = far.copy()
    for row in table.index[far]:
        (right, wells), (other_right, other_wells) = table.loc[row, ["correct", "wells"]], others.loc[row]
        chance = fisher_exact([[right, wells - right], [other_right, other_wells - other_right]]).pvalue
        found[row] = chance < 1 - CONFIDENCE
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
            text = f"{row['accuracy']:.1%}".replace("%", " %") + f"\n{_of(row)}"
            ax.text(at, np.fmax(row["high"], row["accuracy"]) + 0.02, text, ha="center", va="bottom", fontsize=8)
    ax.set_xticks(range(len(looks)), list(looks))
    ax.set_xlim(-0.6, len(looks) - 0.4)
    _shares(ax, 1.32)  # room for the numbers above the bars
    ax.set_title("By cell type")


def _of(row: Mapping[Hashable, Any]) -> str:
    """Of how many wells and experiments (or plates) a number is."""
    return f"{style.counted(row['wells'], 'well')},\n{style.counted(row['groups'], row['unit'])}"


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
    if "out_of_fold" not in set(table["role"]):
        roles = "no wells were held out; "
    ax.set_title(f"By experiment (wells); {roles}ringed outliers: {odd}")


def _distributions(ax: Axes, measures: pd.DataFrame, role: str, experiments: int) -> None:
    """Each measure of the classes, the worst first, on a common axis from the first class to the last."""
    for measure, (colour, _, dash) in MEASURES.items():
        values = np.sort(measures[measure].dropna().to_numpy())
        if not len(values):
            continue
        with_wells = measures.loc[measures["wells"] > 0, measure].mean()
        digits = 2 if measure == "specificity" else 1  # of many classes it is never far from 1
        label = f"{measure}: mean {with_wells:.{digits}%}, least {values[0]:.{digits}%}".replace("%", " %")
        x = np.linspace(0, 1, len(values) + 1)
        ax.stairs(values, x, color=colour, linestyle=dash, linewidth=1.6, baseline=None, label=label)
    ax.set_xlim(0, 1)
    ax.set_xticks(TICKS)
    style.percent(ax.xaxis)
    _shares(ax, 1.03)
    ax.set_ylabel("of a class")
    ax.set_xlabel("share of the classes, the worst first")
    known = measures[measures["wells"] > 0]
    words = ROLES[role].split(" ")[0]
    wells = f"{style.counted(int(known['wells'].sum()), 'well')} of {style.counted(experiments, 'experiment')}"
    ax.set_title(f"By class, {words}: {len(known):,} classes, {wells}", fontsize=9)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16))


def _worst(ax: Axes, measures: pd.DataFrame) -> None:
    """Precision and sensitivity of the classes with the smallest F1, by name."""
    known = measures[measures["wells"] > 0]
    f1 = 2 * known["correct"] / (known["wells"] + known["called"])
    worst = known.assign(f1=f1).sort_values(["f1", "wells", "sirna"], ascending=[True, False, True]).head(WORST)
    y = np.arange(len(worst))
    ax.hlines(y, worst["precision"], worst["sensitivity"], color=style.FAINT, linewidth=2, zorder=1)
    for measure, size in (("precision", 7.5), ("sensitivity", 4.5)):  # one lies within the other where they agree
        colour, marker, _ = MEASURES[measure]
        ax.plot(worst[measure], y, marker, color=colour, markersize=size, label=measure, clip_on=False)
    names = [f"{row['class_name']} ({row['correct']:,} of {row['wells']:,})" for row in worst.to_dict("records")]
    ax.set_yticks(y, names, fontsize=7.5)
    ax.tick_params(axis="y", length=0, pad=7)
    ax.set_ylim(len(worst) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.set_xticks(TICKS)
    style.percent(ax.xaxis)
    ax.set_xlabel("of the class (right of its wells)")
    ax.set_title(f"By F1, the smallest first: {len(worst)} of {len(known):,} classes", fontsize=9)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=2)


def _shares(ax: Axes, top: float) -> None:
    ax.set_ylim(0, top)
    ax.set_yticks(TICKS)
    ax.spines["left"].set_bounds(0, 1)
    style.percent(ax.yaxis)
    ax.set_ylabel("accuracy")
