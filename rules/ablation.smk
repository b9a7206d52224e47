# The ablation: DeepNoise's figures 3(a) and 3(b) for this recipe, and what lies beyond them.
#
# Requires: what train.smk and label.smk make, for more ensembles than the recipe itself needs (`ABLATION`,
#           `ARMS`), and the truth of test wells as the scoring rule left it (submit.smk).
# Makes:    results/{screen}/{recipe}/ ablation.json figures/ablation.svg; asked for by `snakemake ablation` only

ABLATED = sorted({TRAININGS.strict, *(rung.ensemble for rung in ABLATION)})

# Embeddings of the first model, fold 0: did pseudo-labels tighten the clusters, against a further round without them?
CLUSTERS = {"round 0": ("", 0)}
if "without_labels" in ARMS:
    CLUSTERS |= {"a further round, no pseudo-labels": ("without_labels/", 1)}
    CLUSTERS |= {"a further round, pseudo-labels": ("", 1)}
CLUSTERED = [
    recipe(TRAININGS.prediction(variant, ENSEMBLE[0], 0, cell_type, number))
    for variant, number in CLUSTERS.values()
    for cell_type in SUMMARY.cell_types
]


rule ablation_table:
    input:
        stage=stage(
            recipe,
            "ablation_table",
            settings("balance", "recipe", "seed")
            | {
                "screen": CONFIG.screen.name,
                "rungs": [vars(rung) for rung in ABLATION],
                "strict": TRAININGS.strict,
                "epoch_chosen": CHOSEN,
                "clusters": list(CLUSTERS),
                "tsne_sites": CONFIG.report.tsne_sites,
            },
        ),
        receipts=[
            *(receipt(recipe(f"ensembles/{ensemble}.h5")) for ensemble in ABLATED),
            *map(receipt, CLUSTERED),
            receipt(recipe("scores.json")),
            receipt(screen("sites.parquet")),
        ],
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
        wells=ancient(recipe("wells.parquet")),
        ensembles=ancient(expand(recipe("ensembles/{ensemble}.h5"), ensemble=ABLATED)),
        clusters=ancient(CLUSTERED),
    output:
        table=recipe("ablation.json"),
        receipt=receipt(recipe("ablation.json")),
    log:
        recipe("logs/ablation_table.log"),
    benchmark:
        recipe("benchmarks/ablation_table.tsv")
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    message:
        "Scoring the rungs of the ablation"
    script:
        "../workflow_scripts/ablation_table.py"


rule ablation_ladder:
    input:
        stage=stage(recipe, "ablation_ladder", {}),
        receipts=receipt(recipe("ablation.json")),
        ablation=ancient(recipe("ablation.json")),
    output:
        figure=figure("ablation", "svg", RESULTS),
        table=table("ablation", RESULTS),
        receipt=receipt(recipe("figures/ablation.svg")),
    log:
        recipe("logs/ablation_ladder.log"),
    benchmark:
        recipe("benchmarks/ablation_ladder.tsv")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Figure: the ablation beside the published values"
    script:
        "../workflow_scripts/ablation_ladder.py"
