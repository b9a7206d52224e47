"""How far an accuracy would change with other experiments: intervals by resampling whole experiments.

Wells of one experiment share its staining, its day and, where the answers are balanced, each other's answers, so they
are not independent: an interval that takes them one by one, such as Wilson's, is too narrow. Here whole experiments
are drawn with replacement (the cluster bootstrap; Davison & Hinkley 1997, section 3.8).

What is drawn depends on what there is:

- five experiments or more: the 95 % interval of the bootstrap;
- two to four: from the lowest experiment to the highest. So few can be drawn in few ways, and no interval made of them
  holds the truth in 95 % of the cases (the range of four does in about 88 %, of two in 50 %);
- one: its plates instead, by the same rules; they tell how sure the accuracy *of this experiment* is;
- one plate: none.

Where each experiment is one plate, experiments are plates.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

CONFIDENCE = 0.95
FEWEST = 5  # groups; of fewer the range is shown. The range of five holds the median of all in 1 − 2/2⁵ = 94 %
RESAMPLES = 10_000
SEED = 0
LINE = ("low", "high", "groups", "unit")  # keys of a record


@dataclass(frozen=True)
class Interval:
    """An interval of an accuracy, and what was resampled.

    Attributes:
        low, high: shares, 0–1; NaN where there is no interval.
        groups: how many experiments (or plates) have wells. unit: `experiment` or `plate`.
    """

    low: float
    high: float
    groups: int
    unit: str

    def record(self) -> dict[str, Any]:
        """As JSON values: `low`, `high` (null where there is none), `groups`, `unit`."""
        known = not np.isnan(self.low)
        return vars(self) | {"low": self.low if known else None, "high": self.high if known else None}


def interval(right: ArrayLike, wells: pd.DataFrame) -> Interval:
    """Interval of the accuracy on `wells`: over its experiments or, of a single one, over its plates.

    `right`: bool (wells,). `wells`: rows as in `right`, with `experiment` and `plate_id`.
    """
    unit = "experiment" if len(set(wells["experiment"])) > 1 else "plate"
    groups = wells["experiment" if unit == "experiment" else "plate_id"].to_numpy()
    low, high = resampled(right, groups)
    return Interval(low, high, len(set(groups)), unit)


def resampled(right: ArrayLike, group: ArrayLike) -> tuple[float, float]:
    """(low, high) of the share of `right` (bool, (n,)), drawing whole groups; `group` is a label per row.

    The percentile interval, with Hesterberg's correction of its levels for few groups (*What teachers
    should know about the bootstrap*, The American Statistician 69, 2015): as much wider as Student's t is than the
    normal distribution, and by √(k/(k − 1)), since a bootstrap's variance divides by k. Of two to four groups the
    range; of fewer, NaN. The same arguments give the same numbers.
    """
    label, number = np.unique(np.asarray(group), return_inverse=True)
    correct = np.bincount(number, np.asarray(right, dtype=np.float64), minlength=len(label))
    total = np.bincount(number, minlength=len(label))
    k = len(label)
    if k < 2:
        return float("nan"), float("nan")
    if k < FEWEST:
        shares = correct / total
        return float(shares.min()), float(shares.max())
    drawn = _draws(k)
    shares = (drawn @ correct) / (drawn @ total)
    level = expanded_level(k)
    low, high = np.quantile(shares, [level, 1 - level])
    return float(low), float(high)


def expanded_level(groups: int) -> float:
    """The lower quantile of the bootstrap that bounds a 95 % interval: 0.025 of many groups, less of few."""
    wanted = t.ppf((1 - CONFIDENCE) / 2, groups - 1)
    return float(norm.cdf(wanted * np.sqrt(groups / (groups - 1))))


@lru_cache(maxsize=64)
def _draws(groups: int) -> NDArray[np.float64]:
    """How often each group is drawn, (resamples, groups): the same for all accuracies over so many groups."""
    random = np.random.default_rng(SEED)
    return random.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES).astype(np.float64)


def in_words(groups: int, unit: str) -> str:
    """What a line means that was drawn over so many experiments (or plates)."""
    if groups < 2:
        return f"no interval: a single {unit}"
    if groups < FEWEST:
        return f"range of {groups} {unit}s"
    return f"95 % interval over {groups} resampled {unit}s"


def told(lines: Iterable[tuple[int, str]]) -> str:
    """What the lines of a figure mean, from the `groups` and `unit` of each."""
    kinds = list(dict.fromkeys((int(groups), str(unit)) for groups, unit in lines))
    if len(kinds) <= 1:
        return in_words(*kinds[0]) if kinds else "no interval"
    units = " or ".join(dict.fromkeys(f"{unit}s" for _, unit in kinds))
    counts = sorted({groups for groups, _ in kinds})
    return f"95 % interval over resampled {units} ({counts[0]} to {counts[-1]}; of fewer than {FEWEST}: their range)"
