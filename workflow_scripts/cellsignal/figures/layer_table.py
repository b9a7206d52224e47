"""The layers of a network as a table."""

import pandas as pd
from matplotlib.figure import Figure

from cellsignal.figures import style

LINE = 0.19  # inches
COLUMNS = {"name": ("layer", 0.0, "left"), "kind": ("kind", 0.5, "left")}
NUMBERS = {"output": ("output: channels × height × width", 0.85, "right"), "weights": ("weights", 1.0, "right")}


@style.look()
def layer_table(layers: pd.DataFrame, title: str) -> Figure:
    """`layers`, of `layers.layer_table`, as a table with the sum of weights below."""
    lines = len(layers) + 2
    figure, axes = style.panels(1, 1, 9.0, LINE * (lines + 1) + 0.5)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(lines + 0.2, -0.2))
    ax.set_title(title)
    columns = COLUMNS | NUMBERS
    for head, x, align in columns.values():
        ax.text(x, 0.4, head, ha=align, va="center", weight="bold", fontsize=8)
    for i, row in enumerate(layers.to_dict("records")):
        if i % 2:
            ax.axhspan(i + 0.9, i + 1.9, color="#F4F4F4", zorder=0)
        for column, (_, x, align) in columns.items():
            text = f"{row[column]:,}" if column == "weights" else str(row[column]) or "–"
            ax.text(x, i + 1.4, text, ha=align, va="center", fontsize=8)
    for y in (0.9, len(layers) + 0.9):
        ax.axhline(y, color=style.MUTED, linewidth=0.8)
    ax.text(0, len(layers) + 1.4, "all layers", va="center", weight="bold", fontsize=8)
    ax.text(1, len(layers) + 1.4, f"{layers['weights'].sum():,}", ha="right", va="center", weight="bold", fontsize=8)
    return figure
