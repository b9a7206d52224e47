# Figures of what the models have learned, and where they look.
#
# Requires: what the files before make; `figure` and `table` of report.smk.
# Makes:    results/{screen}/{recipe}/ explanations.h5 figures/

# What is looked at: the first model of the ensemble, fold 0, with what it predicted first (without
# pseudo-labels) and last.
EXPLAINED = ENSEMBLE[0]
FIRST_AND_LAST = dict.fromkeys([ROUNDS[0], ROUNDS[-1]])
ROUND_TITLES = [
    f"{'with' if number else 'without'} pseudo-labels (round {number})" for number in FIRST_AND_LAST
]


def explained_predictions(number, model=EXPLAINED):
    """Predictions of the explained model of a round, a file per cell type."""
    return expand(PREDICTIONS, variant="", model=model, fold=0, cell_type=SUMMARY.cell_types, round=number)


def explained_weights(number):
    """The weights behind those predictions, per cell type."""
    if CONFIG.finetune is None:
        return [recipe(f"models/{EXPLAINED}/fold0/stage1/weights.safetensors")] * len(SUMMARY.cell_types)
    tuned = SUMMARY.cell_types if CONFIG.finetune.by_cell_type else TUNED * len(SUMMARY.cell_types)
    return [recipe(TRAININGS.teacher(EXPLAINED, 0, cell_type, number)) for cell_type in tuned]


# Templates and kernels are those of one network: the first cell type's.
DRAWN_WEIGHTS = [explained_weights(number)[0] for number in FIRST_AND_LAST]

# The explained model beside the references, which are normalized otherwise: the plate effect before and after.
# (name, normalization, file) of each.
BEFORE_AND_AFTER = [
    (model, MODELS[model].normalization, path)
    for model in [*REFERENCES, EXPLAINED]
    for path in explained_predictions(0 if model in REFERENCES else ROUNDS[-1], model)
]


