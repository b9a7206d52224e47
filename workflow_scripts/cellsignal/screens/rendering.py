"""Drawing simulated cells: from the traits of a site to six channels of expected light.

Lengths scale with the cells, and the cells with the image, so that a site looks alike at 48 and at
512 pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Image = NDArray[np.float32]
Vector = NDArray[np.float64]

CHANNELS = 6
TRAITS = (
    "count",
    "size",
    "nucleus_size",
    "elongation",
    "nuclei",
    "reticulum",
    "actin",
    "rna",
    "mitochondria",
    "golgi",
    "texture",
    "puncta",
)
"""Dimensions of a phenotype, in the order of its vector."""

TRAIT_EFFECT = np.array([0.45, 0.22, 0.22, 0.45, 0.33, 0.33, 0.33, 0.33, 0.33, 0.33, 0.60, 0.75])
"""Change of the logarithm of each trait per unit of its phenotype dimension."""

COVERAGE = 0.55  # share of the image that cells of unit size and number would cover, were there no overlap
BACKGROUND = np.array([0.45, 0.28, 0.38, 0.34, 0.40, 0.60])
"""Share of a channel's mean light that is not from cells; gives RxRx1's median std / mean:
1.4 0.8 0.55 0.8 1.0 0.55."""
UNIT_LIGHT = np.array([0.100, 0.287, 0.487, 0.252, 0.220, 0.212])
"""Mean over the image of each channel of undisturbed cells as drawn, before background (measured)."""


@dataclass(frozen=True)
class Morphology:
    """What the cells of a site have in common. All are multiples, 1 where nothing disturbs them.

    Attributes:
        count: mean number of cells, as a multiple of the setting.
        size, nucleus_size: radii.
        elongation: long over short axis of the cell body.
        texture: length scale of chromatin, filaments and mitochondria.
        puncta: number of Golgi spots.
        blur: width of the optics' blur.
        stain, background: (6,) light of the cells, and the rest.
    """

    count: float
    size: float
    nucleus_size: float
    elongation: float
    texture: float
    puncta: float
    blur: float
    stain: Vector
    background: Vector


def morphology(log_traits: Vector, blur: float, stain: Vector, background: Vector) -> Morphology:
    """The morphology that belongs to 12 log traits (in the order of `TRAITS`), under a plate's effects."""
    count, size, nucleus_size, elongation, *light, texture, puncta = np.exp(log_traits)
    return Morphology(count, size, nucleus_size, elongation, texture, puncta, blur, stain * np.array(light), background)


def _centres(random: Generator, count: int, low: float, high: float, distance: float) -> Vector:
    """Positions (count, 2) in pixels, pushed apart where closer than `distance`: cells seldom overlap."""
    centres = random.uniform(low, high, (count, 2))
    for _ in range(4):
        apart = centres[:, None] - centres[None]
        length = np.sqrt((apart**2).sum(2)) + 1e-3
        push = np.clip(distance - length, 0, None) * 0.5
        np.fill_diagonal(push, 0)
        centres += (apart * (push / length)[:, :, None]).sum(1) * 0.6
    return centres


def _waves(random: Generator, size: int, length: float, fields: int) -> Image:
    """Smooth random fields (fields, size, size) of unit variance: sums of four plane waves of `length`."""
    angle, phase = random.uniform(0, 2 * np.pi, (2, fields, 4, 1))
    step = 2 * np.pi / (length * random.uniform(0.7, 1.6, (fields, 4, 1)))
    axis = np.arange(size)
    x = np.exp(1j * (np.cos(angle) * step * axis + phase)).astype(np.complex64)
    y = np.exp(1j * (np.sin(angle) * step * axis)).astype(np.complex64)
    fields_of_waves: Image = np.einsum("fwy,fwx->fyx", y, x).real * np.float32(np.sqrt(0.5))
    return fields_of_waves


def _noise(random: Generator, size: int, length: float) -> Image:
    """A random field (size, size) of unit variance, grains of `length` pixels."""
    field = gaussian_filter(random.standard_normal((size, size), dtype=np.float32), length, mode="wrap", truncate=2.5)
    unit: Image = field / (field.std() + np.float32(1e-6))
    return unit


def _spots(size: int, places: Vector, brightness: Vector, width: float) -> Image:
    """Gaussian spots of unit volume × `brightness` at `places` (spots, 2: y, x); outside ones are dropped."""
    at = np.floor(places).astype(int)
    inside = ((at >= 0) & (at < size)).all(1)
    flat = np.bincount(at[inside] @ [size, 1], brightness[inside], minlength=size * size)
    spots: Image = gaussian_filter(flat.reshape(size, size).astype(np.float32), width, mode="constant", truncate=3.0)
    return spots


