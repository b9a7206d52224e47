"""Training curves of every model, fold, cell type and round."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style

ALL_CELLS = "all cell types"
LABELS = {"loss": "loss", "consistency": "consistency loss", "accuracy": "accuracy (sites)"}
DASHED = (0, (2, 1.5))  # training; solid: validation


@style.look()
def training_curves(history: pd.DataFrame) -> Figure:
    """Rows of panels per model (loss, consistency loss if any, accuracy), a column per stage: all cell
    types, then each cell type.

    `history`: the runs' histories one below another, with columns `model`, `fold`, `cell_type` (empty: stage
    1, all cell types), `round` (0 for stage 1), `epoch`, `loss`, `accuracy`, `validation_loss`,
    `validation_accuracy` and, for mean teachers, `consistency`. Accuracies are shares (0–1) of sites; values
    may be missing. One line per fold; the colour tells the round.
    """
    if history.empty:
        return style.note("No model was trained.")
    history = history.assign(stage=history["cell_type"].fillna("").replace("", ALL_CELLS))
    models = list(dict.fromkeys(history["model"]))
    stages = sorted(set(history["stage"]), key=lambda stage: (stage != ALL_CELLS, stage))
    rounds = sorted(set(history["round"]))
    drawn_rows = [
        (model, quantity)
        for model in models
        for quantity in ("loss", "consistency", "accuracy")
        if quantity != "consistency" or _consistent(history[history["model"] == model])
    ]
    rows = len(drawn_rows)
    figure, axes = style.panels(rows, len(stages), max(6.5, 2.7 * len(stages) + 0.8), 1.75 * rows + 0.8, sharey="row")
    for line, (model, quantity) in zip(axes, drawn_rows, strict=True):
        for ax, stage in zip(line, stages, strict=True):
            runs = history[(history["model"] == model) & (history["stage"] == stage)]
            _panel(ax, runs, quantity, rounds)
            style.whole(ax.xaxis)
            folds = runs["fold"].nunique()
            if quantity == "loss" and folds:
                ax.set_title(f"{model}, {stage} ({folds} fold{'s' if folds > 1 else ''})", fontsize=9)
            if quantity == "accuracy":
                ax.set_xlabel("epoch")
        drawn = [ax for ax in line if ax.axison]
        drawn[0].set_ylabel(LABELS[quantity])
        drawn[0].tick_params(labelleft=True)
        if quantity != "accuracy":
            for ax in drawn:
                style.logarithmic(ax)
    lines = [
        Line2D([], [], color=style.INK, label="validation"),
        Line2D([], [], color=style.INK, linestyle=DASHED, linewidth=1, label="training"),
    ]
    if len(rounds) > 1:
        lines += [Line2D([], [], color=_colour(r, rounds), linewidth=3, label=f"round {r}") for r in rounds]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(8, len(lines)))
    return figure


def _colour(round_: int, rounds: list[int]) -> str:
    return style.CYCLE[rounds.index(round_) % len(style.CYCLE)]


def _panel(ax: Axes, runs: pd.DataFrame, quantity: str, rounds: list[int]) -> None:
    if runs.empty or (quantity == "consistency" and not runs["consistency"].fillna(0).any()):
        ax.axis("off")
        return
    _lines(ax, runs, quantity, rounds, DASHED, 1.0)
    if quantity != "consistency":
        _lines(ax, runs, f"validation_{quantity}", rounds, "-", 1.3)
    if quantity != "accuracy":
        return
    ax.set_ylim(0, 1)
    style.percent(ax.yaxis)
    ended = runs.dropna(subset=["validation_accuracy"])
    if not ended.empty:
        last = ended.sort_values("epoch").groupby(["round", "fold"])["validation_accuracy"].last()
        means = last.groupby("round").mean()
        ends = " → ".join(f"{100 * mean:.1f}" for mean in means)  # by round
        ax.set_title(f"validation at the end: {ends} %", fontsize=8, color=style.MUTED, pad=3)
    else:
        ax.set_title("no validation: none was held out", fontsize=8, color=style.MUTED, pad=3)


def _lines(
    ax: Axes,
    runs: pd.DataFrame,
    column: str,
    rounds: list[int],
    dash: str | tuple[int, tuple[float, ...]],
    width: float,
) -> None:
    for _, run in runs.groupby(["round", "fold"], sort=True):
        colour = _colour(int(run["round"].iloc[0]), rounds)
        run = run.dropna(subset=[column]).sort_values("epoch")
        values = run[column].to_numpy(dtype=float)
        if len(values) and np.any(values != 0):
            marker = "o" if len(values) == 1 else None  # a single epoch is no line
            ax.plot(
                run["epoch"], values, color=colour, linestyle=dash, linewidth=width,
                marker=marker, markersize=3, alpha=0.85,
            )  # fmt: skip


def _consistent(history: pd.DataFrame) -> bool:
    """Whether any run of the history had a consistency loss."""
    return "consistency" in history and bool(history["consistency"].fillna(0).any())
