"""Grad-CAM over every channel."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from cellsignal.errors import BadInput
from cellsignal.figures import style
from cellsignal.figures.site_images import composite, stretch

MAP = "inferno"
TILE = 1.65  # inches


@style.look()
def grad_cam_grid(
    images: np.ndarray,
    cams: np.ndarray,
    channels: Sequence[str],
    titles: Sequence[str],
    attention: np.ndarray,
    layer: str,
) -> Figure:
    """A row per site: the composite (of several channels), the map alone, then each channel below the map.

    `images`: uint8 or uint16 (n, channels, h, w). `cams`: float (n, h, w) in 0–1, of `explain.grad_cam`.
    `attention`: float (n, channels), of `attention.attention`, printed under each channel; NaN where the map is empty.
    `titles`: one per site. `layer`: the module whose feature map was read. Raises `BadInput` if the shapes do not fit.
    """
    sites, height, width = len(titles), *images.shape[2:]
    for name, found, expected in (
        ("images", images.shape[:2], (sites, len(channels))),
        ("cams", cams.shape, (sites, height, width)),
        ("attention", attention.shape, (sites, len(channels))),
    ):
        if found != expected:
            raise BadInput(f"grad_cam_grid: {name} of shape {found}, expected {expected}")
    if not sites:
        return style.note("No site was explained: the network's fold held out no wells of known class.")
    stretched = stretch(images)
    extra = int(len(channels) > 1)  # of one channel there is no composite, and nothing to compare it with
    columns = len(channels) + 1 + extra
    figure, axes = style.panels(sites, columns, TILE * columns + 1.2, 1.86 * sites + 0.6, close=True)
    for row in range(sites):
        if extra:
            axes[row, 0].imshow(composite(stretched[row], channels))
        axes[row, extra].imshow(cams[row], cmap=MAP, vmin=0, vmax=1)
        for c in range(len(channels)):
            ax = axes[row, c + 1 + extra]
            ax.imshow(stretched[row, c], cmap="gray", vmin=0, vmax=1)
            # The stronger the map, the less of the channel is hidden below it where it is weak.
            ax.imshow(cams[row], cmap=MAP, vmin=0, vmax=1, alpha=0.55 * cams[row])
            if not extra:
                continue
            strongest = attention[row, c] == attention[row].max()
            text = "no evidence" if np.isnan(attention[row, c]) else f"{attention[row, c]:.2f}".replace("-", "−")
            ax.set_xlabel(text, fontsize=8, weight="bold" if strongest else "normal", labelpad=1)
        style.row_label(axes[row, 0], titles[row], TILE)
    for ax in axes.flat:
        style.bare(ax)
    for column, name in enumerate([*["composite"] * extra, "Grad-CAM", *channels]):
        axes[0, column].set_title(style.words(name), fontsize=9)
    bar = figure.colorbar(ScalarMappable(cmap=MAP), ax=axes, fraction=0.012, pad=0.01)
    bar.set_label("Grad-CAM, share of the site's largest")
    told = "; below each channel: its concordance with the map (of largest size in a site: ±1; bold: agrees best)"
    style.footnote(figure, f"Grad-CAM of {layer}{told if extra else ''}")
    return figure
