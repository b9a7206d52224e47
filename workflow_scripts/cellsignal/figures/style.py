"""The one look of all figures: fonts, sizes, colours per cell type and per channel, and how to save.

Colours are from Okabe & Ito's palette (https://jfly.uni-koeln.de/color/), which colour-blind readers can
tell apart; its yellow, which fades on white, is left out. Where colour carries a meaning, a marker, a hatch
or a label carries it too, so that figures survive printing in grey.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import AutoLocator, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from cellsignal.errors import BadInput
from cellsignal.files import atomic

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, BLACK, GREY = "#56B4E9", "#D55E00", "#000000", "#999999"
INK, MUTED, FAINT = "#222222", "#707070", "#DDDDDD"  # text; secondary text and lines; grids and empty

DARK = (BLUE, GREEN, VERMILLION, BLACK)  # white text can be read on these
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

CELL_TYPES = {"HUVEC": (BLUE, "o"), "RPE": (ORANGE, "s"), "HEPG2": (GREEN, "^"), "U2OS": (PURPLE, "D")}
"""Colour and marker of the RxRx1 cell types; others take what is left, see `cell_type_styles`."""

WELL_TYPES = {
    "treatment": (MUTED, "o", "", "-"),
    "positive_control": (VERMILLION, "s", "////", (0, (4, 1.5))),
    "negative_control": (BLACK, "D", "....", (0, (1.5, 1))),
}
"""Colour, marker, hatch and dash of the well types; none of the colours is a cell type's."""

CHANNEL_RGB = ((19, 0, 249), (42, 255, 31), (255, 0, 25), (45, 255, 252), (250, 0, 253), (254, 255, 40))
"""Colours that the users of RxRx1 know its channels w1 to w6 by, 0–255 (rxrx1-utils, `rxrx.io`)."""

NAMED_RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
"""Channels that are named after a colour, as in the Human Protein Atlas, keep it."""

LOOK: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "image.interpolation": "nearest",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 130.0,
    "svg.fonttype": "path",  # text as outlines: no font is needed to see it as it was drawn
    "svg.hashsalt": "cellsignal",  # else the ids in an SVG are random
}


@contextmanager
def look() -> Iterator[None]:
    """Context, and with `@look()` decorator, in which figures get the one look."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc must not change a figure
        mpl.rcParams.update(LOOK)
        yield


def save(figure: Figure, path: str | Path) -> None:
    """Write `figure` to `path`, a `.png` or `.svg`, atomically; the same figure gives the same bytes.

    Raises `BadInput` for any other suffix.
    """
    suffix = Path(path).suffix
    # Without these the writers add matplotlib's version and the date.
    metadata: dict[str, dict[str, None]] = {
        ".png": {"Software": None},
        ".svg": {"Creator": None, "Date": None},
    }
    if suffix not in metadata:
        raise BadInput(f"{path}: a figure's file ends in .png or .svg, found {suffix or 'no suffix'}")
    with look(), atomic(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=metadata[suffix])


def save_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table behind a figure as CSV, atomically: six significant digits, without the index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def panels(
    rows: int,
    columns: int,
    width: float,
    height: float,
    *,
    sharex: bool | Literal["col"] = False,
    sharey: bool | Literal["row"] = False,
    close: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure of `width` × `height` inches with `rows` × `columns` axes (a 2-D object array).

    `close`: with next to no room between the panels, for grids of images. Not made by pyplot, so nothing
    stays open.
    """
    room: dict[str, Any] = {"w_pad": 0.02, "h_pad": 0.02, "wspace": 0.0, "hspace": 0.0} if close else {}
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(**room))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey, height_ratios=height_ratios)
    return figure, axes


@look()
def note(text: str, width: float = 7.0) -> Figure:
    """A figure that only says `text`: for what a screen does not have."""
    figure, axes = panels(1, 1, width, 1.4)
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=axes[0, 0].transAxes)
    return figure


def percent(axis: Axis, grid: bool = True) -> None:
    """Label an axis of shares (0–1) in percent, and draw its grid."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    if isinstance(axis.get_major_locator(), AutoLocator):
        axis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # no tick at 12.5 %, which would read 12 %
    if grid:
        axis.grid(True)


def logarithmic(ax: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with plain numbers, and enough of them where it spans less than a decade.

    To be called when the data is drawn.
    """
    ax.set(**{f"{which}scale": "log"})
    axis, (low, high) = (ax.yaxis, ax.get_ylim()) if which == "y" else (ax.xaxis, ax.get_xlim())
    if high / low < 1.05:  # all values alike: between two close limits there would be no plain number to write
        low, high = low / 1.1, high * 1.1
        ax.set(**{f"{which}lim": (low, high)})
    span = high / low
    subs = (1,) if span > 300 else (1, 2, 5) if span > 10 else (1, 1.5, 2, 3, 5, 7)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
    axis.grid(True)


def whole(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(integer=True))


def bare(ax: Axes) -> None:
    """Leave an image alone: no ticks, no frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def words(name: str) -> str:
    """A name of the data, such as `endoplasmic_reticulum`, as people write it."""
    return name.replace("_", " ")


def counted(count: int, noun: str) -> str:
    """`1 well`, `1,108 wells`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def footnote(figure: Figure, text: str) -> None:
    """Write `text` below a figure, in as many lines as its width asks for."""
    figure.supxlabel(fill(text, int(15 * figure.get_figwidth())), fontsize=8)  # letters of 8 points per inch


def row_label(ax: Axes, text: str, inches: float) -> None:
    """Write `text` along the left of a row of images, `inches` high, as large as fits (at most 8 points)."""
    longest = max(len(line) for line in text.split("\n"))
    ax.set_ylabel(text, fontsize=min(8.0, 72 * inches / (0.66 * max(longest, 1))))  # em per letter


def cell_type_styles(cell_types: Iterable[str]) -> dict[str, tuple[str, str]]:
    """{cell type: (colour, marker)}; the known ones have theirs, others take the rest in sorted order."""
    names = sorted(set(cell_types))
    unknown = [name for name in names if name not in CELL_TYPES]
    taken = [CELL_TYPES[name] for name in names if name in CELL_TYPES]
    free = [pair for pair in zip(CYCLE, MARKERS, strict=True) if pair not in taken]
    others = {name: free[i % len(free)] for i, name in enumerate(unknown)}
    return {name: {**CELL_TYPES, **others}[name] for name in names}


def group_style(index: int) -> tuple[str, str]:
    """(colour, marker) of the `index`-th of many groups: 56 different pairs, then again; none is grey."""
    return CYCLE[index % (len(CYCLE) - 1)], MARKERS[index % len(MARKERS)]  # 7 and 8 share no divisor


def channel_colours(channels: Sequence[str]) -> np.ndarray:
    """RGB per channel for composites, float (channels, 3) in 0–1.

    A single channel is grey, channels named after a colour have it, others take RxRx1's in order.
    """
    if len(channels) == 1:
        return np.ones((1, 3))
    if all(name.lower() in NAMED_RGB for name in channels):
        return np.array([NAMED_RGB[name.lower()] for name in channels]) / 255
    return np.array([CHANNEL_RGB[i % len(CHANNEL_RGB)] for i in range(len(channels))]) / 255
