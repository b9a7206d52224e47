"""How many training wells each class has: the sets of equally large classes, and who contributes."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellsignal.figures import style

MOST_SETS = 10  # per well type; more different sizes are drawn in intervals
LEAST = 0.5  # classes, where bars start


def count_samples(sites: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """One row per class: `sirna`, `name`, `well_type`, training `wells` and `sites`, and `wells_{cell type}`.

    Counted are the wells of the train experiments. A class without any (zeros) is a junk class of the
    explainability paper: the model has a template for it, of which nothing was learned.
    """
    train = sites[(sites["dataset"] == "train") & (sites["sirna"] >= 0)]
    wells = train.drop_duplicates("well_id")
    table = classes[["sirna", "name", "well_type"]].sort_values("sirna", ignore_index=True)
    table["wells"] = table["sirna"].map(wells["sirna"].value_counts()).fillna(0).astype(np.int64)
    table["sites"] = table["sirna"].map(train["sirna"].value_counts()).fillna(0).astype(np.int64)
    for cell_type, part in wells.groupby("cell_type", sort=True):
        counts = table["sirna"].map(part["sirna"].value_counts())
        table[f"wells_{cell_type}"] = counts.fillna(0).astype(np.int64)
    return table


def sets_of_classes(samples: pd.DataFrame) -> pd.DataFrame:
    """Classes that have equally many wells (Table 1 of the explainability paper): `well_type`, `wells`, `classes`."""
    sets = samples.groupby(["wells", "well_type"]).size().reset_index(name="classes")
    return sets[["well_type", "wells", "classes"]]


@style.look()
def samples_per_class(samples: pd.DataFrame) -> Figure:
    """Bars: how many classes have so many wells. Steps: the wells of every class, by cell type.

    `samples`: of `count_samples`.
    """
    sets = sets_of_classes(samples)
    bars = _bars(sets)
    figure, axes = style.panels(1, 2, 10.5, max(3.4, 1.8 + 0.3 * len(bars)))
    left, right = axes[0]
    _sets(left, sets, bars)
    _steps(right, samples)
    handles, labels = left.get_legend_handles_labels()
    of_cells, cells = right.get_legend_handles_labels()
    figure.legend(handles + of_cells, labels + cells, loc="outside lower center", ncols=min(7, len(labels + cells)))
    return figure


def _intervals(sizes: list[int]) -> list[tuple[int, int]]:
    """(least, largest) number of wells per bar: one bar per number, or intervals of equal width."""
    if len(sizes) <= MOST_SETS:
        return [(size, size) for size in sizes]
    edges = np.linspace(sizes[0], sizes[-1] + 1, MOST_SETS + 1).round().astype(int).tolist()
    return [(low, high - 1) for low, high in pairwise(edges) if high > low]


def _bars(sets: pd.DataFrame) -> list[tuple[str, int, int, int]]:
    """(well type, least, largest number of wells, classes) of each bar."""
    bars = []
    for kind in (kind for kind in style.WELL_TYPES if kind in set(sets["well_type"])):
        of_kind = sets[sets["well_type"] == kind]
        for low, high in _intervals(sorted(set(of_kind["wells"]))):
            count = int(of_kind.loc[of_kind["wells"].between(low, high), "classes"].sum())
            bars += [(kind, low, high, count)] * (count > 0)
    return bars


def _sets(ax: Axes, sets: pd.DataFrame, bars: list[tuple[str, int, int, int]]) -> None:
    for kind, (colour, _, hatch, _) in style.WELL_TYPES.items():
        rows = [(y, count) for y, (of_kind, _, _, count) in enumerate(bars) if of_kind == kind]
        if rows:
            at, counts = zip(*rows, strict=True)
            # From a half on, so that a single class is a bar, too.
            widths = np.subtract(counts, LEAST)
            ax.barh(at, widths, left=LEAST, color=colour, hatch=hatch, edgecolor="white", label=style.words(kind))
    for y, (_, _, _, count) in enumerate(bars):
        ax.text(count, y, f" {count:,}", va="center", fontsize=8)
    names = [f"{low:,}" if low == high else f"{low:,}–{high:,}" for _, low, high, _ in bars]
    ax.set_yticks(range(len(bars)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(LEAST, 3 * max(count for *_, count in bars))
    style.logarithmic(ax, "x")
    ax.set_xlabel("classes (log scale)")
    ax.set_ylabel("training wells of the class")
    junk = int(sets.loc[sets["wells"] == 0, "classes"].sum())
    ax.set_title(f"{int(sets['classes'].sum()):,} classes, {junk:,} of them without a sample")


def _steps(ax: Axes, samples: pd.DataFrame) -> None:
    ordered = samples.sort_values(["wells", "sirna"], ascending=[False, True])
    cells = [column.removeprefix("wells_") for column in samples.columns if column.startswith("wells_")]
    looks = style.cell_type_styles(cells)
    x = np.arange(len(ordered) + 1) - 0.5
    below = np.zeros(len(ordered))
    for cell_type in cells:
        above = below + ordered[f"wells_{cell_type}"].to_numpy()
        colour = looks[cell_type][0]
        ax.fill_between(x, _held(below), _held(above), step="post", color=colour, linewidth=0, label=cell_type)
        ax.step(x, _held(above), where="post", color="white", linewidth=0.6)
        below = above
    ax.set_xlim(-0.5, len(ordered) - 0.5)
    ax.set_ylim(0, None)
    style.whole(ax.xaxis)
    ax.yaxis.grid(True)
    ax.set_xlabel("classes, the largest first")
    ax.set_ylabel("training wells")
    least, most = ordered["wells"].min(), ordered["wells"].max()
    ax.set_title(f"{least:,} to {most:,} wells per class")


def _held(values: np.ndarray) -> np.ndarray:
    """Values for a step that ends where the last class does."""
    return np.append(values, values[-1:])
