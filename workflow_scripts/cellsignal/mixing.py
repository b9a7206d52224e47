"""Mixup and CutMix: images of two sites in one, with labels mixed alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from cellsignal.augment import Draws
from cellsignal.config.learning import AugmentSettings

Box = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Mix:
    """How the sites of a batch are mixed.

    Attributes:
        partner: int64 (n,), the site that each is mixed with.
        share: float32 (n,), λ: what a site keeps of itself.
        box: top, bottom, left and right (n,) of the rectangle that comes from the partner (CutMix); None:
            the whole image is a weighted sum (mixup).
    """

    partner: Tensor
    share: Tensor
    box: Box | None

    def images(self, images: Tensor) -> Tensor:
        """Mixed copy of images (n, c, h, w)."""
        others = images[self.partner.to(images.device)]
        if self.box is None:
            return images.lerp(others, 1.0 - self.share.to(images)[:, None, None, None])
        top, bottom, left, right = (torch.from_numpy(edge)[:, None].to(images.device) for edge in self.box)
        y, x = (torch.arange(size, device=images.device) for size in images.shape[2:])
        inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
        return torch.where(inside[:, None], others, images)

    def values(self, values: Tensor) -> Tensor:
        """λ·value + (1 - λ)·partner's value, of labels, cell types or weights (n, …)."""
        share = self.share.to(values).view(-1, *[1] * (values.ndim - 1))
        return values.lerp(values[self.partner.to(values.device)], 1.0 - share)

    def weights(self, labels: Tensor, weight: Tensor) -> Tensor:
        """Weights (n, classes) of mixed labels: each of the two classes has that of the site which it comes from.

        `labels` (n, classes) and `weight` (n,) are those before mixing. If both sites are of one class, it has the
        mean of their weights by λ. Classes that a mixed site does not have get 0.
        """
        mixed = self.values(labels)
        weighted = self.values(labels * weight[:, None])
        return torch.where(mixed > 0, weighted / mixed.clamp(min=1e-12), torch.zeros_like(mixed))


def draw_mix(shape: torch.Size, settings: AugmentSettings, draws: Draws) -> Mix | None:
    """How to mix a batch of images of `shape` (n, c, h, w); None where the settings ask for no mixing.

    Every site has a partner of its own (a permutation of the sites at hand) and a λ ~ Beta(a, a) of its own.
    """
    if not (settings.mixup or settings.cutmix):
        return None
    n, _, height, width = shape
    cut = bool(settings.cutmix) and (not settings.mixup or torch.rand((), generator=draws.generator).item() < 0.5)
    partner = draws.uniform(0.0, 1.0, n).argsort()
    place = draws.uniform(0.0, 1.0, n, 3).double().numpy()
    a = settings.cutmix if cut else settings.mixup
    share = betaincinv(a, a, place[:, 0])  # PyTorch draws no Beta from a given generator
    if not cut:
        return Mix(partner, torch.from_numpy(share).float(), None)
    box, share = cut_box(share, height * place[:, 1], width * place[:, 2], height, width)
    return Mix(partner, torch.from_numpy(share).float(), box)


def cut_box(
    share: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64], height: int, width: int
) -> tuple[Box, NDArray[np.float64]]:
    """The rectangles that CutMix replaces, and λ as it is after clipping: 1 - area / image (Yun et al. 2019).

    `share` (n,) is λ as drawn; `y` and `x` (n,) the centres. The sides are H·√(1 - λ) and W·√(1 - λ), clipped
    at the border and rounded to whole pixels.
    """
    half = np.sqrt(1.0 - share) / 2
    top, bottom = (np.rint(np.clip(y + sign * half * height, 0, height)).astype(np.int64) for sign in (-1, 1))
    left, right = (np.rint(np.clip(x + sign * half * width, 0, width)).astype(np.int64) for sign in (-1, 1))
    return (top, bottom, left, right), 1.0 - (bottom - top) * (right - left) / (height * width)
