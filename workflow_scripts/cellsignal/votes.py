"""What averaging is worth: accuracy of single sites, of one model's wells, and of the ensemble's."""

from collections.abc import Mapping, Sequence

import pandas as pd
from scipy.special import softmax

from cellsignal.ensemble import PredictionFile, WellProbabilities, ensemble
from cellsignal.metrics import accuracy
from cellsignal.predictions import iterate_logits
from cellsignal.scoring import best_treatment

COLUMNS = ["name", "unit", "accuracy", "count"]


def model_votes(name: str, files: Sequence[PredictionFile], sites: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of one model on its out-of-fold sites, and on wells whose sites are averaged.

    `files`: the model's predictions of one round, of all folds. No prior but that a treatment well holds a treatment.
    Returns rows of `COLUMNS`, `unit` being `site` and `well`; `count` is how many of them.
    """
    truth = sites.set_index("site_id")["sirna"]
    right, count = 0, 0
    for file in files:
        for site_id, role, logits in iterate_logits(file.path):
            chosen = role == "out_of_fold"
            probability = softmax(logits[chosen], axis=1)
            right += int((best_treatment(probability, classes) == truth.loc[site_id[chosen]].to_numpy()).sum())
            count += int(chosen.sum())
    of_sites = (name, "site", right / count if count else float("nan"), count)
    of_wells = ensemble_votes(name, ensemble(files, sites), sites, classes, unit="well")
    return pd.concat([pd.DataFrame([of_sites], columns=COLUMNS), of_wells], ignore_index=True)


def ensemble_votes(
    name: str, wells: WellProbabilities, sites: pd.DataFrame, classes: pd.DataFrame, unit: str = "ensemble"
) -> pd.DataFrame:
    """Accuracy of class probabilities on the out-of-fold wells; one row as in `model_votes`."""
    held_out = wells.of_role("out_of_fold")
    truth = sites.drop_duplicates("well_id").set_index("well_id")["sirna"].loc[held_out.well_id]
    value = accuracy(truth, best_treatment(held_out.probability, classes)) if len(truth) else float("nan")
    return pd.DataFrame([(name, unit, value, len(truth))], columns=COLUMNS)


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
