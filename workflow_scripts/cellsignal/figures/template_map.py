"""A map of a model's templates: one point per class, for each head, without and with pseudo-labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellsignal.embedding import embed_tsne, unit_length
from cellsignal.figures import style

JUNK = "no sample"
HEADS = {"head": "Head that predicts", "margin_head": "Margin head"}  # of a model, in words
KINDS = {kind: look[:2] for kind, look in style.WELL_TYPES.items()} | {JUNK: (style.PURPLE, "X")}  # colour, marker
LABELLED = 60  # classes; more are not named on the map


@dataclass(frozen=True)
class TemplateMap:
    """Templates of one head on a map.

    Attributes:
        head: name of the head. title: the round.
        points: float (classes, 2).
        trustworthiness: of the map, 0–1; NaN of fewer than three classes.
        nearest: float (classes,), cosine of each template to the nearest other one; NaN of a single class.
        junk: (share of the nearest neighbours of junk templates that are junk, chance); None without junk.
    """

    head: str
    title: str
    points: np.ndarray
    trustworthiness: float
    nearest: np.ndarray
    junk: tuple[float, float] | None


def map_templates(templates: np.ndarray, samples: np.ndarray, head: str, title: str, seed: int) -> TemplateMap:
    """The map of one template matrix (classes, width); `samples` int (classes,): training sites of each class."""
    unit = unit_length(templates)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    mapped = embed_tsne(templates, len(templates), seed)
    junk = samples == 0
    found = None
    if 1 < junk.sum() < len(junk):
        k = min(10, int(junk.sum()) - 1)
        order = np.argsort(-cosine[junk], axis=1, kind="stable")[:, :k]
        found = float(junk[order].mean()), float((junk.sum() - 1) / (len(junk) - 1))
    nearest = cosine.max(axis=1) if len(cosine) > 1 else np.full(1, np.nan)
    return TemplateMap(head, title, mapped.points, mapped.trustworthiness, nearest, found)


@style.look()
def template_map(maps: Sequence[TemplateMap], classes: pd.DataFrame) -> Figure:
    """A column per head, a row per round. Of up to 4 classes a map is of principal components.

    `classes`: `name`, `well_type`, `samples` of each template's class.
    """
    heads, titles = (list(dict.fromkeys(values)) for values in zip(*((m.head, m.title) for m in maps), strict=True))
    kinds = np.where(classes["samples"] > 0, classes["well_type"], JUNK)
    figure, axes = style.panels(len(titles), len(heads), 5.2 * len(heads) + 0.6, 5.0 * len(titles) + 0.7)
    for ax in axes.flat:
        ax.axis("off")
    for one in maps:
        ax = axes[titles.index(one.title), heads.index(one.head)]
        ax.axis("on")
        _cloud(ax, one.points, kinds, classes["name"].tolist())
        ax.set_title(f"{HEADS.get(one.head, style.words(one.head))}, {one.title}\n{_numbers(one)}", fontsize=9)
        style.bare(ax)
    present = [kind for kind in KINDS if kind in set(kinds)]
    handles = [
        Line2D([], [], color=KINDS[kind][0], marker=KINDS[kind][1], linestyle="",
               label=f"{style.words(kind)} ({int((kinds == kind).sum()):,})")
        for kind in present
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _numbers(one: TemplateMap) -> str:
    if len(one.points) < 2:
        return "a single class: there is no other to compare it with"
    text = f"cosine to the nearest other: median {np.median(one.nearest):.2f}"
    if not np.isnan(one.trustworthiness):
        text = f"trustworthiness {one.trustworthiness:.2f}; {text}"
    if one.junk:
        text += f"\n{one.junk[0]:.0%} of the neighbours of junk are junk (chance {one.junk[1]:.0%})".replace("%", " %")
    return text.replace("-", "−")


def _cloud(ax: Axes, points: np.ndarray, kinds: np.ndarray, names: list[str]) -> None:
    for kind, (colour, marker) in KINDS.items():
        x, y = points[kinds == kind].T
        size = 16 if len(points) > LABELLED else 34
        ax.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0, alpha=0.85)
    if len(points) <= LABELLED:
        for name, (x, y), above in _named(points, names):
            offset, side = (5, "bottom") if above else (-5, "top")
            ax.annotate(
                name, (x, y), xytext=(0, offset), textcoords="offset points", fontsize=6.5, ha="center", va=side
            )  # fmt: skip
    ax.margins(0.08)
    ax.set_aspect("equal", adjustable="datalim")


def _named(points: np.ndarray, names: list[str]) -> Iterator[tuple[str, tuple[float, float], bool]]:
    """(name, point, above it or below) of the points whose name has room."""
    width, height = np.ptp(points, axis=0).clip(1e-9)
    taken: list[tuple[float, float, int]] = []  # centre of a name in shares of the panel, and its letters
    for name, (x, y) in zip(names, points / [width, height], strict=True):
        for above in (True, False):
            line = y + (0.02 if above else -0.02)
            # A letter is about 1.1 % of a panel wide, a line 2.3 % high; between two names there is one letter's room.
            if all(abs(x - u) > 0.0055 * (len(name) + n + 2) or abs(line - v) > 0.023 for u, v, n in taken):
                taken.append((x, line, len(name)))
                yield name, (x * width, y * height), above
                break
