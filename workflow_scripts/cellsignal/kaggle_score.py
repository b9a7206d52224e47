"""Scoring as Kaggle did: accuracy, truncated to five decimals, on a public and a private set of experiments.

RxRx1: public are HEPG2-08, HUVEC-17, RPE-08 and U2OS-04 (4,431 wells); private is the rest without HUVEC-18
(14,359 wells). https://www.kaggle.com/c/recursion-cellular-image-classification
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellsignal.errors import raise_all

DECIMALS = 5


def truncated(correct: int, wells: int, decimals: int = DECIMALS) -> float:
    """correct / wells, cut off after `decimals`: 14,301 of 14,359 give 0.99596. NaN without wells."""
    return correct * 10**decimals // wells / 10**decimals if wells else float("nan")


def kaggle_score(
    predicted: pd.DataFrame,
    answers: pd.DataFrame,
    wells: pd.DataFrame,
    public_experiments: Sequence[str] = (),
    left_out_experiments: Sequence[str] = (),
) -> pd.DataFrame:
    """Scores of a submission on the wells whose truth is known.

    Args:
        predicted: `well_id`, `sirna` (class index) of every test treatment well.
        answers: `well_id`, `sirna`; may cover a part of them.
        wells: `well_id`, `experiment` of the test treatment wells.
        public_experiments: the public set; without any, there is no split.
        left_out_experiments: neither public nor private.

    Returns:
        A row for each of `all`, `public`, `private` (`all` only, without public experiments): `split`,
        `accuracy` (truncated), `correct`, `wells` (with known truth), `wells_in_split`.

    Raises:
        BadInput: an experiment is not in the test set; an answer's well is not in the test set or was not
            predicted.
    """
    experiment = wells.set_index("well_id")["experiment"]
    guess = predicted.set_index("well_id")["sirna"]
    present = set(experiment)
    problems = []
    for key, names in (
        ("public_experiments", public_experiments),
        ("left_out_experiments", left_out_experiments),
    ):
        problems += [
            f"score.{key}: {name} is no test experiment; these are {', '.join(sorted(present))}"
            for name in names
            if name not in present
        ]
    if both := sorted(set(public_experiments) & set(left_out_experiments)):
        problems.append(f"score: {', '.join(both)} cannot be both public and left out")
    for place, index in (("the test set", experiment.index), ("the submission", guess.index)):
        strange = answers.loc[~answers["well_id"].isin(index), "well_id"]
        if len(strange):
            problems.append(f"answers: {len(strange)} wells are not in {place}, first {strange.iloc[0]}")
    raise_all(problems, "score")

    known = answers.set_index("well_id")["sirna"]
    right = guess.reindex(known.index).to_numpy() == known.to_numpy()
    rows = []
    for split, inside in _splits(experiment, public_experiments, left_out_experiments).items():
        chosen = inside.reindex(known.index).to_numpy(dtype=bool)
        correct, n = int(right[chosen].sum()), int(chosen.sum())
        rows.append((split, truncated(correct, n), correct, n, int(inside.sum())))
    return pd.DataFrame(rows, columns=["split", "accuracy", "correct", "wells", "wells_in_split"])


def _splits(experiment: pd.Series, public: Sequence[str], left_out: Sequence[str]) -> dict[str, pd.Series]:
    """Which wells (bool, indexed as `experiment`) are in each split."""
    everything = pd.Series(np.ones(len(experiment), dtype=bool), index=experiment.index)
    if not public:
        return {"all": everything}
    is_public = experiment.isin(public)
    return {"all": everything, "public": is_public, "private": ~is_public & ~experiment.isin(left_out)}
