# Figures that the papers draw: their screen, their augmentation, their network, their leaderboard.
#
# Requires: what data.smk, label.smk and submit.smk make; `figure` and `table` of report.smk, and what explain.smk
#           says of the model that is looked at.
# Makes:    results/{screen}/{recipe}/figures/


rule class_examples:
    input:
        stage=stage(recipe, "class_examples", settings("seed") | {"channels": CONFIG.screen.channels}),
        receipts=[receipt(screen("sites.parquet")), *map(receipt, PACKED)],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        stores=ancient(PACKED),
    output:
        figure=figure("class_examples", "png", DATA),
        table=table("class_examples", DATA),
        receipt=receipt(recipe("figures/class_examples.png")),
    log:
        recipe("logs/class_examples.log"),
    benchmark:
        recipe("benchmarks/class_examples.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.picture_mb),
        runtime=grown(10),
    message:
        "Figure: one class over experiments, plates and cell types"
    script:
        "../workflow_scripts/class_examples.py"


rule channel_variance:
    input:
        stage=stage(recipe, "channel_variance", {"channels": CONFIG.screen.channels}),
        receipts=[receipt(screen("sites.parquet")), receipt(screen("normalization/plate.parquet"))],
        sites=ancient(screen("sites.parquet")),
        statistics=ancient(screen("normalization/site.parquet")),
    output:
        figure=figure("channel_variance", "svg", DATA),
        table=table("channel_variance", DATA),
        receipt=receipt(recipe("figures/channel_variance.svg")),
    log:
        recipe("logs/channel_variance.log"),
    benchmark:
        recipe("benchmarks/channel_variance.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: variance of channel means"
    script:
        "../workflow_scripts/channel_variance.py"


rule plate_layout:
    input:
        stage=stage(
            recipe, "plate_layout", {"shape": [CONFIG.screen.plate_rows, CONFIG.screen.plate_columns]}
        ),
        receipts=receipt(screen("sites.parquet")),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        figure=figure("plate_layout", "svg", DATA),
        table=table("plate_layout", DATA),
        receipt=receipt(recipe("figures/plate_layout.svg")),
    log:
        recipe("logs/plate_layout.log"),
    benchmark:
        recipe("benchmarks/plate_layout.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: the plates of an experiment, with counts"
    script:
        "../workflow_scripts/plate_layout.py"


rule augmentation_examples:
    input:
        stage=stage(
            recipe,
            "augmentation_examples",
            settings("seed", "augment")
            | {
                "by": MODELS[EXPLAINED].normalization,
                "channels": CONFIG.screen.channels,
                "plates": EXAMPLE_PLATES,
            },
        ),
        receipts=[
            receipt(screen("sites.parquet")),
            receipt(screen("normalization/plate.parquet")),
            *(receipt(screen(f"plates/{plate}.h5")) for plate in EXAMPLE_PLATES),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        statistics=ancient(screen(f"normalization/{MODELS[EXPLAINED].normalization}.parquet")),
        stores=ancient([screen(f"plates/{plate}.h5") for plate in EXAMPLE_PLATES]),
    output:
        figure=figure("augmentation_examples", "png", TRAINING),
        table=table("augmentation_examples", TRAINING),
        receipt=receipt(recipe("figures/augmentation_examples.png")),
    log:
        recipe("logs/augmentation_examples.log"),
    benchmark:
        recipe("benchmarks/augmentation_examples.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.picture_mb),
        runtime=grown(10),
    message:
        "Figure: what augmentation makes of a site"
    script:
        "../workflow_scripts/augmentation_examples.py"


rule layer_table:
    input:
        stage=stage(
            recipe,
            "layer_table",
            {
                "model": MODELS[EXPLAINED].model_dump(mode="json"),
                "channels": len(CONFIG.screen.channels),
                "image_size": CONFIG.screen.image_size,
                "classes": SUMMARY.classes,
                "cell_types": len(SUMMARY.cell_types),
            },
        ),
    output:
        figure=figure("layer_table", "svg", TRAINING),
        table=table("layer_table", TRAINING),
        receipt=receipt(recipe("figures/layer_table.svg")),
    log:
        recipe("logs/layer_table.log"),
    benchmark:
        recipe("benchmarks/layer_table.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.explain_mb),
        runtime=grown(10),
    message:
        "Figure: layers of the network"
    script:
        "../workflow_scripts/layer_table.py"


rule published_scores:
    input:
        stage=stage(
            recipe, "published_scores", {"recipe": CONFIG.recipe, "image_size": CONFIG.screen.image_size}
        ),
        receipts=receipt(recipe("scores.json")),
        scores=ancient(recipe("scores.json")),
    output:
        figure=figure("published_scores", "svg", RESULTS),
        table=table("published_scores", RESULTS),
        receipt=receipt(recipe("figures/published_scores.svg")),
    log:
        recipe("logs/published_scores.log"),
    benchmark:
        recipe("benchmarks/published_scores.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: published scores on RxRx1"
    script:
        "../workflow_scripts/published_scores.py"


rule tsne_classes:
    input:
        stage=stage(
            recipe,
            "tsne_classes",
            settings("seed") | report_settings("tsne_classes", "tsne_sites") | {"titles": ROUND_TITLES},
        ),
        receipts=[
            *(receipt(path) for number in FIRST_AND_LAST for path in explained_predictions(number)),
            receipt(screen("sites.parquet")),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        predictions=ancient([path for number in FIRST_AND_LAST for path in explained_predictions(number)]),
    output:
        figure=figure("tsne_classes", "png", EXPLANATION),
        table=table("tsne_classes", EXPLANATION),
        receipt=receipt(recipe("figures/tsne_classes.png")),
    log:
        recipe("logs/tsne_classes.log"),
    benchmark:
        recipe("benchmarks/tsne_classes.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.embedding_mb),
        runtime=grown(40),
    message:
        "Figure: t-SNE of a few classes"
    script:
        "../workflow_scripts/tsne_classes.py"
