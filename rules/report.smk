# Figures of data, training and results, with captions, for Snakemake's HTML report
# (`snakemake … --report report.html`). Each has the table behind it as CSV.
#
# Requires: what data.smk, train.smk, label.smk and submit.smk make.
# Makes:    results/{screen}/{recipe}/figures/

OVERVIEW, DATA, TRAINING = "0 Overview", "1 Data", "2 Training"
RESULTS, EXPLANATION, AUDIT = "3 Results", "4 Explanation", "5 Audit"

# Published scores stand beside those of RxRx1's own test wells and of no other screen's.
IS_RXRX1 = is_rxrx1(CONFIG.screen.kind, SUMMARY.experiments, SUMMARY.classes, SUMMARY.test_cell_types)


def figure(name, suffix, category, caption=None):
    """An entry of the report: results/{screen}/{recipe}/figures/{name}.{suffix}."""
    return report(
        recipe(f"figures/{name}.{suffix}"),
        caption=f"captions/{caption or name}.rst",
        category=category,
        labels={
            "figure": name.replace("_", " "),
            "as": {"csv": "table", "html": "page"}.get(suffix, "picture"),
        },
    )


def table(name, category, caption=None):
    """The table behind a figure, beside it in the report."""
    return figure(name, "csv", category, caption)


def report_settings(*names):
    """The named settings of the report, as a stage file holds them: a figure depends on its own only."""
    return {name: getattr(CONFIG.report, name) for name in names}


def histories(suffix):
    """History files of every training, stage 1 and fine-tunes, or what stands beside them."""
    first = expand(recipe("models/{model}/fold{fold}/stage1/"), model=CONFIGURED, fold=FOLDS)
    second = expand(
        recipe("models/{model}/fold{fold}/{cell_type}/round{round}/"),
        model=ENSEMBLE,
        fold=FOLDS,
        cell_type=TUNED,
        round=ROUNDS,
    )
    if suffix == "history":
        return [f"{folder}history.csv" for folder in [*first, *(second if CONFIG.finetune else [])]]
    return [receipt(f"{folder}weights.safetensors") for folder in first] + [
        receipt(f"{folder}teacher.safetensors") for folder in (second if CONFIG.finetune else [])
    ]


EXAMPLE_PLATES = SUMMARY.examples(CONFIG.report.example_plates)


