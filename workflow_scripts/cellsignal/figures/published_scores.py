"""Published scores on RxRx1, the leaderboard among them, with this run's score in its place."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cellsignal.figures import style
from cellsignal.published import Score

LOOKS = {
    "own": ("this run", {"color": style.BLUE, "edgecolor": style.BLUE}),
    "private": ("published, on Kaggle's private test wells", {"color": "#BBBBBB", "edgecolor": style.MUTED}),
    "other": ("other wells: not to be compared exactly",
              {"color": "white", "edgecolor": style.MUTED, "hatch": "////"}),
}  # fmt: skip


def ranked(published: Sequence[Score], own: Score | None) -> list[Score]:
    """All scores, the best first; this run's before an equal one."""
    scores = [*([own] if own else []), *published]
    return sorted(scores, key=lambda score: -score.accuracy)


@style.look()
def published_scores(scores: Sequence[Score], remark: str = "") -> Figure:
    """A bar per score in the given order, the axis from 0 to 100 %; `remark` is written below."""
    figure, axes = style.panels(1, 1, 10.0, 1.5 + 0.36 * len(scores))
    ax = axes[0, 0]
    for y, score in enumerate(scores):
        look = dict(LOOKS["private" if score.private else "other"][1])
        if score.own:
            look |= {"edgecolor": style.BLUE} | ({"color": style.BLUE} if score.private else {})
        ax.barh(y, score.accuracy, height=0.7, **look)
        text = f"{100 * score.accuracy:.{3 if score.private else 2}f} %"
        ax.text(score.accuracy + 0.01, y, text, va="center", fontsize=8, weight="bold" if score.own else "normal")
    labels = [f"{score.name}\n{score.wells}".replace("; images", ";\nimages") for score in scores]
    ax.set_yticks(range(len(scores)), labels, fontsize=7.5)
    for tick, score in zip(ax.get_yticklabels(), scores, strict=True):
        tick.set_weight("bold" if score.own else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(scores) - 0.4, -0.6)
    ax.set_xlim(0, 1.12)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    ax.spines["bottom"].set_bounds(0, 1)
    style.percent(ax.xaxis)
    ax.set_xlabel("accuracy: share of wells whose siRNA is right")
    shown = [kind for kind in LOOKS if kind != "own" or any(score.own for score in scores)]
    handles = [Patch(label=LOOKS[kind][0], **_patch(LOOKS[kind][1])) for kind in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title=remark or None,
                  title_fontsize=8)  # fmt: skip
    return figure


def _patch(look: dict[str, str]) -> dict[str, Any]:
    return {"facecolor" if key == "color" else key: value for key, value in look.items()}