def draw_site(random: Generator, size: int, cells: float, shape: Morphology) -> Image:
    """Expected light of one site, mean about 1 per channel when nothing is disturbed.

    Args:
        random: the site's own generator.
        size: height and width in pixels.
        cells: mean number of cells in a site, before `shape.count`.

    Returns:
        float32 (6, size, size) ≥ 0: nuclei, endoplasmic reticulum, actin, nucleoli and RNA,
        mitochondria, Golgi.
    """
    unit = size * np.sqrt(COVERAGE / (np.pi * cells))  # radius in pixels of a cell of unit size
    radius = unit * shape.size
    margin = 1.2 * radius  # cells may lie partly outside
    expected = cells * shape.count * (1 + 2 * margin / size) ** 2
    count = max(1, int(random.poisson(expected)))
    y0, x0 = _centres(random, count, -margin, size + margin, 1.7 * radius).T
    own = np.exp(random.normal(0, 0.12, (3, count)))  # each cell's size, nucleus, elongation
    angle = random.uniform(0, np.pi, count)
    stretch = np.sqrt(np.maximum(shape.elongation * own[2], 1.0))
    cell, nucleus = radius * own[0], 0.42 * radius * shape.nucleus_size * own[1]

    wobble = _waves(random, size, 2.2 * radius, 2) * np.float32(0.10 * radius)  # outlines are not ellipses
    axis = np.arange(size, dtype=np.float32) + np.float32(0.5)
    dy = axis[:, None] + wobble[0] - y0.astype(np.float32)[:, None, None]
    dx = axis[None, :] + wobble[1] - x0.astype(np.float32)[:, None, None]
    cos, sin = (f(angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    long = (dx * cos + dy * sin) * (1 / stretch).astype(np.float32)[:, None, None]
    short = (dy * cos - dx * sin) * stretch.astype(np.float32)[:, None, None]
    square = long * long + short * short
    # Logistic edges; the exponent is bounded to keep float32 finite.
    body = 1 / (1 + np.exp(np.clip(6 * (square * (cell**-2).astype(np.float32)[:, None, None] - 1), -20, 20)))
    core = 1 / (1 + np.exp(np.clip(8 * (square * (nucleus**-2).astype(np.float32)[:, None, None] - 1), -20, 20)))

    grain = unit * shape.texture
    filaments = 0.5 + 0.5 * np.sin(
        short * np.float32(2 * np.pi / (0.42 * grain)) + angle.astype(np.float32)[:, None, None] * 9
    )
    chromatin, network = _noise(random, size, 0.07 * grain), _noise(random, size, 0.10 * grain)
    light = np.exp(random.normal(0, 0.15, (6, count))).astype(np.float32)  # each cell's expression

    def total(channel: int, masks: Image) -> Image:
        return np.tensordot(light[channel], masks, 1)

    cytoplasm = body * (1 - core)
    near = cytoplasm * np.exp(-square * (0.8 * cell**-2.0).astype(np.float32)[:, None, None])  # perinuclear
    site = np.empty((6, size, size), np.float32)
    site[0] = total(0, core) * np.clip(1 + 0.25 * chromatin, 0.2, None)
    site[1] = total(1, near) * np.clip(1 + 0.15 * network, 0.2, None)
    site[2] = total(2, body * (0.35 + 0.5 * filaments + 1.6 * (1 - body)))
    site[3] = total(3, 0.45 * core + 0.35 * cytoplasm)
    site[4] = total(4, near) * np.clip(0.4 + 1.3 * network, 0.05, None)
    site[5] = total(5, 0.25 * body)

    def scattered(number: NDArray[np.int64], centre: Vector, spread: Vector) -> tuple[Any, Any]:
        """Owner and position of each of a cell's spots, around `centre` (cells, 2) relative to the cell."""
        owner = np.repeat(np.arange(count), number)
        offset = random.normal(0, 1, (len(owner), 2)) * spread[owner, None] + centre[owner]
        return owner, np.stack([y0, x0], 1)[owner] + offset

    owner, places = scattered(random.integers(2, 5, count), np.zeros((count, 2)), 0.4 * nucleus)
    spot = 0.11 * unit
    site[3] += _spots(size, places, light[3][owner] * 0.09 * unit**2, spot)
    side = random.uniform(0, 2 * np.pi, count)  # the Golgi lies on one side of the nucleus
    beside = np.stack([np.sin(side), np.cos(side)], 1) * (1.25 * nucleus)[:, None]
    owner, places = scattered(random.poisson(7 * shape.puncta, count), beside, 0.16 * cell)
    site[5] += _spots(size, places, light[5][owner] * 0.06 * unit**2, spot)

    site *= ((1 - BACKGROUND) * shape.stain / UNIT_LIGHT)[:, None, None]
    site += (BACKGROUND * shape.background)[:, None, None]
    blur = 0.09 * unit * shape.blur
    blurred: Image = gaussian_filter(site.astype(np.float32), (0, blur, blur), mode="nearest", truncate=3.0)
    return blurred
