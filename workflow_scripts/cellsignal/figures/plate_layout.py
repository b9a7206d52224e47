"""The plates of one experiment side by side: what stands in each well, and how often each kind of well occurs."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.figures import style
from cellsignal.figures.plate_map import CONTROLS, WELL_TYPES, draw_controls, draw_wells, has_positions

ACROSS = 4  # plates side by side
MOST = 12  # plates that are drawn
LISTED = 40  # positive-control classes that the table on the figure names


def fullest_experiment(wells: pd.DataFrame) -> str:
    """The experiment with the most plates; of those the one with the most wells; then the first by name."""
    counts = wells.groupby("experiment").agg(plates=("plate_id", "nunique"), wells=("plate_id", "size")).reset_index()
    best = counts.sort_values(["plates", "wells", "experiment"], ascending=[False, False, True])
    return str(best["experiment"].iloc[0])


def count_wells(wells: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Wells per plate by type, and per plate and positive-control class.

    `wells`: of `well_table`, of one experiment; `classes`: the class table. Returns `plate_id`, `of` (`well type` or
    `positive control`), `name` (the type, or the class) and `wells`; combinations that do not occur count 0.
    """
    plates = sorted(set(wells["plate_id"]))
    names = classes.set_index("sirna")["name"]
    positive = wells[wells["well_type"] == "positive_control"]
    types = [kind for kind in WELL_TYPES if kind in set(wells["well_type"])]
    parts = [
        ("well type", wells["plate_id"], wells["well_type"], types),
        ("positive control", positive["plate_id"], positive["sirna"], sorted(set(positive["sirna"]))),
    ]
    rows = []
    for of, plate, value, values in parts:
        counts = pd.Series(1, index=pd.MultiIndex.from_arrays([plate, value])).groupby(level=[0, 1]).sum()
        for one in values:
            name = style.words(one) if of == "well type" else str(names[one])
            rows += [(p, of, name, int(counts.get((p, one), 0))) for p in plates]
    return pd.DataFrame(rows, columns=["plate_id", "of", "name", "wells"])


@style.look()
def plate_layout(wells: pd.DataFrame, counts: pd.DataFrame, rows: int = 16, columns: int = 24) -> Figure:
    """Maps of the plates of one experiment by well type and by positive control, then tables of counts.

    `wells`: of `well_table`, of one experiment; `counts`: of `count_wells`; `rows` × `columns` is the size of a
    plate. Four plates stand side by side, further ones below them, at most twelve in all. Without positions of
    wells there are tables only; without positive controls nothing is shown of them.
    """
    every = sorted(set(wells["plate_id"]))
    plates = every[:MOST]
    controls = sorted(set(wells.loc[wells["well_type"] == "positive_control", "sirna"]))
    kinds = (["types", "controls"] if controls else ["types"]) if has_positions(wells) else []
    across = min(ACROSS, len(plates))
    cell = min(0.3, 3.4 / columns)  # inches per well
    map_high = rows * cell + 0.65
    blocks = [plates[i : i + across] for i in range(0, len(plates), across)]
    tables = [table for of, table in counts.groupby("of", sort=False) if len(table)][::-1]  # well types first
    tables = sorted(tables, key=lambda table: table["of"].iloc[0] != "well type")
    lines = [min(LISTED + 1, table["name"].nunique()) + 2.2 for table in tables]
    heights = [map_high] * (len(blocks) * len(kinds)) + [0.17 * count for count in lines]
    width = max(7.0, across * max(2.2, columns * cell + 0.35))
    figure = Figure(figsize=(width, sum(heights) + 0.9), layout="constrained")
    grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
    for b, block in enumerate(blocks if kinds else []):
        for k, kind in enumerate(kinds):
            for column, plate_id in enumerate(block):
                ax = figure.add_subplot(grid[b * len(kinds) + k, column])
                plate = wells[wells["plate_id"] == plate_id]
                if kind == "types":
                    draw_wells(ax, plate, "well_type", WELL_TYPES, rows, columns, cell)
                    ax.set_title(f"{plate_id}\n{len(plate):,} wells", fontsize=9)
                else:
                    draw_controls(ax, plate, controls, rows, columns, cell)
                    found = plate.loc[plate["well_type"] == "positive_control", "sirna"].nunique()
                    ax.set_title(f"{found} class{'' if found == 1 else 'es'} of positive controls", fontsize=9)
    for table, row in zip(tables, range(len(heights) - len(tables), len(heights)), strict=True):
        _counts(figure.add_subplot(grid[row, :]), table, plates)
    shown = "" if len(plates) == len(every) else f": the first {len(plates)} of its {len(every)} plates"
    figure.suptitle(f"{wells['experiment'].iloc[0]}, {wells['cell_type'].iloc[0]}{shown}", x=0.01, ha="left")
    if kinds:
        entries = [entry for kind, entry in WELL_TYPES.items() if kind in set(wells["well_type"])]
        entries += [CONTROLS[0]] if controls else []
        handles = [
            Line2D([], [], color=colour, marker=marker, linestyle="", markersize=8, label=label)
            for label, colour, marker in entries
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)
    return figure


def _counts(ax: Axes, table: pd.DataFrame, plates: Sequence[str]) -> None:
    """A table of counts as text: a line per type or class, a column per plate, and their sum.

    Positive-control classes are numbered as on the maps. A class that occurs otherwise than on most of the plates
    stands in bold.
    """
    of = table["of"].iloc[0]
    wide = table.pivot_table(index="name", columns="plate_id", values="wells", sort=False)
    total, wide = wide.sum(axis=1).tolist(), wide[list(plates)]
    usual = table["wells"].mode().iloc[0]
    listed = wide.iloc[:LISTED]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(len(listed) + (len(wide) > LISTED) + 1.2, -1.2))
    edges = [0.3 + 0.62 * (i + 1) / (len(plates) + 1) for i in range(len(plates) + 1)]
    text: dict[str, Any] = {"fontsize": 7.5, "va": "center"}
    ax.text(0, -0.6, f"wells by {of}", weight="bold", **text)
    for x, name in zip(edges, [*plates, "experiment"], strict=True):
        ax.text(x, -0.6, name, ha="right", weight="bold", **text)
    ax.axhline(0, color=style.MUTED, linewidth=0.8)
    for y, (key, values) in enumerate(listed.iterrows()):
        label = f"{y + 1}  {key}" if of == "positive control" else str(key)
        ax.text(0, y + 0.6, label, **text)
        for x, value in zip(edges, [*values, total[y]], strict=True):
            odd = of == "positive control" and x != edges[-1] and value != usual
            ax.text(x, y + 0.6, f"{int(value):,}", ha="right", weight="bold" if odd else "normal", **text)
    if len(wide) > LISTED:
        ax.text(0, len(listed) + 0.6, f"and {len(wide) - LISTED:,} more, which are in the table", **text)
