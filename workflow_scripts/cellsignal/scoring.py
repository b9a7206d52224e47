"""Scoring a run: metrics on out-of-fold wells, and the ladder where answers are known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.balancing import balance_screen
from cellsignal.calibration import FLOOR, entropy, expected_calibration_error
from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.ensemble import UNSEEN, WellProbabilities
from cellsignal.intervals import LINE, interval
from cellsignal.kaggle_score import kaggle_score
from cellsignal.label_shift import shift_held_out
from cellsignal.ladder import ladder
from cellsignal.metrics import accuracy, balanced_accuracy, grouped_accuracy, macro_averages
from cellsignal.plate_groups import treatment_wells
from cellsignal.sites import well_table

SHOWN = {
    True: ["+ uniqueness", "+ uniqueness + plate groups", "+ assignment + plate groups"],
    False: ["+ uniqueness", "+ assignment"],
}
"""Rungs of the figure, with and without plate groups; `scores.json` has all."""


def score_screen(
    ensembles: Mapping[str, WellProbabilities],
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    answers: pd.DataFrame,
    submitted: pd.DataFrame | None,
    balance: BalanceSettings,
    score: ScoreSettings,
    folds: pd.DataFrame,
    strict: str | None = None,
    epoch_chosen: bool = False,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores (JSON values) and the table of wells behind them.

    Args:
        ensembles: `reference-…` and `round0`, `round1`, …; the last round is the one that is submitted.
        answers: well_id, sirna; may be empty or cover a part.
        submitted: well_id, sirna of the submission; None for a screen without test wells.
        folds: fold table; with `balance.label_shift`, out-of-fold wells get the shares of their plates too.
        strict: the ensemble whose out-of-fold wells none of its models learned from, nor from pseudo-labels by models
            that did; default: the last round. The temperature is fitted on them.
        epoch_chosen: whether a held-out fold chose the epoch of its own models (`select: best`, `patience`).

    Returns:
        The scores, and the well table with `role`, `predicted` (−1: not predicted), `probability` of the
        predicted class, and `outcome` (`correct`, `wrong`, `unknown`).
    """
    last = [name for name in ensembles if not name.startswith("reference-")][-1]
    strict = strict or last
    final, calibration = ensembles[last], ensembles[strict]
    if balance.label_shift is not None:
        final = shift_held_out(final, sites, folds, balance.label_shift, balance.temperature, calibration)
    wells = _predicted_wells(final, sites, classes, answers, submitted)
    held_out = wells[wells["role"] == "out_of_fold"]
    scores: dict[str, Any] = {
        "out_of_fold": _metrics(held_out, final, classes) | _seen(last, strict, epoch_chosen, len(held_out)),
        "controls": _controls(wells, final),
        "test": None,
        "ladder": {"of": "out-of-fold wells", "rungs": _raw_rungs(ensembles, held_out, classes), "all": []},
    }
    if strict != last and len(held_out):
        before = held_out.assign(predicted=best_treatment(calibration.of_wells(held_out["well_id"]), classes))
        scores["out_of_fold_strict"] = _metrics(before, calibration, classes) | _seen(
            strict, strict, epoch_chosen, len(held_out)
        )
    if balance.label_shift is not None and len(held_out):
        scores["ladder"]["rungs"].append(_shares_rung(held_out))
    if submitted is not None and len(answers):
        # Wells without images count too: they were submitted, and Kaggle scores them.
        known = wells[wells["role"].isin(["test", UNSEEN]) & (wells["outcome"] != "unknown")]
        scores["test"] = _metrics(known, final, classes) | {
            "kaggle": _records(
                kaggle_score(
                    submitted, answers, treatment_wells(wells[wells["dataset"] == "test"]),
                    score.public_experiments, score.left_out_experiments,
                )
            )
        }  # fmt: skip
        scores["ladder"] = _ladder(ensembles, final, sites, classes, answers, known, balance, calibration)
        if balance.label_shift is not None:
            scores["ladder"]["rungs"].append(_shares_rung(known))
    return scores, wells


