# From packed plates to weights and predictions, per model and fold, then per cell type and round.
#
# Requires: what data.smk makes; for rounds above 0 the pseudo-labels of the round before (label.smk).
# Makes:    results/{screen}/{recipe}/ models/{model}/fold{fold}/… predictions/{model}/fold{fold}/…
#           and, for the ablation, predictions/{variant}/{model}/fold{fold}/…

STAGE_1 = recipe("models/{model}/fold{fold}/stage1")
STAGE_2 = recipe("models/{model}/fold{fold}/{cell_type}/round{round}")
PREDICTIONS = recipe("predictions/{variant}{model}/fold{fold}/{cell_type}/round{round}.h5")
OTHER_BATCH_NORM = {"global": "plate", "plate": "global"}[CONFIG.predict.batch_norm]
VARIANTS = ["", "stage1/", f"{OTHER_BATCH_NORM}_batch_norm/"]  # all but the first are the ablation's


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
    """Weights that a fine-tune starts from: stage 1, then the teacher of the round before."""
    if int(wildcards.round) == 0:
        return f"{STAGE_1}/weights.safetensors"
    return f"{STAGE_2}/teacher.safetensors".replace("{round}", str(int(wildcards.round) - 1))


def earlier_labels(wildcards):
    """Pseudo-labels of the round before; none in round 0."""
    if int(wildcards.round) == 0:
        return []
    return recipe(f"rounds/{int(wildcards.round) - 1}/pseudo_labels.parquet")


def prediction_weights(wildcards):
    """The teacher of a fine-tuned model; the weights of stage 1 where nothing is fine-tuned."""
    if CONFIG.finetune is None or wildcards.model not in ENSEMBLE or wildcards.variant == "stage1/":
        return f"{STAGE_1}/weights.safetensors"
    teacher = f"{STAGE_2}/teacher.safetensors"
    return teacher if CONFIG.finetune.by_cell_type else teacher.replace("{cell_type}", ALL_CELL_TYPES)


def receipts_of(function):
    """An input function for the receipts of what another input function names."""

    def receipts(wildcards):
        named = function(wildcards)
        return [receipt(path) for path in ([named] if isinstance(named, str) else named)]

    return receipts


def finetuning(cell_type):
    """The settings of one cell type's fine-tunes: another's factor does not concern them."""
    factors = CONFIG.finetune.epochs_factor
    own = {name: factor for name, factor in factors.items() if name == cell_type}
    return {
        "finetune": settings("finetune")["finetune"] | {"epochs_factor": own},
        "pseudo_labels": {name: getattr(CONFIG.pseudo_labels, name) for name in PseudoLabelLoss.model_fields},
    }


for model in MODELS.values():
    # Whether a model votes changes nothing about its weights.
    own = {"model": model.model_dump(mode="json", exclude={"ensemble"}), **settings("seed", "threads")}
    stage(recipe, "train_model", own | settings("augment", "train"), unit=model.name)
    for variant in VARIANTS:
        how = settings("predict")["predict"]
        if variant.endswith("batch_norm/"):
            how = how | {"batch_norm": OTHER_BATCH_NORM}
        stage(recipe, "predict", own | {"predict": how}, unit=f"{variant}{model.name}")
    if CONFIG.finetune is not None and model.ensemble:
        for cell_type in TUNED:
            stage(
                recipe,
                "finetune_cell_type",
                own | settings("augment") | finetuning(cell_type),
                unit=f"{model.name}/{cell_type}",
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
        stage=recipe("stages/finetune_cell_type/{model}/{cell_type}.json"),
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
        recipe("logs/finetune_cell_type/{model}_fold{fold}_{cell_type}_round{round}.log"),
    benchmark:
        recipe("benchmarks/finetune_cell_type/{model}_fold{fold}_{cell_type}_round{round}.tsv")
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=grown(NEEDS.finetune_mb),
        runtime=lambda wildcards: NEEDS.finetune_minutes(wildcards.cell_type),
    params:
        state=recipe("state/finetune_cell_type/{model}_fold{fold}_{cell_type}_round{round}"),
        checkpoint_minutes=lambda wildcards: CONFIG.finetune.optimization.checkpoint_minutes,
    message:
        "Fine-tuning {wildcards.model}, fold {wildcards.fold}, {wildcards.cell_type}, round {wildcards.round}"
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