rule explain_sites:
    input:
        stage=stage(
            recipe,
            "explain_sites",
            settings("seed", "threads", "predict")
            | report_settings("explained_classes", "explained_sites", "grad_cam_layer")
            | {"model": MODELS[EXPLAINED].model_dump(mode="json"), "cell_types": SUMMARY.cell_types},
        ),
        receipts=[
            *map(receipt, dict.fromkeys(explained_weights(ROUNDS[-1]))),
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
        weights=ancient(explained_weights(ROUNDS[-1])),
    output:
        explanations=recipe("explanations.h5"),
        receipt=receipt(recipe("explanations.h5")),
    log:
        recipe("logs/explain_sites.log"),
    benchmark:
        recipe("benchmarks/explain_sites.tsv")
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=grown(NEEDS.explain_mb),
        runtime=grown(NEEDS.explain_minutes),
    message:
        "Grad-CAM of the sites that are looked at closely"
    script:
        "../workflow_scripts/explain_sites.py"


rule plate_effect:
    input:
        stage=stage(recipe, "plate_effect", {"files": [[model, by] for model, by, _ in BEFORE_AND_AFTER]}),
        receipts=[
            *(receipt(path) for *_, path in BEFORE_AND_AFTER),
            receipt(screen("sites.parquet")),
        ],
        sites=ancient(screen("sites.parquet")),
        predictions=ancient([path for *_, path in BEFORE_AND_AFTER]),
    output:
        figure=figure("plate_effect", "svg", EXPLANATION),
        table=table("plate_effect", EXPLANATION),
        receipt=receipt(recipe("figures/plate_effect.svg")),
    log:
        recipe("logs/plate_effect.log"),
    benchmark:
        recipe("benchmarks/plate_effect.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.embedding_mb),
        runtime=grown(10),
    message:
        "Figure: plate effect in embeddings"
    script:
        "../workflow_scripts/plate_effect.py"


rule embed_tsne:
    input:
        stage=stage(
            recipe,
            "embed_tsne",
            settings("seed") | report_settings("tsne_sites") | {"titles": ROUND_TITLES},
        ),
        receipts=[
            *(receipt(path) for number in FIRST_AND_LAST for path in explained_predictions(number)),
            receipt(screen("sites.parquet")),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        predictions=ancient([path for number in FIRST_AND_LAST for path in explained_predictions(number)]),
    output:
        figure=figure("embed_tsne", "png", EXPLANATION),
        table=table("embed_tsne", EXPLANATION),
        measures=table("embed_tsne_measures", EXPLANATION, "embed_tsne"),
        receipt=receipt(recipe("figures/embed_tsne.png")),
    log:
        recipe("logs/embed_tsne.log"),
    benchmark:
        recipe("benchmarks/embed_tsne.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.embedding_mb),
        runtime=grown(40),
    message:
        "Figure: t-SNE of embeddings"
    script:
        "../workflow_scripts/embed_tsne.py"


rule template_map:
    input:
        stage=stage(recipe, "template_map", settings("seed") | {"titles": ROUND_TITLES}),
        receipts=[*map(receipt, DRAWN_WEIGHTS), receipt(screen("sites.parquet"))],
        classes=ancient(screen("classes.parquet")),
        weights=ancient(DRAWN_WEIGHTS),
        rows=ancient([f"{os.path.dirname(path)}/rows.parquet" for path in DRAWN_WEIGHTS]),
    output:
        figure=figure("template_map", "png", EXPLANATION),
        table=table("template_map", EXPLANATION),
        receipt=receipt(recipe("figures/template_map.png")),
    log:
        recipe("logs/template_map.log"),
    benchmark:
        recipe("benchmarks/template_map.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: t-SNE of templates"
    script:
        "../workflow_scripts/template_map.py"


rule nearest_neighbours:
    input:
        stage=stage(
            recipe,
            "nearest_neighbours",
            report_settings("grad_cam_sites", "neighbours") | {"channels": CONFIG.screen.channels},
        ),
        receipts=[
            receipt(recipe("explanations.h5")),
            *map(receipt, explained_predictions(ROUNDS[-1])),
            receipt(recipe("scores.json")),
            receipt(screen("sites.parquet")),
            *map(receipt, PACKED),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        wells=ancient(recipe("wells.parquet")),
        explanations=ancient(recipe("explanations.h5")),
        predictions=ancient(explained_predictions(ROUNDS[-1])),
        stores=ancient(PACKED),
    output:
        figure=figure("nearest_neighbours", "png", EXPLANATION),
        table=table("nearest_neighbours", EXPLANATION),
        receipt=receipt(recipe("figures/nearest_neighbours.png")),
    log:
        recipe("logs/nearest_neighbours.log"),
    benchmark:
        recipe("benchmarks/nearest_neighbours.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.embedding_mb + NEEDS.picture_mb),
        runtime=grown(10),
    message:
        "Figure: nearest wells of other experiments"
    script:
        "../workflow_scripts/nearest_neighbours.py"


rule kernel_bands:
    input:
        stage=stage(
            recipe,
            "kernel_bands",
            report_settings("kernel_layers") | {"model": EXPLAINED},
        ),
        receipts=receipt(DRAWN_WEIGHTS[-1]),
        weights=ancient(DRAWN_WEIGHTS[-1]),
    output:
        figure=figure("kernel_bands", "png", EXPLANATION),
        table=table("kernel_bands", EXPLANATION),
        receipt=receipt(recipe("figures/kernel_bands.png")),
    log:
        recipe("logs/kernel_bands.log"),
    benchmark:
        recipe("benchmarks/kernel_bands.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: weights of 1 × 1 convolutions"
    script:
        "../workflow_scripts/kernel_bands.py"


rule grad_cam:
    input:
        stage=stage(
            recipe,
            "grad_cam",
            report_settings("grad_cam_sites") | {"channels": CONFIG.screen.channels},
        ),
        receipts=[
            receipt(recipe("explanations.h5")),
            receipt(screen("sites.parquet")),
            *map(receipt, PACKED),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        explanations=ancient(recipe("explanations.h5")),
        stores=ancient(PACKED),
    output:
        figure=figure("grad_cam", "png", EXPLANATION),
        table=table("grad_cam", EXPLANATION),
        receipt=receipt(recipe("figures/grad_cam.png")),
    log:
        recipe("logs/grad_cam.log"),
    benchmark:
        recipe("benchmarks/grad_cam.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.picture_mb),
        runtime=grown(10),
    message:
        "Figure: Grad-CAM"
    script:
        "../workflow_scripts/grad_cam.py"


rule channel_attention:
    input:
        stage=stage(recipe, "channel_attention", {"channels": CONFIG.screen.channels}),
        receipts=receipt(recipe("figures/grad_cam.png")),
        sites_table=ancient(recipe("figures/grad_cam.csv")),
    output:
        figure=figure("channel_attention", "svg", EXPLANATION),
        table=table("channel_attention", EXPLANATION),
        receipt=receipt(recipe("figures/channel_attention.svg")),
    log:
        recipe("logs/channel_attention.log"),
    benchmark:
        recipe("benchmarks/channel_attention.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Figure: attention per channel"
    script:
        "../workflow_scripts/channel_attention.py"


# What the provenance page shows: all that stands behind the submission, or behind the scores without one.
PROVEN = recipe("submission.csv") if SUMMARY.test_cell_types else recipe("scores.json")


rule provenance_graph:
    input:
        stage=stage(recipe, "provenance_graph", {}),
        receipts=receipt(PROVEN),
        artefact=ancient(PROVEN),
    output:
        figure=figure("provenance", "html", AUDIT, caption="provenance_graph"),
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


# The pictures of the report and of its overview page, in the order of the DAG.
PICTURES = {
    DATA: [
        "samples_per_class.svg",
        "plate_layout.svg",
        "image_means.svg",
        "channel_variance.svg",
        "normalization_effect.svg",
        "site_images.png",
        "class_examples.png",
    ],
    TRAINING: ["layer_table.svg", "augmentation_examples.png", "training_curves.svg"],
    RESULTS: [
        "score_ladder.svg",
        "averaging.svg",
        "accuracy_breakdown.svg",
        "confusion.svg",
        "control_certainty.svg",
        "plate_map.svg",
        *(["published_scores.svg"] if IS_RXRX1 else []),
    ],
    EXPLANATION: [
        "plate_effect.svg",
        "embed_tsne.png",
        "tsne_classes.png",
        "template_map.png",
        "nearest_neighbours.png",
        "kernel_bands.png",
        "grad_cam.png",
        "channel_attention.svg",
    ],
}
PICTURE_FILES = [recipe(f"figures/{name}") for names in PICTURES.values() for name in names]
TABLE_FILES = [f"{os.path.splitext(path)[0]}.csv" for path in PICTURE_FILES]
TABLE_FILES += [recipe(f"figures/{name}_measures.csv") for name in ("accuracy_breakdown", "embed_tsne")]
CAPTIONS = {
    name: (Path(workflow.basedir) / f"rules/captions/{name}.rst").read_text(encoding="utf-8")
    for name in (os.path.splitext(file)[0] for names in PICTURES.values() for file in names)
}


rule overview:
    input:
        stage=stage(
            recipe,
            "overview",
            report_settings("thumbnail_pixels")
            | {
                "screen": CONFIG.screen.name,
                "recipe": CONFIG.recipe,
                "channels": CONFIG.screen.channels,
                "captions": CAPTIONS,
                "categories": [category for category, names in PICTURES.items() for _ in names],
            },
        ),
        receipts=[
            *map(receipt, PICTURE_FILES),
            *map(receipt, PACKED),
            receipt(recipe("explanations.h5")),
            receipt(recipe("scores.json")),
            receipt(screen("sites.parquet")),
        ],
        pictures=ancient(PICTURE_FILES),
        tables=ancient(TABLE_FILES),
        experiments=ancient(recipe("figures/accuracy_breakdown.csv")),
        measures=ancient(recipe("figures/embed_tsne_measures.csv")),
        neighbours=ancient(recipe("figures/nearest_neighbours.csv")),
        explanations=ancient(recipe("explanations.h5")),
        scores=ancient(recipe("scores.json")),
        wells=ancient(recipe("wells.parquet")),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        stores=ancient(PACKED),
    output:
        figure=figure("overview", "html", OVERVIEW),
        receipt=receipt(recipe("figures/overview.html")),
    log:
        recipe("logs/overview.log"),
    benchmark:
        recipe("benchmarks/overview.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.picture_mb),
        runtime=grown(20),
    message:
        "Page: overview of the whole run"
    script:
        "../workflow_scripts/overview.py"


FIGURES = [*PICTURE_FILES, recipe("figures/provenance.html"), recipe("figures/overview.html")]