def _predicted_wells(
    final: WellProbabilities,
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    answers: pd.DataFrame,
    submitted: pd.DataFrame | None,
) -> pd.DataFrame:
    wells = well_table(sites)
    rows = pd.Index(final.well_id).get_indexer(pd.Index(wells["well_id"]))
    seen = rows >= 0
    wells["role"] = np.where(seen, final.role[rows], "")
    treatment = (wells["well_type"] == "treatment").to_numpy()
    predicted = np.full(len(wells), -1, np.int64)
    predicted[seen] = final.probability[rows[seen]].argmax(axis=1)
    predicted[seen & treatment] = best_treatment(final.probability[rows[seen & treatment]], classes)
    wells["predicted"] = predicted
    if submitted is not None:
        chosen = wells["well_id"].map(submitted.set_index("well_id")["sirna"])
        wells["predicted"] = chosen.fillna(wells["predicted"]).astype(np.int64)
    probability = final.probability[rows, np.maximum(wells["predicted"], 0)].astype(np.float64)
    wells["probability"] = np.where(seen, probability, np.nan)
    told = wells["well_id"].map(answers.set_index("well_id")["sirna"])
    wells["sirna"] = wells["sirna"].where(wells["sirna"] >= 0, told.fillna(-1).astype(np.int64))
    right = wells["predicted"] == wells["sirna"]
    unknown = (wells["sirna"] < 0) | (wells["predicted"] < 0)
    wells["outcome"] = np.where(unknown, "unknown", np.where(right, "correct", "wrong"))
    return wells


def best_treatment(probability: NDArray[np.float32], classes: pd.DataFrame) -> NDArray[np.int64]:
    """The likeliest treatment class of each row: a treatment well holds no control."""
    treatments = _treatments(classes)
    best: NDArray[np.int64] = treatments[probability[:, treatments].argmax(axis=1)]
    return best


def among_treatments(probability: NDArray[np.float32], classes: pd.DataFrame) -> NDArray[np.float64]:
    """Probabilities (wells, classes) of wells that hold a treatment: controls get none, rows are normalized."""
    possible = np.zeros(probability.shape[1])
    possible[_treatments(classes)] = 1
    # A row that gave the treatments nothing has them equally likely.
    kept = np.maximum(probability.astype(np.float64), FLOOR) * possible
    shares: NDArray[np.float64] = kept / kept.sum(axis=1, keepdims=True)
    return shares


def _metrics(wells: pd.DataFrame, final: WellProbabilities, classes: pd.DataFrame) -> dict[str, Any]:
    """Accuracy, with its interval and by class, and calibration of treatment wells of known truth, among treatments."""
    truth, predicted = wells["sirna"], wells["predicted"]
    if wells.empty:
        return {"wells": 0}
    return {
        "wells": len(wells),
        "accuracy": accuracy(truth, predicted),
        "balanced_accuracy": balanced_accuracy(truth, predicted),
        "interval": interval(truth == predicted, wells).record(),
        "macro": macro_averages(truth, predicted),
        "calibration_error": expected_calibration_error(
            among_treatments(final.of_wells(wells["well_id"]), classes), truth
        ),
        "by_cell_type": _records(grouped_accuracy(truth, predicted, wells["cell_type"])),
        "by_experiment": _records(grouped_accuracy(truth, predicted, wells["experiment"])),
    }


def _seen(name: str, strict: str, epoch_chosen: bool, wells: int) -> dict[str, Any]:
    """What the models of an ensemble had to do with their out-of-fold wells, in values and in words."""
    if not wells:
        return {"caveat": "no fold holds out a well, so nothing is known of wells that the models did not see"}
    words = []
    if name != strict:
        words.append(
            "no voting model was trained on them, but pseudo-labels that it learned from came from models that were"
        )
    if epoch_chosen:
        words.append("the held-out fold chose the epoch, which is a little optimistic")
    return {
        "ensemble": name,
        "strictly_out_of_fold": name == strict,
        "epoch_chosen_by_held_out_fold": epoch_chosen,
        "caveat": "; ".join(words) or None,
    }


