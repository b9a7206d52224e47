"""The ablation: what normalization and each further step reach, beside what the paper says of RxRx1."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.figures.intervals import wilson

TITLES = {
    "normalization": "(a) Normalization, one softmax model",
    "ladder": "(b) Step by step",
    "beyond": "(c) Beyond the paper",
}


@style.look()
def ablation_ladder(table: Mapping[str, Any]) -> Figure:
    """A panel per part, a bar per rung from top to bottom, the published value as a diamond.

    `table`: as `ablation.json`: `of`, `wells`, and `rungs` with `part`, `name`, `accuracy` (a share, 0–1),
    `published` (likewise, or null) and, over several seeds, `low` and `high`; default: the Wilson 95 %
    interval.
    """
    parts = {part: [rung for rung in table["rungs"] if rung["part"] == part] for part in TITLES}
    parts = {part: rungs for part, rungs in parts.items() if rungs}
    if not parts or not table["wells"]:
        return style.note("No well has a known answer: there is nothing to score.")
    heights = [0.7 + 0.36 * len(rungs) for rungs in parts.values()]
    figure, axes = style.panels(len(parts), 1, 9.0, sum(heights) + 0.9, sharex="col")
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    for ax, (part, rungs) in zip(axes[:, 0], parts.items(), strict=True):
        _panel(ax, rungs, table["wells"])
        ax.xaxis.grid(True)
        ax.set_title(TITLES[part])
    style.percent(axes[-1, 0].xaxis)
    line = "least and largest of the seeds" if any("low" in rung for rung in table["rungs"]) else "Wilson 95 % interval"
    axes[-1, 0].set_xlabel(f"accuracy on {table['wells']:,} {table['of']} (line: {line})")
    handles: list[Any] = [Patch(facecolor=style.BLUE, label="this run")]
    if any(rung["published"] is not None for rungs in parts.values() for rung in rungs):
        handles.append(_diamond(label="published, on RxRx1"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _panel(ax: Axes, rungs: list[dict[str, Any]], wells: int) -> None:
    for y, rung in enumerate(rungs):
        low, high = wilson(round(rung["accuracy"] * wells), wells)
        low, high = rung.get("low", low), rung.get("high", high)
        ax.barh(y, rung["accuracy"], height=0.66, color=style.BLUE)
        ax.hlines(y, low, high, color=style.INK, linewidth=1.2)
        text = f"{rung['accuracy']:.2%}".replace("%", " %")
        if rung["published"] is not None:
            ax.add_line(_diamond([rung["published"]], [y]))
            text += f"  (published {rung['published']:.2%})".replace("%", " %")
        ax.text(1.03, y, text, va="center", fontsize=8.0)  # in a column: beside a diamond it would seem its value
    ax.set_yticks(range(len(rungs)), [rung["name"] for rung in rungs])
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    ax.set_ylim(len(rungs) - 0.4, -0.6)
    ax.set_xlim(0, 1.4)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["bottom"].set_bounds(0, 1)


def _diamond(x: list[float] | None = None, y: list[float] | None = None, label: str = "") -> Line2D:
    return Line2D(
        x or [], y or [], linestyle="", marker="D", markersize=5, markerfacecolor="white",
        markeredgecolor=style.VERMILLION, markeredgewidth=1.3, label=label, zorder=3,
    )  # fmt: skip
