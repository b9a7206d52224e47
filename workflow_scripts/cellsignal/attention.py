"""Attention per channel: how well a Grad-CAM agrees with each channel of its image."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def concordance(
    cams: ArrayLike, images: ArrayLike, measure: Literal["correlation", "distance"] = "correlation"
) -> NDArray[np.float64]:
    """How well a map agrees with each channel, float64 (n, channels).

    `cams`: (n, h, w), `images`: (n, channels, h, w), both scaled to 0–1 per map and channel. `correlation`: Pearson's
    r, 0 for a constant channel. `distance`: 1 − root mean squared difference (the explainability paper's equation 15
    is the distance itself, though its text reads larger as more concordant). NaN for an empty map, where nothing
    speaks for the class.
    """
    maps = _scale(np.asarray(cams, dtype=np.float64)[:, None])
    scaled = _scale(np.asarray(images, dtype=np.float64))
    drawn = np.asarray(maps.any(axis=(2, 3)))
    if measure == "distance":
        agreement = 1 - np.sqrt(((maps - scaled) ** 2).mean((2, 3)))
    else:
        maps -= maps.mean((2, 3), keepdims=True)
        scaled -= scaled.mean((2, 3), keepdims=True)
        norms = np.sqrt((maps**2).sum((2, 3)) * (scaled**2).sum((2, 3)))
        agreement = np.divide((maps * scaled).sum((2, 3)), norms, out=np.zeros(norms.shape), where=norms > 0)
    return np.where(drawn, agreement, np.nan)


def attention(agreement: ArrayLike) -> NDArray[np.float64]:
    """Concordance (n, channels) over its largest absolute value of an image: the most telling channel has 1 (or −1).

    0 where no channel agrees at all; NaN stays.
    """
    values = np.asarray(agreement, dtype=np.float64)
    largest = np.abs(values).max(1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(values, largest, out=values * 0, where=largest > 0)
    return shares


def _scale(images: NDArray[np.float64]) -> NDArray[np.float64]:
    low = images.min((2, 3), keepdims=True)
    span = images.max((2, 3), keepdims=True) - low
    scaled: NDArray[np.float64] = np.divide(images - low, span, out=np.zeros(images.shape), where=span > 0)
    return scaled
