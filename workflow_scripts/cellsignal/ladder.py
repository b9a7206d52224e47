"""The score ladder: what each prior of the plate layout adds, always shown with and without plate groups.

The published 99.596 % of DeepNoise includes the plate-group prior, which its paper does not mention.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cellsignal.assignment import balance
from cellsignal.config.labelling import Method
from cellsignal.errors import BadInput
from cellsignal.intervals import LINE, interval
from cellsignal.plate_groups import PlateGroups, repeated_classes

COLUMNS = ["name", "method", "plate_groups", "accuracy", "correct", "wells", *LINE]
REFERENCE = "reference"
METHODS: tuple[Method, ...] = ("uniqueness", "iterative", "assignment")


def ladder(
    probability: ArrayLike,
    wells: pd.DataFrame,
    answers: pd.DataFrame,
    groups: PlateGroups | None = None,
    *,
    treatments: ArrayLike | None = None,
    train_wells: pd.DataFrame | None = None,
    step: float = 0.001,
    references: Mapping[str, ArrayLike] | None = None,
    methods: Sequence[Method] = METHODS,
) -> pd.DataFrame:
    """Accuracy of each method of balancing on the wells whose truth is known.

    Args:
        probability: (wells, classes), test treatment wells.
        wells: `well_id`, `experiment`, `plate`, `plate_id`, rows as in `probability`.
        answers: `well_id`, `sirna`; may cover a part of the wells.
        groups: plate groups, where the screen has some.
        treatments, train_wells, step: as in `balance`. On a screen whose classes do not occur once per
            experiment, the ladder has the rung `raw` and the references only.
        references: further rungs: name → class index of each well.
        methods: the methods that are shown, each without and with plate groups.

    Returns:
        `name`, `method` (or `reference`), `plate_groups` (bool), `accuracy`, `correct`, `wells`, and `low`, `high`,
        `groups`, `unit` of `intervals.interval`; references first, then `raw`, `+ uniqueness`, …, without and with
        plate groups.
    """
    truth = wells["well_id"].map(dict(zip(answers["well_id"], answers["sirna"], strict=True)))
    known = truth.notna().to_numpy()

    def rung(name: str, method: str, with_groups: bool, chosen: ArrayLike) -> dict[str, object]:
        right = np.asarray(chosen)[known] == truth[known].to_numpy(np.int64)
        score = float(right.mean()) if len(right) else float("nan")
        line = interval(right, wells[known]).record()
        values = (name, method, with_groups, score, int(right.sum()), len(right), *line.values())
        return dict(zip(COLUMNS, values, strict=True))

    def balanced(method: Method, used: PlateGroups | None) -> NDArray[np.int64]:
        return balance(probability, wells, method, used, treatments=treatments, step=step).assigned

    rungs = [rung(name, REFERENCE, False, chosen) for name, chosen in (references or {}).items()]
    rungs.append(rung("raw", "none", False, balanced("none", None)))
    if train_wells is not None and repeated_classes(train_wells):
        return pd.DataFrame(rungs, columns=COLUMNS)
    if groups is not None:
        rungs.append(rung("+ plate groups", "none", True, balanced("none", groups)))
    for used in (None, groups) if groups is not None else (None,):
        prior = "" if used is None else " + plate groups"
        for method in methods:
            try:
                chosen = balanced(method, used)
            except BadInput:  # more wells than classes: the rule does not hold in this screen
                continue
            rungs.append(rung(f"+ {method}{prior}", method, used is not None, chosen))
    return pd.DataFrame(rungs, columns=COLUMNS)
