"""What the network gets to see of a site: views as augmentation makes them, and mixtures of two sites."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellsignal.example_views import Mixture
from cellsignal.figures import style
from cellsignal.figures.class_examples import row_composites

TILE = 1.75  # inches
PAIRS = 2  # mixtures in a row


@style.look()
def augmentation_examples(
    views: Mapping[str, np.ndarray],
    titles: Sequence[str],
    mixtures: Sequence[Mixture],
    classes: Sequence[str],
    channels: Sequence[str],
) -> Figure:
    """A row of views per site, then rows of two mixtures each: one site, the other, and both in one.

    Args:
        views: of `example_views`, for as many sites as `titles`.
        titles: of the sites, in two lines.
        mixtures: of `example_mixtures`; may be empty.
        classes: the name of each site's class, for the mixtures.
        channels: names.
    """
    across = max(len(views), 3 * PAIRS if mixtures else 0)
    groups = [list(mixtures[i : i + PAIRS]) for i in range(0, len(mixtures), PAIRS)]
    count = len(titles) + len(groups)
    height = TILE * count + 0.55 * len(groups) + 0.9
    figure, axes = style.panels(count, across, TILE * across + 0.5, height, close=True)
    for ax in axes.flat:
        style.bare(ax)
    for i, title in enumerate(titles):
        for ax, (view, rgb) in zip(
            axes[i], zip(views, row_composites(np.stack([v[i] for v in views.values()]), channels), strict=True),
            strict=False,
        ):  # fmt: skip
            ax.imshow(rgb)
            if i == 0:
                ax.set_title(view, fontsize=9)
        style.row_label(axes[i, 0], title, TILE)
    for line, group in zip(axes[len(titles) :], groups, strict=True):
        style.row_label(line[0], f"{group[0].kind}\ntwo sites in one", TILE)
        for p, mixture in enumerate(group):
            _mixture(line[3 * p : 3 * p + 3], mixture, classes, channels)
    mixing = "" if mixtures else " The recipe mixes no images."
    style.footnote(
        figure,
        "Composites in the colours of the channels, each row (each trio of a mixture) on one scale per channel. Erased "
        f"rectangles have the mean of the group, 0.{mixing}",
    )
    return figure


def _mixture(line: Sequence[Axes], mixture: Mixture, classes: Sequence[str], channels: Sequence[str]) -> None:
    first, second = classes[mixture.first], classes[mixture.second]
    share = f"{mixture.share:.2f}"
    rest = f"{1 - float(share):.2f}"  # so that the two add up as they are printed
    names = (f"A: {first}", f"B: {second}", f"λ = {share}\n{share} {first}\n+ {rest} {second}")
    for ax, rgb, name in zip(line, row_composites(mixture.images, channels), names, strict=True):
        ax.imshow(rgb)
        ax.set_title(name, fontsize=8)
    if mixture.box is not None:
        top, bottom, left, right = mixture.box
        line[2].add_patch(
            Rectangle(
                (left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="white", linestyle="--",
                linewidth=1.0,
            )
        )  # fmt: skip
