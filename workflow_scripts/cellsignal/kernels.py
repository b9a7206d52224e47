"""Bands in the weights of 1 × 1 convolutions: inputs that all outputs weigh alike, and how they repeat.

The explainability paper shows heat maps of such weights in a DenseNet and sees constant bands that repeat;
it gives no measure. This is one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONSTANT = 0.25  # spread of a band's weights, as a share of the whole matrix's
SHUFFLES = 200  # of the profile, for what chance would give


@dataclass(frozen=True)
class Bands:
    """Bands of a weight matrix (outputs, inputs).

    Attributes:
        mean: float (inputs,), mean weight of each input over the outputs.
        spread: float (inputs,), standard deviation of its weights over the outputs.
        constant: bool (inputs,), whether it is a constant band: its spread is less than a quarter of the standard
            deviation of all weights.
        inputs_share: share of the variance of the weights that lies between inputs, less what independent
            weights would give (ε², an unbiased η²; 0 for independent weights, 1 if every input is a constant band).
        outputs_share: the same between outputs (horizontal bands).
        period: the distance, in inputs, at which the profile of spreads is most like itself (the shortest that
            comes within a tenth of the best, since multiples do); 0 if there are too few inputs.
        repetition: its autocorrelation at that distance, −1 to 1.
        chance: the 95th percentile of the largest autocorrelation of the shuffled profile.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    constant: NDArray[np.bool_]
    inputs_share: float
    outputs_share: float
    period: int
    repetition: float
    chance: float

    @property
    def repeated(self) -> bool:
        """Whether the bands repeat more than those of shuffled inputs would."""
        return self.repetition > self.chance


def find_bands(weights: NDArray[np.floating], seed: int = 0) -> Bands:
    """The bands of a matrix (outputs, inputs) of at least 2 × 2."""
    matrix = np.asarray(weights, dtype=np.float64)
    spread = matrix.std(axis=0)
    overall = matrix.std()
    period, repetition = _strongest_period(spread)
    random = np.random.default_rng(seed)
    by_chance = [_strongest_period(random.permutation(spread))[1] for _ in range(SHUFFLES)]
    return Bands(
        mean=matrix.mean(axis=0),
        spread=spread,
        constant=spread < CONSTANT * overall,
        inputs_share=_share_between(matrix.T),
        outputs_share=_share_between(matrix),
        period=period,
        repetition=repetition,
        chance=float(np.quantile(by_chance, 0.95)),
    )


def _share_between(groups: NDArray[np.float64]) -> float:
    """ε² of a one-way layout (groups, members): the share of the variance that lies between groups."""
    n, size = groups.shape
    total = ((groups - groups.mean()) ** 2).sum()
    if total == 0:
        return 0.0
    between = size * ((groups.mean(axis=1) - groups.mean()) ** 2).sum()
    within = (total - between) / (n * (size - 1))  # mean square
    return float((between - (n - 1) * within) / total)


def _strongest_period(profile: NDArray[np.float64]) -> tuple[int, float]:
    """The lag, from 2 to a half of the length, with the largest autocorrelation, and that; (0, 0) if there is none."""
    centred = profile - profile.mean()
    energy = float(centred @ centred)
    lags = np.arange(2, len(profile) // 2 + 1)
    if not len(lags) or energy == 0:
        return 0, 0.0
    # Divided by the share of pairs at each lag, so that long periods are not put at a disadvantage.
    found = [(centred[lag:] @ centred[:-lag]) / energy * len(profile) / (len(profile) - lag) for lag in lags]
    # Multiples of a period are as good as itself: the shortest that comes near the best.
    best = int(np.flatnonzero(np.array(found) >= 0.9 * max(found))[0]) if max(found) > 0 else int(np.argmax(found))
    return int(lags[best]), float(found[best])
