"""Standardization and augmentation of whole batches on the device.

Every random choice is drawn from the caller's CPU generator (`Draws`), so that it is the same on any device
and on any number of them. What changes intensities alone (gain, offset, jitter of the statistics) is folded
into the standardization and costs nothing; what moves pixels is `augment`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cellsignal.config.learning import AugmentSettings
from cellsignal.errors import BadInput

ERASED_AREA = (0.02, 1 / 3)  # share of the image (Zhong et al. 2020, Random Erasing)
ERASED_ASPECT = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Draws:
    """Random numbers per site of a batch: (n, …), n being the batch at hand.

    Of a batch that is shared out among processes, `part` holds the positions of the sites at hand in the
    `whole` one; each site then meets the numbers that it would meet in an undivided batch.
    """

    generator: Generator
    whole: int | None = None
    part: Tensor | None = None

    def uniform(self, low: float, high: float, n: int, *shape: int) -> Tensor:
        return low + (high - low) * self._draw(lambda m: torch.rand((m, *shape), generator=self.generator), n)

    def normal(self, n: int, *shape: int) -> Tensor:
        return self._draw(lambda m: torch.randn((m, *shape), generator=self.generator), n)

    def of(self, positions: Tensor) -> "Draws":
        """The same for some of the sites at hand, (m,) int64 positions among them."""
        if self.whole is None or self.part is None:
            raise ValueError("draws of a part need the size of the whole batch, and the positions at hand")
        return Draws(self.generator, self.whole, self.part[positions])

    def integers(self, below: int, n: int) -> Tensor:
        return self._draw(lambda m: torch.randint(below, (m,), generator=self.generator), n)

    def _draw(self, draw: Callable[[int], Tensor], n: int) -> Tensor:
        if self.whole is None or self.part is None:
            return draw(n)
        return draw(self.whole)[self.part]


def standardize(
    pixels: Tensor,
    mean: Tensor,
    std: Tensor,
    settings: AugmentSettings | None = None,
    draws: Draws | None = None,
) -> Tensor:
    """(pixels - mean) / std per site and channel, as float32 (n, c, h, w).

    `pixels` uint8 or uint16 (n, c, h, w), `mean` and `std` float32 (n, c) on the CPU. With `settings`, mean
    and std are jittered uniformly by ±`statistics_jitter` (DeepNoise's code), and the result is multiplied by
    exp(N(0, `gain`)) and shifted by N(0, `offset`), each per site and channel; grey levels are first multiplied by
    a plane through 1 at the centre, of random direction and a slope up to `illumination`.
    """
    factor, shift = 1.0 / std, -mean / std
    if settings is not None and draws is not None:
        n, channels = mean.shape
        if settings.statistics_jitter:
            jitter = 1.0 + settings.statistics_jitter * draws.uniform(-1.0, 1.0, n, 2, channels)
            factor, shift = factor / jitter[:, 1], shift * jitter[:, 0] / jitter[:, 1]
        if settings.gain:
            gain = torch.exp(settings.gain * draws.normal(n, channels))
            factor, shift = factor * gain, shift * gain
        if settings.offset:
            shift = shift + settings.offset * draws.normal(n, channels)
    device = pixels.device
    factor, shift = (value.to(device, non_blocking=True)[:, :, None, None] for value in (factor, shift))
    light = pixels.to(torch.float32, copy=True)
    if settings is not None and draws is not None and settings.illumination:
        n, _, height, width = pixels.shape
        light.mul_(_illumination(n, height, width, settings.illumination, draws).to(device))
    return light.mul_(factor).add_(shift)


def _illumination(n: int, height: int, width: int, largest: float, draws: Draws) -> Tensor:
    """Fields (n, 1, h, w): 1 + slope · (x cos φ + y sin φ), x and y from -1 to 1 between the borders."""
    slope, angle = draws.uniform(-largest, largest, n), draws.uniform(0.0, 2.0 * math.pi, n)
    y, x = ((torch.arange(size) + 0.5) * 2.0 / size - 1.0 for size in (height, width))
    along = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y[:, None]
    return (1.0 + slope[:, None, None] * along)[:, None]


def augment(batch: Tensor, settings: AugmentSettings, draws: Draws, weak: bool = False) -> Tensor:
    """Moved, turned and partly erased copy of `batch`, standardized float (n, c, h, w), per-site choices.

    In this order: flips and 90° rotations; zoom, crop, shift, free rotation, shear and perspective in one
    resampling (left out where none is asked; the image is mirrored beyond its border); salt-and-pepper noise;
    erasing of one rectangle to 0, the group's mean. `weak` stops after the flips and rotations.

    Raises:
        BadInput: 90° rotations of images that are not square.
    """
    if settings.flips or settings.rotations:
        batch = _flip_and_turn(batch, settings, draws)
    if weak:
        return batch
    moves = (settings.scale, settings.crop, settings.shift, settings.rotate_degrees, settings.shear)
    if any(moves) or settings.perspective:
        batch = _resample(batch, settings, draws)
    if settings.salt_pepper:
        batch = _salt_and_pepper(batch, settings.salt_pepper, draws)
    if settings.erase:
        batch = _erase(batch, settings.erase, draws)
    return batch


def dihedral(batch: Tensor, element: int) -> Tensor:
    """View of (…, h, w) images: `element` % 4 quarter turns, counter-clockwise; from 4 on, then mirrored.

    0-3 are the rotations by 0, 90, 180 and 270°; 4-7 the same, mirrored left to right.
    """
    turned = torch.rot90(batch, element % 4, (-2, -1)) if element % 4 else batch
    return turned.flip(-1) if element >= 4 else turned


def views(batch: Tensor, k: int) -> Iterator[Tensor]:
    """The first `k` dihedral views of (n, c, h, w), in `dihedral`'s order: 1 the images, 4 rotations, 8 all."""
    for element in range(k):
        yield dihedral(batch, element)


def _flip_and_turn(batch: Tensor, settings: AugmentSettings, draws: Draws) -> Tensor:
    if settings.rotations and batch.shape[-1] != batch.shape[-2]:
        raise BadInput(
            f"augment.rotations: images are {batch.shape[-2]} x {batch.shape[-1]} pixels, but only square ones "
            "can be turned by 90°; set rotations: false"
        )
    # flips alone: the image, turned by 180°, mirrored left to right, mirrored top to bottom
    elements = range(8 if settings.flips else 4) if settings.rotations else (0, 2, 4, 6)
    drawn = draws.integers(len(elements), len(batch))
    moved = torch.empty_like(batch)
    for number, element in enumerate(elements):
        chosen = (drawn == number).nonzero()[:, 0].to(batch.device, non_blocking=True)
        if len(chosen):
            moved[chosen] = dihedral(batch[chosen], element)
    return moved


def _resample(batch: Tensor, settings: AugmentSettings, draws: Draws) -> Tensor:
    n, _, height, width = batch.shape
    low, high = settings.scale or (1.0, 1.0)
    zoom = draws.uniform(low, high, n)
    limit = math.radians(settings.rotate_degrees)
    angle = draws.uniform(-limit, limit, n)
    shift = draws.uniform(-2.0 * settings.shift, 2.0 * settings.shift, n, 2)  # grid units: -1 to 1
    if settings.crop:
        side = draws.uniform(settings.crop, 1.0, n)
        zoom = zoom / side
        shift = shift + (1.0 - side)[:, None] * draws.uniform(-1.0, 1.0, n, 2)
    cosine, sine, aspect = angle.cos() / zoom, angle.sin() / zoom, height / width
    slant = draws.uniform(-settings.shear, settings.shear, n) * aspect if settings.shear else torch.zeros(n)
    rows = [
        torch.stack([cosine, cosine * slant - sine * aspect, shift[:, 0]], 1),
        torch.stack([sine / aspect, sine / aspect * slant + cosine, shift[:, 1]], 1),
    ]
    nearer = draws.uniform(-settings.perspective, settings.perspective, n, 2) if settings.perspective else None
    if not n:
        return batch  # one process's share may hold no such site; the others' numbers are drawn all the same
    grid = F.affine_grid(torch.stack(rows, 1).to(batch.device), list(batch.shape), align_corners=False)
    if nearer is not None:
        y, x = ((torch.arange(size) + 0.5) * 2.0 / size - 1.0 for size in (height, width))
        depth = 1.0 + nearer[:, 0, None, None] * x + nearer[:, 1, None, None] * y[:, None]
        grid = grid / depth[..., None].to(batch.device)
    return F.grid_sample(batch, grid.to(batch.dtype), padding_mode="reflection", align_corners=False)


def _salt_and_pepper(batch: Tensor, largest: float, draws: Draws) -> Tensor:
    """Up to a share `largest` of an image's pixels as the brightest or, as many, the darkest value of their channel."""
    n, _, height, width = batch.shape
    share = draws.uniform(0.0, largest, n)[:, None, None]
    place = draws.uniform(0.0, 1.0, n, height, width)
    salt, pepper = ((place < share / 2)[:, None], ((place >= share / 2) & (place < share))[:, None])
    brightest, darkest = batch.amax((2, 3), keepdim=True), batch.amin((2, 3), keepdim=True)
    batch = torch.where(salt.to(batch.device), brightest, batch)
    return torch.where(pepper.to(batch.device), darkest, batch)


def _erase(batch: Tensor, probability: float, draws: Draws) -> Tensor:
    n, _, height, width = batch.shape
    area = draws.uniform(*ERASED_AREA, n) * (height * width)
    low, high = (math.log(bound) for bound in ERASED_ASPECT)
    aspect = draws.uniform(low, high, n).exp()
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    place = draws.uniform(0.0, 1.0, n, 2).T
    top, left = (place[0] * (height - tall + 1)).floor(), (place[1] * (width - wide + 1)).floor()
    tall = tall * (draws.uniform(0.0, 1.0, n) < probability)  # no height: nothing erased
    bounds = torch.stack([top, top + tall, left, left + wide])[:, :, None].to(batch.device)
    y, x = torch.arange(height, device=batch.device), torch.arange(width, device=batch.device)
    in_rows, in_columns = (y >= bounds[0]) & (y < bounds[1]), (x >= bounds[2]) & (x < bounds[3])
    return batch.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)
