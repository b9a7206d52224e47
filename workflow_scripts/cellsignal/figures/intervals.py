"""Intervals of shares."""

import math

Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


def wilson(correct: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of the share `correct` / `total` (Wilson 1927), within 0–1.

    It treats wells as independent; wells of one experiment are not quite, so it is a lower bound of the
    uncertainty. (0, 1) if `total` is 0.
    """
    if total == 0:
        return 0.0, 1.0
    share = correct / total
    spread = Z95 * math.sqrt(share * (1 - share) / total + Z95**2 / (4 * total**2))
    centre = share + Z95**2 / (2 * total)
    scale = 1 + Z95**2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
