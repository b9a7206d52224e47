"""Plate maps: what stands where, and where the model errs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style

WELL_TYPES = {kind: (style.words(kind), *look[:2]) for kind, look in style.WELL_TYPES.items()}
OUTCOMES = {
    "correct": ("class found", style.BLUE, "o"),
    "wrong": ("another called", style.ORANGE, "X"),
    "unknown": ("class not known, or well not called", "#BBBBBB", "."),
}
CONTROLS = (
    ("positive control, by number of its class", style.BLUE, "s"),
    ("any other well", style.FAINT, "o"),
)


def has_positions(sites: pd.DataFrame) -> bool:
    """Whether any site (or well) of the table has a row and a column on its plate (−1: none)."""
    return bool(((sites["row"] >= 0) & (sites["column"] >= 0)).any())


@style.look()
def plate_map(wells: pd.DataFrame, plate_ids: Sequence[str], rows: int = 16, columns: int = 24) -> Figure:
    """For each of `plate_ids` maps of well types, of positive controls by class where any plate has them, and of
    whether a class was found.

    `wells`: one row per well, columns `plate_id`, `row`, `column` (0-based, −1 without a position),
    `well_type`, `outcome` (`correct`, `wrong`, `unknown`), `sirna` int (numbers the positive controls).
    `rows` × `columns` is the size of a plate. A screen without positions gets a note instead.
    """
    wells = wells[wells["plate_id"].isin(list(plate_ids))]
    if not has_positions(wells):
        return style.note("The wells of this screen have no row and column: there is no plate to draw.")
    cell = min(0.35, 6.6 / columns)  # inches per well
    controls = sorted(set(wells.loc[wells["well_type"] == "positive_control", "sirna"]))
    maps = 3 if controls else 2
    width, height = maps * max(3.0, columns * cell + 0.4), len(plate_ids) * (rows * cell + 0.8) + 1.0
    figure, axes = style.panels(len(plate_ids), maps, width, height)
    for (left, *centre, right), plate_id in zip(axes, plate_ids, strict=True):
        plate = wells[wells["plate_id"] == plate_id]
        draw_wells(left, plate, "well_type", WELL_TYPES, rows, columns, cell)
        left.set_title(f"{plate_id}\nwell types", fontsize=9)
        if centre:
            draw_controls(centre[0], plate, controls, rows, columns, cell)
        draw_wells(right, plate, "outcome", OUTCOMES, rows, columns, cell)
        right.set_title(f"{plate_id}\n{_found(plate['outcome'])}", fontsize=9)
    legends = [WELL_TYPES.values(), *[CONTROLS] * bool(controls), OUTCOMES.values()]
    for ax, entries in zip(axes[-1], legends, strict=True):
        ax.legend(
            handles=[
                Line2D([], [], color=colour, marker=marker, linestyle="", markersize=8, label=label)
                for label, colour, marker in entries
            ],
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            handletextpad=0.2,
        )
    return figure


def _found(outcome: pd.Series) -> str:
    known = int((outcome != "unknown").sum())
    return (
        f"{int((outcome == 'correct').sum()):,} of {known:,} wells found"
        if known
        else "no well was called, or no class is known"
    )


def draw_controls(ax: Axes, plate: pd.DataFrame, controls: list[int], rows: int, columns: int, cell: float) -> None:
    """Positive controls in the colour of their class, with its number in their order; other wells faint."""
    others = plate[plate["well_type"] != "positive_control"]
    size = (cell * 72 * 0.78) ** 2  # points², most of a well
    ax.scatter(others["column"], others["row"], s=size, c=style.FAINT, marker="o", linewidths=0)
    positive = plate[plate["well_type"] == "positive_control"]
    for row in positive.to_dict("records"):
        number = controls.index(row["sirna"])
        colour = style.CYCLE[number % len(style.CYCLE)]
        ax.scatter(row["column"], row["row"], s=size, c=colour, marker="s", linewidths=0)
        ink = "white" if colour in style.DARK else style.INK
        ax.text(
            row["column"], row["row"], str(number + 1), ha="center", va="center_baseline", fontsize=7, color=ink,
            weight="bold",
        )  # fmt: skip
    _frame(ax, rows, columns)
    ax.set_title(f"{plate['plate_id'].iloc[0]}\n{_classes(positive['sirna'].nunique())}", fontsize=9)


def _classes(count: int) -> str:
    return f"{count} class{'' if count == 1 else 'es'} of positive controls"


def draw_wells(
    ax: Axes,
    plate: pd.DataFrame,
    column: str,
    kinds: dict[str, tuple[str, str, str]],
    rows: int,
    columns: int,
    cell: float,
) -> None:
    """The wells of one plate, each in the colour and mark of its kind in `column`; `cell`: inches per well."""
    for kind, (_, colour, marker) in kinds.items():
        of_kind = plate[plate[column] == kind]
        size = (cell * 72 * 0.78) ** 2  # points², most of a well
        ax.scatter(of_kind["column"], of_kind["row"], s=size, c=colour, marker=marker, linewidths=0)
    _frame(ax, rows, columns)


def _frame(ax: Axes, rows: int, columns: int) -> None:
    """The wells of a plate as a grid, with its letters and numbers."""
    ax.set_xlim(-0.6, columns - 0.4)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.set_aspect("equal")
    ax.set_xticks(range(columns), [str(i + 1) for i in range(columns)], fontsize=7)
    ax.set_yticks(range(rows), [_letters(i) for i in range(rows)], fontsize=7)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(True, which="minor")
    ax.tick_params(which="both", length=0, labelbottom=False, labeltop=True)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _letters(row: int) -> str:
    """A … Z, AA … AF: the rows of plates of up to 1,536 wells."""
    return chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
