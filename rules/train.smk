# From packed plates to weights and predictions, per model and fold, then per cell type and round.
#
# Requires: what data.smk makes; for rounds above 0 the pseudo-labels of the round before (label.smk).
# Makes:    results/{screen}/{recipe}/ models/{model}/fold{fold}/… predictions/{model}/fold{fold}/…
#           and, for the ablation, models/{arm}/{model}/fold{fold}/… predictions/{variant}/{model}/fold{fold}/…
#
# What each training and prediction is made from is the library's to say (`cellsignal.trainings`): its check walks
# every job without Snakemake.

STAGE_1 = recipe("models/{model}/fold{fold}/stage1")
STAGE_2 = recipe("models/{arm}{model}/fold{fold}/{cell_type}/round{round}")
PREDICTIONS = recipe("predictions/{variant}{model}/fold{fold}/{cell_type}/round{round}.h5")
# All but the first are the ablation's.
VARIANTS = ["", "stage1/", TRAININGS.other_batch_norm, *(f"{arm}/" for arm in ARMS)]


def training_data(wildcards):
    """Receipts of everything that training reads of the screen."""
    names = ["sites.parquet", "normalization/plate.parquet", *store_names(wildcards)]
    return [*(receipt(screen(name)) for name in names), receipt(recipe("folds.parquet"))]


def store_names(wildcards):
    """The plates of the wildcards' cell type, or all."""
    wanted = getattr(wildcards, "cell_type", ALL_CELL_TYPES)
    return [
        f"plates/{name}.h5"
        for name, plate in SUMMARY.plates.items()
        if wanted in (ALL_CELL_TYPES, plate.cell_type)
    ]


def stores(wildcards):
    """The plate stores that a training or prediction reads."""
    return [screen(name) for name in store_names(wildcards)]


def statistics(wildcards):
    """The normalization table that the model asks for."""
    return screen(f"normalization/{MODELS[wildcards.model].normalization}.parquet")


def parent_weights(wildcards):
    """Weights that a fine-tune starts from."""
    return recipe(
        TRAININGS.parent(wildcards.model, wildcards.fold, wildcards.cell_type, int(wildcards.round))
    )


def earlier_labels(wildcards):
    """Pseudo-labels that a fine-tune learns from, if it has any."""
    labels = TRAININGS.labels(wildcards.fold, int(wildcards.round), wildcards.arm.rstrip("/"))
    return recipe(labels) if labels else []


def prediction_weights(wildcards):
    """Weights behind a prediction."""
    return recipe(
        TRAININGS.weights(
            wildcards.variant, wildcards.model, wildcards.fold, wildcards.cell_type, int(wildcards.round)
        )
    )


def receipts_of(function):
    """An input function for the receipts of what another input function names."""

    def receipts(wildcards):
        named = function(wildcards)
        return [receipt(path) for path in ([named] if isinstance(named, str) else named)]

    return receipts


def finetuning(arm, cell_type):
    """The settings of one cell type's fine-tunes, or an arm's: another's factor does not concern them."""
    factors = CONFIG.finetune.epochs_factor
    own = {name: factor for name, factor in factors.items() if name == cell_type}
    found = TRAININGS.finetuning(arm).model_dump(mode="json", exclude=INDIFFERENT["finetune"])
    return {
        "finetune": found | {"epochs_factor": own},
        "pseudo_labels": {name: getattr(CONFIG.pseudo_labels, name) for name in PseudoLabelLoss.model_fields},
    }


for model in MODELS.values():
    # Whether a model votes changes nothing about its weights.
    own = {"model": model.model_dump(mode="json", exclude={"ensemble"}), **settings("seed", "threads")}
    stage(recipe, "train_model", own | settings("augment", "train"), unit=model.name)
    for variant in VARIANTS:
        how = settings("predict")["predict"]
        if variant.endswith("batch_norm/"):
            how = how | {"batch_norm": TRAININGS.other_batch_norm.removesuffix("_batch_norm/")}
        stage(recipe, "predict", own | {"predict": how}, unit=f"{variant}{model.name}")
    if CONFIG.finetune is not None and model.ensemble:
        for arm in ["", *ARMS]:
            for cell_type in TUNED:
                stage(
                    recipe,
                    "finetune_cell_type",
                    own | settings("augment") | finetuning(arm, cell_type),
                    unit=f"{arm}/{model.name}/{cell_type}".lstrip("/"),
                )