rule site_images:
    input:
        stage=stage(
            recipe,
            "site_images",
            report_settings("example_sites")
            | {"channels": CONFIG.screen.channels, "seed": CONFIG.seed, "plates": EXAMPLE_PLATES},
        ),
        receipts=[
            receipt(screen("sites.parquet")),
            *(receipt(screen(f"plates/{plate}.h5")) for plate in EXAMPLE_PLATES),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        stores=ancient([screen(f"plates/{plate}.h5") for plate in EXAMPLE_PLATES]),
    output:
        figure=figure("site_images", "png", DATA),
        table=table("site_images", DATA),
        receipt=receipt(recipe("figures/site_images.png")),
    log:
        recipe("logs/site_images.log"),
    benchmark:
        recipe("benchmarks/site_images.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: channel images of example sites"
    script:
        "../workflow_scripts/site_images.py"


rule samples_per_class:
    input:
        stage=stage(recipe, "samples_per_class", {}),
        receipts=receipt(screen("sites.parquet")),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        figure=figure("samples_per_class", "svg", DATA),
        table=table("samples_per_class", DATA),
        receipt=receipt(recipe("figures/samples_per_class.svg")),
    log:
        recipe("logs/samples_per_class.log"),
    benchmark:
        recipe("benchmarks/samples_per_class.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: training wells per class"
    script:
        "../workflow_scripts/samples_per_class.py"


rule image_means:
    input:
        stage=stage(recipe, "image_means", {"channels": CONFIG.screen.channels}),
        receipts=[receipt(screen("sites.parquet")), receipt(screen("normalization/plate.parquet"))],
        sites=ancient(screen("sites.parquet")),
        statistics=ancient(screen("normalization/site.parquet")),
    output:
        figure=figure("image_means", "svg", DATA),
        table=table("image_means", DATA),
        receipt=receipt(recipe("figures/image_means.svg")),
    log:
        recipe("logs/image_means.log"),
    benchmark:
        recipe("benchmarks/image_means.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: channel means of all images"
    script:
        "../workflow_scripts/image_means.py"


rule normalization_effect:
    input:
        stage=stage(recipe, "normalization_effect", {"channels": CONFIG.screen.channels}),
        receipts=[receipt(screen("sites.parquet")), receipt(screen("normalization/plate.parquet"))],
        sites=ancient(screen("sites.parquet")),
        statistics=ancient(screen("normalization/plate.parquet")),
    output:
        figure=figure("normalization_effect", "svg", DATA),
        table=table("normalization_effect", DATA),
        receipt=receipt(recipe("figures/normalization_effect.svg")),
    log:
        recipe("logs/normalization_effect.log"),
    benchmark:
        recipe("benchmarks/normalization_effect.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: plate intensities that normalization removes"
    script:
        "../workflow_scripts/normalization_effect.py"


rule training_curves:
    input:
        stage=stage(recipe, "training_curves", {}),
        receipts=histories("receipts"),
        histories=ancient(histories("history")),
    output:
        figure=figure("training_curves", "svg", TRAINING),
        table=table("training_curves", TRAINING),
        receipt=receipt(recipe("figures/training_curves.svg")),
    log:
        recipe("logs/training_curves.log"),
    benchmark:
        recipe("benchmarks/training_curves.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: training curves"
    script:
        "../workflow_scripts/training_curves.py"


rule score_ladder:
    input:
        stage=stage(recipe, "score_ladder", {}),
        receipts=receipt(recipe("scores.json")),
        scores=ancient(recipe("scores.json")),
    output:
        figure=figure("score_ladder", "svg", RESULTS),
        table=table("score_ladder", RESULTS),
        receipt=receipt(recipe("figures/score_ladder.svg")),
    log:
        recipe("logs/score_ladder.log"),
    benchmark:
        recipe("benchmarks/score_ladder.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: the score ladder"
    script:
        "../workflow_scripts/score_ladder.py"


# Predictions of each ensemble model and round, then of the references: (the name that the figure gives them, fold,
# file).
VOTES = [(f"{model}, round {number}", model, number) for number in ROUNDS for model in ENSEMBLE]
VOTES += [(f"{model} (reference)", model, 0) for model in REFERENCES]
VOTE_FILES = [
    (name, fold, PREDICTIONS.format(variant="", model=model, fold=fold, cell_type=cell_type, round=number))
    for name, model, number in VOTES
    for fold in FOLDS
    for cell_type in SUMMARY.cell_types
]


rule averaging:
    input:
        stage=stage(
            recipe,
            "averaging",
            {
                "files": [[name, fold] for name, fold, _ in VOTE_FILES],
                "ensembles": [f"all models, round {number}" for number in ROUNDS],
            },
        ),
        receipts=[
            receipt(recipe("scores.json")),
            receipt(screen("sites.parquet")),
            *(receipt(path) for *_, path in VOTE_FILES),
            *(receipt(recipe(f"ensembles/round{number}.h5")) for number in ROUNDS),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        scores=ancient(recipe("scores.json")),
        predictions=ancient([path for *_, path in VOTE_FILES]),
        ensembles=ancient([recipe(f"ensembles/round{number}.h5") for number in ROUNDS]),
    output:
        figure=figure("averaging", "svg", RESULTS),
        table=table("averaging", RESULTS),
        receipt=receipt(recipe("figures/averaging.svg")),
    log:
        recipe("logs/averaging.log"),
    benchmark:
        recipe("benchmarks/averaging.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(60),
    message:
        "Figure: what averaging and priors are worth"
    script:
        "../workflow_scripts/averaging.py"


rule accuracy_breakdown:
    input:
        stage=stage(recipe, "accuracy_breakdown", {}),
        receipts=[receipt(recipe("scores.json")), receipt(screen("sites.parquet"))],
        wells=ancient(recipe("wells.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        figure=figure("accuracy_breakdown", "svg", RESULTS),
        table=table("accuracy_breakdown", RESULTS),
        measures=table("accuracy_breakdown_measures", RESULTS, "accuracy_breakdown"),
        receipt=receipt(recipe("figures/accuracy_breakdown.svg")),
    log:
        recipe("logs/accuracy_breakdown.log"),
    benchmark:
        recipe("benchmarks/accuracy_breakdown.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: accuracy by cell type, experiment and class"
    script:
        "../workflow_scripts/accuracy_breakdown.py"


rule confusion:
    input:
        stage=stage(recipe, "confusion", {}),
        receipts=[receipt(recipe("scores.json")), receipt(screen("sites.parquet"))],
        wells=ancient(recipe("wells.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        figure=figure("confusion", "svg", RESULTS),
        table=table("confusion", RESULTS),
        receipt=receipt(recipe("figures/confusion.svg")),
    log:
        recipe("logs/confusion.log"),
    benchmark:
        recipe("benchmarks/confusion.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: confusions"
    script:
        "../workflow_scripts/confusion.py"


rule plate_map:
    input:
        stage=stage(
            recipe,
            "plate_map",
            report_settings("example_plates")
            | {"shape": [CONFIG.screen.plate_rows, CONFIG.screen.plate_columns]},
        ),
        receipts=[receipt(recipe("scores.json")), receipt(screen("sites.parquet"))],
        classes=ancient(screen("classes.parquet")),
        wells=ancient(recipe("wells.parquet")),
    output:
        figure=figure("plate_map", "svg", RESULTS),
        table=table("plate_map", RESULTS),
        receipt=receipt(recipe("figures/plate_map.svg")),
    log:
        recipe("logs/plate_map.log"),
    benchmark:
        recipe("benchmarks/plate_map.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: plate maps"
    script:
        "../workflow_scripts/plate_map.py"


rule control_certainty:
    input:
        stage=stage(recipe, "control_certainty", {}),
        receipts=[receipt(recipe("scores.json")), receipt(recipe(f"ensembles/{LAST_ROUND}.h5"))],
        wells=ancient(recipe("wells.parquet")),
        ensemble=ancient(recipe(f"ensembles/{LAST_ROUND}.h5")),
    output:
        figure=figure("control_certainty", "svg", RESULTS),
        table=table("control_certainty", RESULTS),
        receipt=receipt(recipe("figures/control_certainty.svg")),
    log:
        recipe("logs/control_certainty.log"),
    benchmark:
        recipe("benchmarks/control_certainty.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.ensemble_mb),
        runtime=grown(10),
    message:
        "Figure: entropy and reliability by well type"
    script:
        "../workflow_scripts/control_certainty.py"
