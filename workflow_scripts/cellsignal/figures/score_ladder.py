"""The score ladder: what each step of the method adds."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.intervals import told

FINE = 5000  # wells; of fewer, a second decimal is less than a well


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder.

    `accuracy` is a share (0–1) of `wells`. A `reference` is a rung to compare with (a baseline, another
    normalization), which the others do not build on. `low`, `high`, `groups` and `unit` are of
    `intervals.Interval.record`; None: there is no line.
    """

    name: str
    accuracy: float
    wells: int
    reference: bool = False
    low: float | None = None
    high: float | None = None
    groups: int = 0
    unit: str = "experiment"


@style.look()
def score_ladder(rungs: Sequence[Rung], title: str = "Accuracy on the test wells") -> Figure:
    """Horizontal bars from the first rung (top) to the last, on an axis from 0 to 100 %.

    Printed: the accuracy, and by how many percentage points a rung lies above the first that is not a
    reference. (Not above its neighbour: rungs may be alternatives, such as ways of balancing.)
    """
    rungs = [rung for rung in rungs if rung.wells]
    if not rungs:
        return style.note("No well that was predicted has a known answer: there is nothing to score.")
    figure, axes = style.panels(1, 1, 9.0, 1.3 + 0.42 * len(rungs))
    ax = axes[0, 0]
    first = next((rung for rung in rungs if not rung.reference), None)
    digits = 2 if max(rung.wells for rung in rungs) >= FINE else 1
    for y, rung in enumerate(rungs):
        look = (
            {"color": "white", "edgecolor": style.MUTED, "hatch": "////"}
            if rung.reference
            else {"color": style.BLUE, "edgecolor": style.BLUE}
        )
        ax.barh(y, rung.accuracy, height=0.68, **look)
        if rung.low is not None and rung.high is not None:
            ax.hlines(y, rung.low, rung.high, color=style.INK, linewidth=1.2)
        text = f"{rung.accuracy:.{digits}%}".replace("%", " %")
        if first is not None and rung is not first and not rung.reference:
            text += f"  ({100 * (rung.accuracy - first.accuracy):+.{digits}f})".replace("-", "−")
        # Past the interval; the axis leaves room for it.
        ax.text(max(rung.high or 0.0, rung.accuracy) + 0.012, y, text, va="center", fontsize=8.5)
    wells = sorted({rung.wells for rung in rungs})
    names = [rung.name if len(wells) == 1 else f"{rung.name}\n{rung.wells:,} wells" for rung in rungs]
    ax.set_yticks(range(len(rungs)), names)
    ax.tick_params(axis="y", length=0, labelsize=9)
    ax.set_ylim(len(rungs) - 0.4, -0.6)
    ax.set_xlim(0, 1.22)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["bottom"].set_bounds(0, 1)
    style.percent(ax.xaxis)
    lines = [(rung.groups, rung.unit) for rung in rungs if rung.groups]
    ax.set_xlabel("accuracy: share of wells whose class is right" + (f" (line: {told(lines)})" if lines else ""))
    ax.set_title(title + (f" ({wells[0]:,})" if len(wells) == 1 else ""))
    handles = [Patch(facecolor="white", edgecolor=style.MUTED, hatch="////", label="reference")]
    if first is not None:
        steps = f"the recipe (in brackets: percentage points above “{first.name}”)"
        handles.insert(0, Patch(facecolor=style.BLUE, label=steps))
    if any(rung.reference for rung in rungs):
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    elif len(rungs) > 1:
        figure.legend(handles=handles[:1], loc="outside lower center")
    return figure