rule train_model:
    input:
        stage=recipe("stages/train_model/{model}.json"),
        receipts=training_data,
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        folds=ancient(recipe("folds.parquet")),
        statistics=ancient(statistics),
        stores=ancient(stores),
    output:
        weights=f"{STAGE_1}/weights.safetensors",
        history=f"{STAGE_1}/history.csv",
        rows=f"{STAGE_1}/rows.parquet",
        receipt=receipt(f"{STAGE_1}/weights.safetensors"),
    log:
        recipe("logs/train_model/{model}_fold{fold}.log"),
    benchmark:
        recipe("benchmarks/train_model/{model}_fold{fold}.tsv")
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=grown(NEEDS.train_mb),
        runtime=NEEDS.train_minutes,
    params:
        state=recipe("state/train_model/{model}_fold{fold}"),
        checkpoint_minutes=CONFIG.train.checkpoint_minutes,
    message:
        "Training {wildcards.model}, fold {wildcards.fold}, all cell types"
    script:
        "../workflow_scripts/train_model.py"


rule finetune_cell_type:
    input:
        stage=recipe("stages/finetune_cell_type/{arm}{model}/{cell_type}.json"),
        receipts=training_data,
        parent_receipt=receipts_of(parent_weights),
        labels_receipt=receipts_of(earlier_labels),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        folds=ancient(recipe("folds.parquet")),
        statistics=ancient(statistics),
        stores=ancient(stores),
        parent=ancient(parent_weights),
        pseudo_labels=ancient(earlier_labels),
    output:
        teacher=f"{STAGE_2}/teacher.safetensors",
        student=f"{STAGE_2}/student.safetensors",
        history=f"{STAGE_2}/history.csv",
        rows=f"{STAGE_2}/rows.parquet",
        receipt=receipt(f"{STAGE_2}/teacher.safetensors"),
    log:
        recipe("logs/finetune_cell_type/{arm}{model}_fold{fold}_{cell_type}_round{round}.log"),
    benchmark:
        recipe("benchmarks/finetune_cell_type/{arm}{model}_fold{fold}_{cell_type}_round{round}.tsv")
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=grown(NEEDS.finetune_mb),
        runtime=lambda wildcards: NEEDS.finetune_minutes(wildcards.cell_type),
    params:
        state=recipe("state/finetune_cell_type/{arm}{model}_fold{fold}_{cell_type}_round{round}"),
        checkpoint_minutes=lambda wildcards: CONFIG.finetune.optimization.checkpoint_minutes,
    message:
        "Fine-tuning {wildcards.arm}{wildcards.model}, fold {wildcards.fold}, {wildcards.cell_type}, round {wildcards.round}"
    script:
        "../workflow_scripts/finetune_cell_type.py"


rule predict:
    input:
        stage=recipe("stages/predict/{variant}{model}.json"),
        receipts=training_data,
        weights_receipt=receipts_of(prediction_weights),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        folds=ancient(recipe("folds.parquet")),
        statistics=ancient(statistics),
        stores=ancient(stores),
        weights=ancient(prediction_weights),
    output:
        predictions=PREDICTIONS,
        receipt=receipt(PREDICTIONS),
    log:
        recipe("logs/predict/{variant}{model}_fold{fold}_{cell_type}_round{round}.log"),
    benchmark:
        recipe("benchmarks/predict/{variant}{model}_fold{fold}_{cell_type}_round{round}.tsv")
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=grown(lambda wildcards: NEEDS.predict_mb(wildcards.cell_type)),
        runtime=grown(lambda wildcards: NEEDS.predict_minutes(wildcards.cell_type)),
    message:
        "Predicting {wildcards.cell_type} with {wildcards.model}, fold {wildcards.fold}, round {wildcards.round}"
    script:
        "../workflow_scripts/predict.py"
