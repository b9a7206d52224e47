# Figures with captions, for Snakemake's HTML report (`snakemake … --report report.html`).
#
# Requires: what data.smk, train.smk, label.smk and submit.smk make.
# Makes:    results/{screen}/{recipe}/figures/


def figure(name, suffix, category, caption=None, **labels):
    """An entry of the report: results/{screen}/{recipe}/figures/{name}."""
    return report(
        recipe(f"figures/{name}.{suffix}"),
        caption=f"captions/{caption or name}.rst",
        category=category,
        labels={"figure": name.replace("_", " "), **labels},
    )


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


# The model, fold and weights that t-SNE and Grad-CAM look at: the first of the ensemble, fold 0.
EXPLAINED = ENSEMBLE[0]
EXPLAINED_PREDICTIONS = expand(
    PREDICTIONS,
    variant="",
    model=EXPLAINED,
    fold=0,
    cell_type=SUMMARY.cell_types,
    round=ROUNDS[-1],
)
EXPLAINED_WEIGHTS = recipe(f"models/{EXPLAINED}/fold0/stage1/weights.safetensors")
EXAMPLE_PLATES = list(SUMMARY.plates)[: CONFIG.report.example_plates]


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
        figure=figure("site_images", "png", "1 Data"),
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


rule normalization_effect:
    input:
        stage=stage(recipe, "normalization_effect", {"channels": CONFIG.screen.channels}),
        receipts=[receipt(screen("sites.parquet")), receipt(screen("normalization/plate.parquet"))],
        sites=ancient(screen("sites.parquet")),
        statistics=ancient(screen("normalization/plate.parquet")),
    output:
        figure=figure("normalization_effect", "svg", "1 Data"),
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
        figure=figure("training_curves", "svg", "2 Training"),
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
        figure=figure("score_ladder", "svg", "3 Results"),
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


rule accuracy_breakdown:
    input:
        stage=stage(recipe, "accuracy_breakdown", {}),
        receipts=receipt(recipe("scores.json")),
        wells=ancient(recipe("wells.parquet")),
    output:
        figure=figure("accuracy_breakdown", "svg", "3 Results"),
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
        "Figure: accuracy by cell type and experiment"
    script:
        "../workflow_scripts/accuracy_breakdown.py"


rule confusion:
    input:
        stage=stage(recipe, "confusion", {}),
        receipts=[receipt(recipe("scores.json")), receipt(screen("sites.parquet"))],
        wells=ancient(recipe("wells.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        figure=figure("confusion", "svg", "3 Results"),
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
        sites=ancient(screen("sites.parquet")),
        wells=ancient(recipe("wells.parquet")),
    output:
        figure=figure("plate_map", "svg", "3 Results"),
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


rule embed_tsne:
    input:
        stage=stage(recipe, "embed_tsne", settings("seed") | report_settings("tsne_sites")),
        receipts=[*map(receipt, EXPLAINED_PREDICTIONS), receipt(screen("sites.parquet"))],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        predictions=ancient(EXPLAINED_PREDICTIONS),
    output:
        figure=figure("embed_tsne", "png", "4 Explanation"),
        table=recipe("figures/embed_tsne.csv"),
        receipt=receipt(recipe("figures/embed_tsne.png")),
    log:
        recipe("logs/embed_tsne.log"),
    benchmark:
        recipe("benchmarks/embed_tsne.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.tsne_mb),
        runtime=grown(20),
    message:
        "Figure: t-SNE of embeddings"
    script:
        "../workflow_scripts/embed_tsne.py"


rule grad_cam:
    input:
        stage=stage(
            recipe,
            "grad_cam",
            settings("seed", "threads")
            | report_settings("grad_cam_sites", "grad_cam_layer")
            | {"model": MODELS[EXPLAINED].model_dump(mode="json"), "channels": CONFIG.screen.channels},
        ),
        receipts=[
            receipt(EXPLAINED_WEIGHTS),
            receipt(recipe("folds.parquet")),
            receipt(screen("sites.parquet")),
            receipt(screen("normalization/plate.parquet")),
            *map(receipt, PACKED),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        folds=ancient(recipe("folds.parquet")),
        statistics=ancient(screen(f"normalization/{MODELS[EXPLAINED].normalization}.parquet")),
        stores=ancient(PACKED),
        weights=ancient(EXPLAINED_WEIGHTS),
    output:
        figure=figure("grad_cam", "png", "4 Explanation"),
        receipt=receipt(recipe("figures/grad_cam.png")),
    log:
        recipe("logs/grad_cam.log"),
    benchmark:
        recipe("benchmarks/grad_cam.tsv")
    threads: CONFIG.threads
    resources:
        mem_mb=grown(NEEDS.grad_cam_mb),
        runtime=grown(20),
    message:
        "Figure: Grad-CAM"
    script:
        "../workflow_scripts/grad_cam.py"


# What the provenance page shows: all that stands behind the submission, or behind the scores without one.
PROVEN = recipe("submission.csv") if SUMMARY.test_cell_types else recipe("scores.json")


rule provenance_graph:
    input:
        stage=stage(recipe, "provenance_graph", {}),
        receipts=receipt(PROVEN),
        artefact=ancient(PROVEN),
    output:
        figure=figure("provenance", "html", "5 Audit", caption="provenance_graph"),
        receipt=receipt(recipe("figures/provenance.html")),
    log:
        recipe("logs/provenance_graph.log"),
    benchmark:
        recipe("benchmarks/provenance_graph.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.audit_mb),
        runtime=grown(20),
    message:
        "Figure: what made the result, from the raw data down"
    script:
        "../workflow_scripts/provenance_graph.py"


FIGURES = [
    recipe(f"figures/{name}")
    for name in (
        "site_images.png",
        "normalization_effect.svg",
        "training_curves.svg",
        "score_ladder.svg",
        "accuracy_breakdown.svg",
        "confusion.svg",
        "plate_map.svg",
        "embed_tsne.png",
        "grad_cam.png",
        "provenance.html",
    )
]
