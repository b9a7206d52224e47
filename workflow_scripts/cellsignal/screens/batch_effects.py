"""What cell types, experiments and plates do to all their sites alike, in the simulated screen.

Sizes are those of RxRx1's published plate statistics (https://www.rxrx.ai/rxrx1), six channels in its
order, wherever those say something.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from cellsignal.screens.rendering import BACKGROUND, CHANNELS, TRAITS

Vector = NDArray[np.float64]

CELL_TYPE_LIGHT = {
    "HEPG2": [7.1, 14.7, 10.6, 11.1, 7.1, 9.3],
    "HUVEC": [4.2, 15.3, 7.0, 8.2, 2.7, 6.1],
    "RPE": [2.6, 12.4, 12.4, 7.0, 4.1, 8.6],
    "U2OS": [8.2, 15.7, 11.9, 10.5, 5.1, 13.9],
}
"""Geometric mean intensity of RxRx1's channels by cell type, grey levels."""

CELL_TYPE_TRAITS = {
    "HEPG2": [0.25, -0.15, 0.05, 0.05, 0.15],
    "HUVEC": [0.0, 0.0, 0.0, 0.50, 0.0],
    "RPE": [0.05, 0.0, 0.08, 0.20, -0.15],
    "U2OS": [-0.20, 0.12, 0.0, 0.35, 0.10],
}
"""Log count, size, nucleus size, elongation and texture of the cell types; chosen, not measured."""

EXPERIMENT_SD = np.array([0.48, 0.35, 0.34, 0.44, 0.60, 0.45])
"""Standard deviation of an experiment's log intensity within its cell type (RxRx1)."""
EXPERIMENT_CORRELATION = np.array(
    [
        [1.00, 0.44, 0.73, 0.76, 0.62, 0.64],
        [0.44, 1.00, 0.57, 0.82, 0.61, 0.40],
        [0.73, 0.57, 1.00, 0.83, 0.63, 0.92],
        [0.76, 0.82, 0.83, 1.00, 0.59, 0.71],
        [0.62, 0.61, 0.63, 0.59, 1.00, 0.44],
        [0.64, 0.40, 0.92, 0.71, 0.44, 1.00],
    ]
)
PLATE_SD = np.array([0.12, 0.10, 0.10, 0.05, 0.08, 0.06])
"""Standard deviation of a plate's log intensity within its experiment (RxRx1)."""
PLATE_CORRELATION = np.array(
    [
        [1.00, 0.58, 0.70, 0.49, 0.14, 0.69],
        [0.58, 1.00, 0.34, 0.57, 0.44, 0.59],
        [0.70, 0.34, 1.00, 0.29, 0.06, 0.87],
        [0.49, 0.57, 0.29, 1.00, 0.28, 0.53],
        [0.14, 0.44, 0.06, 0.28, 1.00, 0.23],
        [0.69, 0.59, 0.87, 0.53, 0.23, 1.00],
    ]
)

BACKGROUND_CORRELATION = 0.6
"""Between a stain's and its background's effect; follows from how RxRx1's std / mean varies over plates."""

# What the published statistics do not show; chosen. Standard deviations of logarithms.
EXPERIMENT_COUNT_SD, EXPERIMENT_SIZE_SD, EXPERIMENT_BLUR_SD = 0.15, 0.04, 0.12
PLATE_COUNT_SD, PLATE_BLUR_SD = 0.05, 0.06
ILLUMINATION_SD = 0.10  # of the slope across half an image, per plate and channel


def named_random(seed: int, *names: object) -> Generator:
    """The generator that belongs to `seed` and `names`, and to nothing else."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return Generator(PCG64(SeedSequence([seed, *np.frombuffer(digest, "<u4").tolist()])))


@dataclass(frozen=True)
class CellType:
    """Log mean light (6,) and log traits (12,) of a cell type."""

    light: Vector
    traits: Vector


def cell_type_of(name: str) -> CellType:
    """The cell type of that name; one that RxRx1 does not have draws its own light and shape, by its name."""
    random = named_random(0, "cell type", name)
    light = CELL_TYPE_LIGHT.get(name, np.exp(random.uniform(np.log(4), np.log(14), CHANNELS)))
    low, high = [-0.2, -0.1, -0.05, 0.05, -0.15], [0.2, 0.1, 0.1, 0.5, 0.15]
    shape = CELL_TYPE_TRAITS.get(name, random.uniform(low, high))
    traits = np.zeros(len(TRAITS))
    traits[[TRAITS.index(t) for t in ("count", "size", "nucleus_size", "elongation", "texture")]] = shape
    return CellType(np.log(light), traits)


@dataclass(frozen=True)
class PlateEffects:
    """What all sites of a plate share.

    Attributes:
        stain, background: (6,) log factors on the cells' light and on the rest.
        traits: (12,) added to the log traits.
        blur: log factor on the optics' blur.
        illumination: (6, height, width) factor, mean about 1.
    """

    stain: Vector
    background: Vector
    traits: Vector
    blur: float
    illumination: Vector


def plate_effects(seed: int, experiment: str, plate: int, size: int, scale: float) -> PlateEffects:
    """Effects of a plate and its experiment, `scale` times those of RxRx1, for images of `size` pixels."""
    batch, own = named_random(seed, "experiment", experiment), named_random(seed, "plate", experiment, plate)
    of_batch = _light(batch, EXPERIMENT_SD, EXPERIMENT_CORRELATION)
    stain, background = of_batch + _light(own, PLATE_SD, PLATE_CORRELATION)
    traits = np.zeros(len(TRAITS))
    count, area, blur = batch.normal(0, [EXPERIMENT_COUNT_SD, EXPERIMENT_SIZE_SD, EXPERIMENT_BLUR_SD])
    traits[TRAITS.index("count")] = count + own.normal(0, PLATE_COUNT_SD)
    traits[TRAITS.index("size")] = area
    blur += own.normal(0, PLATE_BLUR_SD)
    slope = own.normal(0, ILLUMINATION_SD, (2, CHANNELS, 1, 1))
    fall = np.abs(own.normal(0, ILLUMINATION_SD, (CHANNELS, 1, 1)))  # darker corners
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = axis[:, None], axis[None, :]
    shade = 1 + scale * (slope[0] * y + slope[1] * x - fall * (y**2 + x**2 - 2 / 3))
    return PlateEffects(
        scale * stain, scale * background, scale * traits, float(scale * blur), np.clip(shade, 0.2, None)
    )


def _light(random: Generator, sd: Vector, correlation: Vector) -> Vector:
    """Log factors (2, 6) on stain and background that together give the mean light that sd."""
    stain, other = random.standard_normal((2, CHANNELS)) @ np.linalg.cholesky(correlation).T
    background = BACKGROUND_CORRELATION * stain + np.sqrt(1 - BACKGROUND_CORRELATION**2) * other
    share = BACKGROUND  # of the mean light; its sd follows from the two parts and their correlation
    variance = share**2 + (1 - share) ** 2 + 2 * share * (1 - share) * BACKGROUND_CORRELATION
    factors: Vector = np.stack([stain, background]) * sd / np.sqrt(variance)
    return factors
