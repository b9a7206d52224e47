"""Nearest neighbours of example wells, in other experiments."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellsignal.figures import style
from cellsignal.figures.site_images import composite, stretch

TILE = 1.75  # inches


@style.look()
def neighbour_grid(
    neighbours: pd.DataFrame, images: dict[str, np.ndarray], channels: Sequence[str], queries: Sequence[str]
) -> Figure:
    """A row per query: its composite, then those of its nearest wells, with their class and cosine.

    `neighbours`: one row per query and neighbour: `well_id`, `site_id` and `class_name` of the query; `rank` from
    1, `neighbour_site_id`, `neighbour_experiment`, `neighbour_class_name` (empty: withheld),
    `neighbour_called`, `cosine`. `images`:
    site → (channels, h, w) uint8 or uint16. `queries`: the queries' sites. Framed: a neighbour of the same class.
    """
    shown = neighbours[neighbours["site_id"].isin(list(queries))]
    if shown.empty:
        return style.note("No well that was held out has a neighbour in another experiment.")
    columns = 1 + int(shown["rank"].max())
    rows = list(dict.fromkeys(shown["site_id"]))
    figure, axes = style.panels(len(rows), columns, TILE * columns + 0.5, (TILE + 0.42) * len(rows) + 0.5, close=True)
    for line, site in zip(axes, rows, strict=True):
        own = shown[shown["site_id"] == site].sort_values("rank")
        line[0].imshow(composite(stretch(images[site][None])[0], channels))
        line[0].set_xlabel(f"{own['class_name'].iloc[0]}\nthe well", fontsize=8, labelpad=2)
        style.row_label(line[0], f"{site}\n{own['cell_type'].iloc[0]}", TILE)
        for ax, row in zip(line[1:], own.to_dict("records"), strict=False):
            ax.imshow(composite(stretch(images[row["neighbour_site_id"]][None])[0], channels))
            same = row["neighbour_class_name"] == row["class_name"]
            name = row["neighbour_class_name"] or f"called {row['neighbour_called']}"
            text = f"{'✓ ' if same else ''}{name}\n{row['neighbour_experiment']}, {row['cosine']:.2f}"
            ax.set_xlabel(text, fontsize=8, labelpad=2, weight="bold" if same else "normal")
    for ax in axes.flat:
        style.bare(ax)
        if not ax.images:
            ax.axis("off")
    for line, site in zip(axes, rows, strict=True):
        own = shown[shown["site_id"] == site].sort_values("rank")
        for ax, row in zip(line[1:], own.to_dict("records"), strict=False):
            if row["neighbour_class_name"] == row["class_name"]:
                for spine in ax.spines.values():
                    spine.set(visible=True, color=style.BLUE, linewidth=2.5)
    known = shown[shown["neighbour_class_name"] != ""]
    share = ""
    if len(known):
        same = (known["neighbour_class_name"] == known["class_name"]).mean()
        share = f" ({same:.0%} of the {len(known):,} shown whose class is known)".replace("%", "\u00a0%")
    style.footnote(figure, f"below a neighbour: its class, experiment and cosine; ✓ and frame: the same class{share}")
    return figure
