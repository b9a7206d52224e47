"""What one class looks like over experiments, plates and cell types, and several classes on one plate."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cellsignal.example_classes import ExampleRow
from cellsignal.figures import style
from cellsignal.figures.site_images import HIGH, LOW, composite, stretch

TILE = 1.9  # inches


def row_composites(images: np.ndarray, channels: Sequence[str]) -> list[np.ndarray]:
    """Images (n, channels, h, w) as n RGB images (h, w, 3) in 0–1, all on one scale per channel.

    So the brightness of sites of one row can be compared, as that of `site_images` cannot.
    """
    side_by_side = np.concatenate(list(images), axis=2)
    return np.split(composite(stretch(side_by_side[None])[0], channels), len(images), axis=1)


@style.look()
def class_examples(rows: Sequence[ExampleRow], images: Sequence[np.ndarray], channels: Sequence[str]) -> Figure:
    """A row of composites per entry of `rows`; a row that the screen lacks says why.

    `images`: for each row with sites, and in their order, (sites, channels, h, w).
    """
    drawn = iter(images)
    across = max([len(row.sites) for row in rows] + [2])
    heights = [TILE if len(row.sites) else 0.5 for row in rows]
    figure, axes = style.panels(
        len(rows), across, TILE * across + 0.6, sum(heights) + 0.25 * len(rows) + 0.5, height_ratios=heights, close=True
    )
    for line, row in zip(axes, rows, strict=True):
        for ax in line:
            style.bare(ax)
        if row.sites.empty:
            text = f"{row.title.replace(chr(10), ' ')}: {row.lacking}"
            said = line[0].text(0, 0.5, text, va="center", fontsize=8.5, color=style.MUTED)
            said.set_in_layout(False)  # it runs over the panels beside it
            for ax in line[1:]:
                ax.set_visible(False)
            continue
        for ax, rgb, label in zip(line, row_composites(next(drawn), channels), row.sites["label"], strict=False):
            ax.imshow(rgb)
            ax.set_title(label, fontsize=8)
        style.row_label(line[0], row.title, TILE)
    style.footnote(
        figure,
        f"Composites in the colours of the channels; in each row, black to full colour are the percentiles {LOW} and "
        f"{HIGH} of each channel over all images of the row.",
    )
    return figure
