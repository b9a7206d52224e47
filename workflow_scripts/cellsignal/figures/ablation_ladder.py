"""The ablation: what normalization and each further step reach, beside what the paper says of RxRx1."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellsignal.embedding import NEIGHBOURS
from cellsignal.figures import style
from cellsignal.intervals import told

TITLES = {
    "normalization": "Normalization, one softmax model",
    "ladder": "Step by step, without pseudo-labels",
    "labels": "A further round: what pseudo-labels are worth, all else equal",
    "layout": "What the layout of the plates is worth, without and with pseudo-labels",
    "beyond": "Beyond the paper: statistics of BatchNorm",
}
CLUSTERS = "Do the classes cluster?"


@style.look()
def ablation_ladder(table: Mapping[str, Any]) -> Figure:
    """A panel per part, a bar per rung from top to bottom, the published value as a diamond.

    `table`: as `ablation.json`: `of`, `wells`, and `rungs` with `part`, `name`, `accuracy` (a share, 0–1),
    `published` (likewise, or null) and `low`, `high`: of `intervals.Interval.record`, with its `groups` and `unit`,
    or, where a rung has none of these, the least and largest of several seeds; null: there is no line. Where there are
    `clusters` (records of `embedding.class_tightness` with a `name`), a last panel shows them.
    """
    clusters = [one for one in table.get("clusters", []) if one["purity"] is not None]
    parts = {part: [rung for rung in table["rungs"] if rung["part"] == part] for part in TITLES}
    parts = {part: rungs for part, rungs in parts.items() if rungs}
    if not parts or not table["wells"]:
        return style.note("No well has a known answer: there is nothing to score.")
    heights = [0.7 + 0.36 * len(rungs) for rungs in parts.values()]
    heights += [1.1 + 0.36 * len(clusters)] if clusters else []
    figure, axes = style.panels(len(heights), 1, 9.0, sum(heights) + 0.9, height_ratios=heights)
    for ax, rungs in zip(axes[:, 0], parts.values(), strict=False):
        _panel(ax, rungs)
        style.percent(ax.xaxis)
        ax.tick_params(axis="x", labelbottom=False)
    if clusters:
        _clusters(axes[-1, 0], clusters)
    titles = [*(TITLES[part] for part in parts), *([CLUSTERS] if clusters else [])]
    for ax, letter, title in zip(axes[:, 0], ascii_lowercase, titles, strict=False):
        ax.set_title(f"({letter}) {title}")
    last = axes[len(parts) - 1, 0]
    last.tick_params(axis="x", labelbottom=True)
    last.set_xlabel(f"accuracy on {table['wells']:,} {table['of']}{_line(table['rungs'])}")
    handles: list[Any] = [Patch(facecolor=style.BLUE, label="this run")]
    if any(rung["published"] is not None for rungs in parts.values() for rung in rungs):
        handles.append(_diamond(label="published, on RxRx1"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _clusters(ax: Axes, clusters: Sequence[Mapping[str, Any]]) -> None:
    """The share of the nearest neighbours that are of the same class, a bar per model; chance as a tick."""
    for y, one in enumerate(clusters):
        ax.barh(y, one["purity"], height=0.66, color=style.GREY)
        ax.vlines(one["chance"], y - 0.33, y + 0.33, color=style.INK, linewidth=1.2)
        text = f"{one['purity']:.1%}".replace("%", " %")
        if one["silhouette"] is not None:
            text += f"  (silhouette {one['silhouette']:.2f})".replace("-", "−")
        ax.text(1.03, y, text, va="center", fontsize=8.0)
    _frame(ax, [str(one["name"]) for one in clusters])
    style.percent(ax.xaxis)
    first = clusters[0]
    counts = ((first["sites"], "site"), (first["wells"], "well"), (first["experiments"], "experiment"))
    of = " of ".join(style.counted(*part) for part in counts)
    ax.set_xlabel(f"share of the {NEIGHBOURS} nearest neighbours of the same class (tick: chance)\n{of}")


def _line(rungs: Sequence[Mapping[str, Any]]) -> str:
    """What the black lines are, in brackets; empty where there are none."""
    drawn = [rung for rung in rungs if "low" in rung]
    if not drawn:
        return ""
    over = [(rung["groups"], rung["unit"]) for rung in drawn if "groups" in rung]
    return f" (line: {told(over) if over else 'least and largest of the seeds'})"


def _panel(ax: Axes, rungs: list[dict[str, Any]]) -> None:
    for y, rung in enumerate(rungs):
        ax.barh(y, rung["accuracy"], height=0.66, color=style.BLUE)
        if rung.get("low") is not None:
            ax.hlines(y, rung["low"], rung["high"], color=style.INK, linewidth=1.2)
        text = f"{rung['accuracy']:.2%}".replace("%", " %")
        if rung["published"] is not None:
            ax.add_line(_diamond([rung["published"]], [y]))
            text += f"  (published {rung['published']:.2%})".replace("%", " %")
        ax.text(1.03, y, text, va="center", fontsize=8.0)  # in a column: beside a diamond it would seem its value
    _frame(ax, [rung["name"] for rung in rungs])


def _frame(ax: Axes, names: Sequence[str]) -> None:
    """Names along the left, shares from 0 to 1, and room for the numbers on the right."""
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.4)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["bottom"].set_bounds(0, 1)


def _diamond(x: list[float] | None = None, y: list[float] | None = None, label: str = "") -> Line2D:
    return Line2D(
        x or [], y or [], linestyle="", marker="D", markersize=5, markerfacecolor="white",
        markeredgecolor=style.VERMILLION, markeredgewidth=1.3, label=label, zorder=3,
    )  # fmt: skip
