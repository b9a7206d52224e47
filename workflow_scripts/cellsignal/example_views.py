"""What augmentation makes of a few sites: views of one site, and mixtures of two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cellsignal.augment import Draws, augment, standardize
from cellsignal.config.learning import AugmentSettings
from cellsignal.mixing import draw_mix

TRIES = 64  # batches that are drawn in search of mixtures; half of the batches are of each kind


@dataclass(frozen=True)
class Mixture:
    """Two images in one.

    Attributes:
        kind: `CutMix` or `mixup`. first, second: places of the two sites in the batch.
        images: float32 (3, channels, h, w): the first, the second, and the mixture.
        share: λ, what is left of the first; of CutMix after clipping. Labels have the shares λ and 1 − λ.
        box: top, bottom, left and right of what comes from the second; None for mixup.
    """

    kind: str
    first: int
    second: int
    images: NDArray[np.float32]
    share: float
    box: tuple[int, int, int, int] | None


def example_views(
    pixels: NDArray[Any], mean: Tensor, std: Tensor, settings: AugmentSettings, draws: Draws, count: int = 4
) -> dict[str, NDArray[np.float32]]:
    """Title → (n, channels, h, w): the standardized sites, a weak view, and `count` views as in training.

    `pixels` (n, channels, h, w), `mean` and `std` float32 (n, channels).
    """
    raw = torch.from_numpy(pixels)
    found = {
        "standardized": standardize(raw, mean, std),
        "weak view": augment(standardize(raw, mean, std), settings, draws, weak=True),
    }
    for number in range(1, count + 1):
        found[f"view {number}"] = augment(standardize(raw, mean, std, settings, draws), settings, draws)
    return {title: images.numpy().astype(np.float32) for title, images in found.items()}


def example_mixtures(
    pixels: NDArray[Any], mean: Tensor, std: Tensor, settings: AugmentSettings, draws: Draws, count: int = 2
) -> list[Mixture]:
    """The first `count` mixtures of each kind that the settings ask for, of augmented sites, as in training.

    Sites that meet themselves are passed over. None of settings that mix nothing, or of a single site.
    """
    wanted = [kind for kind, a in (("CutMix", settings.cutmix), ("mixup", settings.mixup)) if a]
    found: dict[str, list[Mixture]] = {kind: [] for kind in wanted}
    raw = torch.from_numpy(pixels)
    for _ in range(TRIES if len(pixels) > 1 else 0):
        if all(len(mixtures) == count for mixtures in found.values()):
            break
        seen = augment(standardize(raw, mean, std, settings, draws), settings, draws)
        mix = draw_mix(seen.shape, settings, draws)
        if mix is None:
            break
        mixed = mix.images(seen)
        mixtures = found["mixup" if mix.box is None else "CutMix"]
        for first, second in enumerate(mix.partner.tolist()):
            if first == second or len(mixtures) == count:
                continue
            box = None if mix.box is None else tuple(int(edge[first]) for edge in mix.box)
            images = torch.stack([seen[first], seen[second], mixed[first]]).numpy().astype(np.float32)
            kind = "mixup" if box is None else "CutMix"
            mixtures.append(Mixture(kind, first, second, images, float(mix.share[first]), box))  # type: ignore[arg-type]
    return [mixture for kind in wanted for mixture in found[kind]]