def _controls(wells: pd.DataFrame, final: WellProbabilities) -> list[dict[str, Any]]:
    """How sure the models are by well type, among all classes: they should be unsure where nothing was silenced."""
    found = []
    for well_type, part in wells[wells["role"].isin(["out_of_fold", "control"])].groupby("well_type"):
        probability = final.of_wells(part["well_id"])
        found.append(
            {
                "well_type": str(well_type),
                "wells": len(part),
                "accuracy": accuracy(part["sirna"], probability.argmax(axis=1)),
                "entropy_nats": float(entropy(probability).mean()),
                "mean_top_probability": float(probability.max(axis=1).mean()),
                "calibration_error": expected_calibration_error(probability, part["sirna"]),
            }
        )
    return found


def _raw_rungs(
    ensembles: Mapping[str, WellProbabilities], wells: pd.DataFrame, classes: pd.DataFrame
) -> list[dict[str, Any]]:
    """One rung per ensemble, references first, before any prior, on `wells` (all of known truth; without any, none)."""
    if wells.empty:
        return []
    rungs = []
    for name, ensemble in sorted(ensembles.items(), key=lambda item: not item[0].startswith("reference-")):
        chosen = best_treatment(ensemble.of_wells(wells["well_id"]), classes)
        reference = name.startswith("reference-")
        rungs.append(
            {
                "name": name.removeprefix("reference-")
                if reference
                else f"ensemble, {name.replace('round', 'round ')}",
                "accuracy": accuracy(wells["sirna"], chosen),
                "wells": len(wells),
                "reference": reference,
            }
            | interval(wells["sirna"] == chosen, wells).record()
        )
    return rungs


def _shares_rung(wells: pd.DataFrame) -> dict[str, Any]:
    """The rung of the plates' own class shares: what the wells were predicted to be."""
    reached = accuracy(wells["sirna"], wells["predicted"])
    rung = {"name": "+ class shares of each plate", "accuracy": reached, "wells": len(wells), "reference": False}
    return rung | interval(wells["sirna"] == wells["predicted"], wells).record()


def _ladder(
    ensembles: Mapping[str, WellProbabilities],
    final: WellProbabilities,
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    answers: pd.DataFrame,
    known: pd.DataFrame,
    settings: BalanceSettings,
    calibration: WellProbabilities,
) -> dict[str, Any]:
    """Every ensemble raw, then the priors on the last, with and without plate groups."""
    every = priors_ladder(final, sites, classes, answers, settings, calibration)
    shown = SHOWN[bool(every["plate_groups"].any())]
    rungs = _raw_rungs(ensembles, known, classes)
    by_name = {row["name"]: row for row in _records(every)}
    for name in (name for name in shown if name in by_name):
        row = by_name[name]
        rungs.append({key: row[key] for key in ("name", "accuracy", "wells", *LINE)} | {"reference": False})
    return {"of": "test wells", "rungs": rungs, "all": _records(every)}


def priors_ladder(
    wells: WellProbabilities,
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    answers: pd.DataFrame,
    settings: BalanceSettings,
    calibration: WellProbabilities | None = None,
) -> pd.DataFrame:
    """`ladder` of one ensemble's test wells: every method, without and with plate groups, used by the run or not.

    `calibration`: as in `balance_screen`.
    """
    plain = settings.model_copy(update={"method": "none", "plate_groups": True})
    balanced = balance_screen(wells, sites, classes, plain, calibration)
    table = well_table(sites)
    return ladder(
        balanced.probabilities.probability,
        balanced.wells,
        answers,
        balanced.groups,
        treatments=_treatments(classes),
        train_wells=treatment_wells(table[table["dataset"] == "train"]),
        step=settings.step,
    )


def _treatments(classes: pd.DataFrame) -> NDArray[np.int64]:
    return classes.loc[classes["well_type"] == "treatment", "sirna"].to_numpy(np.int64)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; null where there is no number, such as the accuracy of a split without known wells."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
