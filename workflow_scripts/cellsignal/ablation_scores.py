"""What each rung of the ablation reaches, from the ensembles and the table of scored wells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellsignal.ablation import AblationRung
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import UNSEEN, WellProbabilities
from cellsignal.intervals import LINE, interval
from cellsignal.metrics import accuracy, balanced_accuracy
from cellsignal.scoring import best_treatment, priors_ladder


def ablation_scores(
    rungs: Sequence[AblationRung],
    ensembles: Mapping[str, WellProbabilities],
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    wells: pd.DataFrame,
    settings: BalanceSettings,
    strict: str | None = None,
    epoch_chosen: bool = False,
) -> dict[str, Any]:
    """The ablation's table as JSON values.

    Args:
        rungs: the plan.
        ensembles: by the names that the rungs use.
        wells: the table that `score` leaves, with the truth of all wells where it is known.
        settings: of balancing; method and plate groups are the rungs' own.
        strict: the ensemble on whose out-of-fold wells temperatures are fitted; default: each rung's own.
        epoch_chosen: whether the held-out fold chose the epoch, which matters where `of` is out-of-fold wells.

    Returns:
        `of` (`test wells` where the truth of some is known, else `out-of-fold wells`), `wells`, and `rungs`: the
        plan's fields with `accuracy`, `correct` and, for raw rungs, `balanced_accuracy`. A rung whose rule the
        screen does not keep is left out.
    """
    treatment = wells[wells["well_type"] == "treatment"]
    known = treatment[treatment["role"].isin(["test", UNSEEN]) & (treatment["sirna"] >= 0)]
    of = "test wells"
    if known.empty:
        known, of = treatment[treatment["role"] == "out_of_fold"], "out-of-fold wells"
    if known.empty:
        return {"of": of, "wells": 0, "epoch_chosen_by_held_out_fold": False, "rungs": []}
    truth = known["sirna"].to_numpy(np.int64)
    balanced = {
        name: priors_ladder(
            ensembles[name],
            sites,
            classes,
            known[["well_id", "sirna"]],
            settings,
            ensembles[strict] if strict else None,
        )
        for name in sorted({rung.ensemble for rung in rungs if rung.method != "none"})
        if of == "test wells"
    }
    found = []
    for rung in rungs:
        if rung.method == "none":
            chosen = (
                known["predicted"].to_numpy(np.int64)  # with the shares: what the run itself predicts
                if rung.label_shift
                else best_treatment(ensembles[rung.ensemble].of_wells(known["well_id"]), classes)
            )
            scores = {"accuracy": accuracy(truth, chosen), "correct": int((truth == chosen).sum())}
            scores |= interval(truth == chosen, known).record()
            found.append({**vars(rung), **scores, "balanced_accuracy": balanced_accuracy(truth, chosen)})
        elif rung.ensemble in balanced:
            table = balanced[rung.ensemble]
            row = table[(table["method"] == rung.method) & (table["plate_groups"] == rung.plate_groups)]
            reached = row[["accuracy", "correct", *LINE]].to_dict("records")
            found += [vars(rung) | {str(key): value for key, value in one.items()} for one in reached]
    chosen_there = epoch_chosen and of == "out-of-fold wells"
    return {"of": of, "wells": len(known), "epoch_chosen_by_held_out_fold": chosen_there, "rungs": found}
