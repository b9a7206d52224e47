"""Pseudo-labels: the classes that the teachers' ensemble gives to test wells, the surest of them.

They come from predictions and the layout's rules alone; no answer is read.
"""

import math

import numpy as np
import pandas as pd

from cellsignal.assignment import BalanceResult
from cellsignal.ensemble import WellProbabilities

COLUMNS = ["well_id", "sirna", "probability", "margin", "weight"]


def pseudo_labels(
    wells: WellProbabilities, result: BalanceResult, weight: float = 0.05, share: float = 1.0
) -> pd.DataFrame:
    """The surest share of the test wells, with the classes that balancing gave them.

    Args:
        wells: class probabilities of the test treatment wells that were balanced, in that order. Wells
            without images (role `unseen`) get no pseudo-label: there is nothing to train on.
        result: from `balance`.
        weight: of the pseudo-label loss.
        share: of the wells seen, in (0, 1]; rounded up.

    Returns:
        `well_id`, `sirna`, `probability` (of that class, under the priors), `margin` (that probability less
        the best other one; negative where balancing overruled the best class), `weight`; largest margin
        first, ties by well.
    """
    rows = np.arange(len(wells.well_id))
    mine = result.probability[rows, result.assigned]
    others = result.probability.copy()
    others[rows, result.assigned] = -np.inf
    every = pd.DataFrame(
        {
            "well_id": wells.well_id,
            "sirna": result.assigned,
            "probability": mine,
            "margin": mine - others.max(axis=1, initial=0.0),
            "weight": np.full(len(rows), weight),
        },
        columns=COLUMNS,
    )
    table: pd.DataFrame = every[wells.role == "test"].sort_values(
        ["margin", "well_id"], ascending=[False, True], ignore_index=True
    )
    return table.head(math.ceil(share * len(table)))
