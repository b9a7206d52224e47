# From predictions to class probabilities per well, and to pseudo-labels for the next round.
#
# Requires: predictions of a round (train.smk).
# Makes:    results/{screen}/{recipe}/ ensembles/{ensemble}.h5 rounds/{round}/pseudo_labels.parquet


def averaged(ensemble):
    """Variant, models and round of the predictions that an ensemble averages, by its name."""
    if ensemble.startswith("round"):
        return "", ENSEMBLE, int(ensemble.removeprefix("round"))
    if ensemble.endswith("batch_norm"):
        return f"{ensemble}/", ENSEMBLE, ROUNDS[-1]
    kind, name = ensemble.split("-", 1)
    return "stage1/" if kind == "stage1" else "", [name], 0


def voters(wildcards):
    """Predictions that an ensemble averages."""
    variant, models, number = averaged(wildcards.ensemble)
    return expand(
        PREDICTIONS, variant=variant, model=models, fold=FOLDS, cell_type=SUMMARY.cell_types, round=number
    )


for ensemble in [*ENSEMBLE_NAMES, *ABLATION_ENSEMBLES]:
    stage(
        recipe,
        "ensemble_teachers",
        {"models": averaged(ensemble)[1], "folds": len(FOLDS)},
        unit=ensemble,
    )


rule ensemble_teachers:
    input:
        stage=recipe("stages/ensemble_teachers/{ensemble}.json"),
        receipts=receipts_of(voters),
        sites_receipt=receipt(screen("sites.parquet")),
        sites=ancient(screen("sites.parquet")),
        predictions=ancient(voters),
    output:
        ensemble=recipe("ensembles/{ensemble}.h5"),
        receipt=receipt(recipe("ensembles/{ensemble}.h5")),
    log:
        recipe("logs/ensemble_teachers/{ensemble}.log"),
    benchmark:
        recipe("benchmarks/ensemble_teachers/{ensemble}.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(60),
    message:
        "Class probabilities per well: {wildcards.ensemble}"
    script:
        "../workflow_scripts/ensemble_teachers.py"


rule pseudo_labels:
    input:
        stage=stage(
            recipe,
            "pseudo_labels",
            settings("balance")
            | {name: getattr(CONFIG.pseudo_labels, name) for name in ("weight", "share", "share_step")},
        ),
        receipts=[receipt(recipe("ensembles/round{round}.h5")), receipt(screen("sites.parquet"))],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        ensemble=ancient(recipe("ensembles/round{round}.h5")),
    output:
        labels=recipe("rounds/{round}/pseudo_labels.parquet"),
        receipt=receipt(recipe("rounds/{round}/pseudo_labels.parquet")),
    log:
        recipe("logs/pseudo_labels/round{round}.log"),
    benchmark:
        recipe("benchmarks/pseudo_labels/round{round}.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(60),
    message:
        "Pseudo-labels of round {wildcards.round}"
    script:
        "../workflow_scripts/pseudo_labels.py"
