# The jobs that `all` consists of, for `cellsignal progress`. Included last, since it looks at every rule.
#
# Requires: nothing; it is written when the workflow is planned, and no job reads it.
# Makes:    results/{screen}/{recipe}/stages/jobs.json

import itertools

from snakemake.io import apply_wildcards


def every(**values):
    """Every combination of the wildcards' values."""
    return [dict(zip(values, map(str, one))) for one in itertools.product(*values.values())]


# Of rules that stand for several jobs, or for none with this configuration.
UNITS = {
    "simulate_plate": [dict(zip(("experiment", "number"), name.rsplit("_", 1))) for name in SUMMARY.plates],
    "pack_plate": every(plate=SUMMARY.plates),
    "train_model": every(model=CONFIGURED, fold=FOLDS),
    "finetune_cell_type": (
        every(arm=[""], model=ENSEMBLE, fold=FOLDS, cell_type=TUNED, round=ROUNDS) if CONFIG.finetune else []
    ),
    "predict": [
        *every(variant=[""], model=ENSEMBLE, fold=FOLDS, cell_type=SUMMARY.cell_types, round=ROUNDS),
        *every(variant=[""], model=REFERENCES, fold=FOLDS, cell_type=SUMMARY.cell_types, round=[0]),
    ],
    "ensemble_teachers": every(
        ensemble=[*ENSEMBLE_NAMES, *(LABELLING if CONFIG.pseudo_labels.teachers == "own_fold" else [])]
    ),
    "pseudo_labels": every(
        arm=[""], round=ROUNDS[:-1], source=dict.fromkeys(TRAININGS.source(fold) for fold in FOLDS)
    ),
    "balance_plates": [{}] if SUMMARY.test_cell_types else [],
    "submission": [{}] if SUMMARY.test_cell_types else [],
    "published_scores": [{}] if IS_RXRX1 else [],
    "ablation_table": [],  # for `snakemake ablation` only
    "ablation_ladder": [],
}

if PLANNING:
    PLAN.add_unread(
        recipe("stages/jobs.json"),
        [
            {
                "rule": rule.name,
                "wildcards": unit,
                "receipt": os.path.relpath(apply_wildcards(rule.output.receipt, unit), CONFIG.results),
                "log": os.path.relpath(apply_wildcards(rule.log[0], unit), CONFIG.results),
            }
            for rule in workflow.rules
            if "receipt" in rule.output.keys()
            for unit in UNITS.get(rule.name, [{}])
        ],
    )
