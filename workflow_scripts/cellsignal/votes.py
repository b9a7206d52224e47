"""What averaging is worth: accuracy of single sites, of one model's wells, and of the ensemble's."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cellsignal.ensemble import PredictionFile, WellProbabilities, ensemble
from cellsignal.intervals import interval
from cellsignal.predictions import iterate_logits
from cellsignal.scoring import best_treatment

COLUMNS = ["name", "unit", "accuracy", "count", "low", "high", "groups", "resampled"]


def model_votes(name: str, files: Sequence[PredictionFile], sites: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of one model on its out-of-fold sites, and on wells whose sites are averaged.

    `files`: the model's predictions of one round, of all folds. No prior but that a treatment well holds a treatment.
    Returns rows of `COLUMNS`, `unit` being `site` and `well`; `count` is how many of them, `low`, `high`, `groups` and
    `resampled` (what the groups are) of `intervals.interval`.
    """
    of_site = sites.set_index("site_id")[["sirna", "experiment", "plate_id"]]
    right, seen = [np.zeros(0, dtype=bool)], [of_site.iloc[:0]]
    for file in files:
        for site_id, role, logits in iterate_logits(file.path):
            chosen = role == "out_of_fold"
            probability = softmax(logits[chosen], axis=1)
            voted = of_site.loc[site_id[chosen]]
            right.append(best_treatment(probability, classes) == voted["sirna"].to_numpy())
            seen.append(voted)
    of_sites = _vote(name, "site", np.concatenate(right), pd.concat(seen))
    of_wells = ensemble_votes(name, ensemble(files, sites), sites, classes, unit="well")
    return pd.concat([of_sites, of_wells], ignore_index=True)


def ensemble_votes(
    name: str, wells: WellProbabilities, sites: pd.DataFrame, classes: pd.DataFrame, unit: str = "ensemble"
) -> pd.DataFrame:
    """Accuracy of class probabilities on the out-of-fold wells; one row as in `model_votes`."""
    held_out = wells.of_role("out_of_fold")
    voted = sites.drop_duplicates("well_id").set_index("well_id").loc[held_out.well_id]
    return _vote(name, unit, best_treatment(held_out.probability, classes) == voted["sirna"].to_numpy(), voted)


def _vote(name: str, unit: str, right: NDArray[np.bool_], voted: pd.DataFrame) -> pd.DataFrame:
    share = float(right.mean()) if len(right) else float("nan")
    line = interval(right, voted)
    return pd.DataFrame([(name, unit, share, len(right), line.low, line.high, line.groups, line.unit)], columns=COLUMNS)


def all_votes(
    models: Mapping[str, Sequence[PredictionFile]],
    ensembles: Mapping[str, WellProbabilities],
    sites: pd.DataFrame,
    classes: pd.DataFrame,
) -> pd.DataFrame:
    """The rows of every model (name and round → files) and of every ensemble (name → probabilities)."""
    parts = [model_votes(name, files, sites, classes) for name, files in models.items()]
    parts += [ensemble_votes(name, wells, sites, classes) for name, wells in ensembles.items()]
    return pd.concat(parts, ignore_index=True)
