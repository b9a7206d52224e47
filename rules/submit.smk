# From class probabilities to the submission and its score.
#
# Requires: the ensemble of the last round (label.smk); answers where they are known (data.smk).
# Makes:    results/{screen}/{recipe}/ assignment.parquet submission.csv scores.json wells.parquet

# Classes by name where the screen's own tables name them, by number as RxRx1's do.
BY_NAME = CONFIG.screen.kind in ("kaggle", "table")
ENSEMBLES = expand(recipe("ensembles/{ensemble}.h5"), ensemble=ENSEMBLE_NAMES)
STRICT = recipe(f"ensembles/{TRAININGS.strict}.h5")  # the temperature is fitted on its out-of-fold wells
# The held-out fold chose an epoch: out-of-fold numbers are a little optimistic.
CHOSEN = CONFIG.train.validated or bool(CONFIG.finetune and CONFIG.finetune.optimization.validated)


rule balance_plates:
    input:
        stage=stage(recipe, "balance_plates", settings("balance")),
        receipts=[
            receipt(recipe(f"ensembles/{LAST_ROUND}.h5")),
            receipt(STRICT),
            receipt(screen("sites.parquet")),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        ensemble=ancient(recipe(f"ensembles/{LAST_ROUND}.h5")),
        calibration=ancient(STRICT),
    output:
        assignment=recipe("assignment.parquet"),
        priors=recipe("priors.json"),
        receipt=receipt(recipe("assignment.parquet")),
    log:
        recipe("logs/balance_plates.log"),
    benchmark:
        recipe("benchmarks/balance_plates.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(60),
    message:
        f"Balancing plates: {CONFIG.balance.method}"
    script:
        "../workflow_scripts/balance_plates.py"


rule submission:
    input:
        stage=stage(recipe, "submission", {"by_name": BY_NAME}),
        receipts=[receipt(recipe("assignment.parquet")), receipt(screen("sites.parquet"))],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        assignment=ancient(recipe("assignment.parquet")),
    output:
        submission=recipe("submission.csv"),
        receipt=receipt(recipe("submission.csv")),
    log:
        recipe("logs/submission.log"),
    benchmark:
        recipe("benchmarks/submission.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Writing submission.csv"
    script:
        "../workflow_scripts/submission.py"


rule score:
    input:
        stage=stage(
            recipe,
            "score",
            settings("balance", "score")
            | {"ensembles": ENSEMBLE_NAMES, "by_name": BY_NAME}
            | {"strict": TRAININGS.strict, "epoch_chosen": CHOSEN},
        ),
        receipts=[
            *map(receipt, ENSEMBLES),
            receipt(screen("sites.parquet")),
            receipt(recipe("folds.parquet")),
            *([receipt(recipe("submission.csv"))] if SUMMARY.test_cell_types else []),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        answers=ancient(screen("answers.parquet")),
        folds=ancient(recipe("folds.parquet")),
        ensembles=ancient(ENSEMBLES),
        submission=ancient(recipe("submission.csv")) if SUMMARY.test_cell_types else [],
    output:
        scores=recipe("scores.json"),
        wells=recipe("wells.parquet"),
        receipt=receipt(recipe("scores.json")),
    log:
        recipe("logs/score.log"),
    benchmark:
        recipe("benchmarks/score.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.score_mb(len(ENSEMBLES))),
        runtime=grown(60),
    message:
        "Scoring: the only rule that reads answers"
    script:
        "../workflow_scripts/score.py"
