# From predictions to class probabilities per well, and to pseudo-labels for the next round.
#
# Requires: predictions of a round (train.smk).
# Makes:    results/{screen}/{recipe}/ ensembles/{ensemble}.h5 rounds/{round}/pseudo_labels.parquet


def voters(wildcards):
    """Predictions that an ensemble averages."""
    return [recipe(path) for path in TRAININGS.voters(wildcards.ensemble)]


LABELLING = [f"round{number}-fold{fold}" for number in ROUNDS[:-1] for fold in FOLDS]
for ensemble in [*ENSEMBLE_NAMES, *TRAININGS.of_ablation, *LABELLING]:
    _, models, folds, _ = TRAININGS.averaged(ensemble)
    stage(recipe, "ensemble_teachers", {"models": models, "folds": len(folds)}, unit=ensemble)


def labelling(wildcards):
    """The ensemble that gives pseudo-labels."""
    return recipe(f"ensembles/{TRAININGS.labelled_by(wildcards.round, wildcards.source)}.h5")


def strictly_out_of_fold(wildcards):
    """The ensemble whose out-of-fold wells the temperature of those pseudo-labels is fitted on."""
    ensemble = TRAININGS.labelled_by(wildcards.round, wildcards.source)
    return recipe(f"ensembles/{TRAININGS.calibrated_on(ensemble)}.h5")


for arm in ["", *(name for name, arm in ARMS.items() if arm.labels is not None)]:
    stage(
        recipe,
        "pseudo_labels",
        {"balance": TRAININGS.balancing(arm).model_dump(mode="json")}
        | {name: getattr(CONFIG.pseudo_labels, name) for name in ("weight", "share", "share_step")},
        unit=f"{arm}/labels".lstrip("/"),
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
        stage=recipe("stages/pseudo_labels/{arm}labels.json"),
        receipts=[receipt(screen("sites.parquet"))],
        ensemble_receipt=receipts_of(labelling),
        calibration_receipt=receipts_of(strictly_out_of_fold),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        ensemble=ancient(labelling),
        calibration=ancient(strictly_out_of_fold),
    output:
        labels=recipe("rounds/{round}/{arm}{source}pseudo_labels.parquet"),
        receipt=receipt(recipe("rounds/{round}/{arm}{source}pseudo_labels.parquet")),
    log:
        recipe("logs/pseudo_labels/{arm}{source}round{round}.log"),
    benchmark:
        recipe("benchmarks/pseudo_labels/{arm}{source}round{round}.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(60),
    message:
        "Pseudo-labels of round {wildcards.round} {wildcards.arm}{wildcards.source}"
    script:
        "../workflow_scripts/pseudo_labels.py"
