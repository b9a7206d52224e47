"""The score ladder: what each step of the method adds."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.figures.intervals import wilson

FINE = 5000  # wells; of fewer, a second decimal is less than a well


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder.

    `accuracy` is a share (0–1) of `wells`. A `reference` is a rung to compare with (a baseline, another
    normalization), which the others do not build on. `spread` is a (low, high) to draw, such as over
    folds; by default the Wilson 95 % interval.
    """

    name: str
    accuracy: float
    wells: int
    reference: bool = False
    spread: tuple[float, float] | None = None


@style.look()
def score_ladder(rungs: Sequence[Rung], title: str = "Accuracy on the test wells") -> Figure:
    """Horizontal bars from the first rung (top) to the last, on an axis from 0 to 100 %.

    Printed: the accuracy, and by how many percentage points a rung lies above the first that is not a
    reference. (Not above its neighbour: rungs may be alternatives, such as ways of balancing.)
    """
    rungs = [rung for rung in rungs if rung.wells]
    if not rungs:
        return style.note("No well has a known answer: there is nothing to score.")
    figure, axes = style.panels(1, 1, 9.0, 1.3 + 0.42 * len(rungs))
    ax = axes[0, 0]
    first = next((rung for rung in rungs if not rung.reference), None)
    digits = 2 if max(rung.wells for rung in rungs) >= FINE else 1
    for y, rung in enumerate(rungs):
        low, high = rung.spread or wilson(round(rung.accuracy * rung.wells), rung.wells)
        look = (
            {"color": "white", "edgecolor": style.MUTED, "hatch": "////"}
            if rung.reference
            else {"color": style.BLUE, "edgecolor": style.BLUE}
        )
        ax.barh(y, rung.accuracy, height=0.68, **look)
        ax.hlines(y, low, high, color=style.INK, linewidth=1.2)
        text = f"{rung.accuracy:.{digits}%}".replace("%", " %")
        if first is not None and rung is not first and not rung.reference:
            text += f"  ({100 * (rung.accuracy - first.accuracy):+.{digits}f})".replace("-", "−")
        # Past the interval; the axis leaves room for it.
        ax.text(max(high, rung.accuracy) + 0.012, y, text, va="center", fontsize=8.5)
    wells = sorted({rung.wells for rung in rungs})
    names = [rung.name if len(wells) == 1 else f"{rung.name}\n{rung.wells:,} wells" for rung in rungs]
    ax.set_yticks(range(len(rungs)), names)
    ax.tick_params(axis="y", length=0, labelsize=9)
    ax.set_ylim(len(rungs) - 0.4, -0.6)
    ax.set_xlim(0, 1.22)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["bottom"].set_bounds(0, 1)
    style.percent(ax.xaxis)
    line = "spread" if any(rung.spread for rung in rungs) else "Wilson 95 % interval"
    ax.set_xlabel(f"accuracy: share of wells whose class is right (line: {line})")
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
