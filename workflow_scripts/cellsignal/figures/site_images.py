"""Example sites: every channel, and their composite."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cellsignal.errors import BadInput
from cellsignal.figures import style

LOW, HIGH = 0.5, 99.7  # percentiles drawn black and white


def stretch(images: np.ndarray) -> np.ndarray:
    """Images (n, channels, h, w) of any number type as float32 in 0–1, each channel of each site by itself.

    The 0.5th percentile becomes 0 and the 99.7th becomes 1: experiments differ several-fold in brightness,
    and on one scale all but the brightest would be black. A constant channel becomes 0.
    """
    low, high = np.percentile(images, [LOW, HIGH], axis=(2, 3), keepdims=True)
    span = np.where(high > low, high - low, np.inf)
    stretched: np.ndarray = np.clip((images - low) / span, 0, 1).astype(np.float32)
    return stretched


def composite(stretched: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """One image (channels, h, w) in 0–1 as RGB (h, w, 3) in 0–1: each channel in its colour, added up
    and scaled so that only the brightest 0.3 % saturate."""
    sums = np.einsum("chw,cr->hwr", stretched, style.channel_colours(channels))
    brightest = np.percentile(sums.max(axis=2), HIGH)
    rgb: np.ndarray = np.clip(sums / brightest, 0, 1) if brightest > 0 else sums
    return rgb


@style.look()
def site_images(images: np.ndarray, channels: Sequence[str], titles: Sequence[str]) -> Figure:
    """A row per site: the composite (if there is more than one channel), then each channel in grey.

    `images`: uint8 or uint16 (n, channels, h, w). `titles`: one per site. Raises `BadInput` if the numbers of
    images, channels and names differ.
    """
    if images.ndim != 4 or images.shape[:2] != (len(titles), len(channels)):
        raise BadInput(
            f"site_images: images of shape {images.shape}, "
            f"expected ({len(titles)} sites, {len(channels)} channels, h, w)"
        )
    stretched = stretch(images)
    extra = int(len(channels) > 1)
    tile = 1.75 if len(channels) > 1 else 2.4
    columns = len(channels) + extra
    figure, axes = style.panels(len(images), columns, tile * columns + 0.5, tile * len(images) + 0.6, close=True)
    colours = style.channel_colours(channels)
    for row, (site, title) in enumerate(zip(stretched, titles, strict=True)):
        if extra:
            axes[row, 0].imshow(composite(site, channels))
        for c in range(len(channels)):
            axes[row, c + extra].imshow(site[c], cmap="gray", vmin=0, vmax=1)
        style.row_label(axes[row, 0], title, tile)
    for ax in axes.flat:
        style.bare(ax)
    if extra:
        axes[0, 0].set_title("composite", fontsize=9)
    for c, name in enumerate(channels):
        axes[0, c + extra].set_title(style.words(name), fontsize=9)
        if extra:  # the channel's colour in the composite, as a rule above the column
            rule = axes[0, c + extra].spines["top"]
            rule.set(visible=True, color=tuple(colours[c]), linewidth=4, capstyle="butt")
    height, width = images.shape[2:]
    text = f"{width} × {height} px; black to white: percentiles {LOW}–{HIGH} of each channel of each site"
    style.footnote(figure, text)
    return figure
