# From predictions to class probabilities per well, and to pseudo-labels for the next round.
#
# Requires: predictions of a round (train.smk).
# Makes:    results/{screen}/{recipe}/ ensembles/{ensemble}.h5 rounds/{round}/pseudo_labels.parquet


def voters(wildcards):
    """Predictions that an ensemble averages: a round's models, or one reference model."""
    kind, name = re.fullmatch(r"(round|reference-)(.+)", wildcards.ensemble).groups()
    return expand(
        recipe("predictions/{model}/fold{fold}/{cell_type}/round{round}.h5"),
        model=ENSEMBLE if kind == "round" else name,
        fold=FOLDS,
        cell_type=SUMMARY.cell_types,
        round=name if kind == "round" else 0,
    )


for ensemble in ENSEMBLE_NAMES:
    stage(
        recipe,
        "ensemble_teachers",
        {"models": ENSEMBLE if ensemble.startswith("round") else [ensemble], "folds": len(FOLDS)},
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
            | {"weight": CONFIG.pseudo_labels.weight, "share": CONFIG.pseudo_labels.share},
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
