# From raw images to packed plates, normalization statistics and folds.
#
# Requires: the screen's metadata tables and images (or the settings of a simulated screen).
# Makes:    results/{screen}/ sites.parquet answers.parquet classes.parquet plates/*.h5 normalization/*.parquet
#           results/{screen}/{recipe}/folds.parquet

SIMULATED = CONFIG.screen.kind == "simulated"
PACKED = expand(screen("plates/{plate}.h5"), plate=SUMMARY.plates)


if SIMULATED:

    rule simulate_plate:
        input:
            stage=stage(screen, "simulate_plate", settings("screen")),
        output:
            metadata=screen("raw/metadata/{experiment}_{number}.csv"),
            images=directory(screen("raw/images/{experiment}/Plate{number}")),
            receipt=receipt(screen("raw/metadata/{experiment}_{number}.csv")),
        log:
            screen("logs/simulate_plate/{experiment}_{number}.log"),
        benchmark:
            screen("benchmarks/simulate_plate/{experiment}_{number}.tsv")
        wildcard_constraints:
            number=r"\d+",
        threads: 1
        resources:
            mem_mb=grown(NEEDS.pack_mb),
            runtime=grown(NEEDS.pack_minutes),
        message:
            "Simulating plate {wildcards.experiment}_{wildcards.number}"
        script:
            "../workflow_scripts/simulate_plate.py"


rule index_sites:
    input:
        stage=stage(
            screen,
            "index_sites",
            settings("screen", "pack")
            | {
                "metadata": SUMMARY.metadata,
                "missing": {name: plate.missing for name, plate in SUMMARY.plates.items() if plate.missing},
            },
        ),
        receipts=(
            expand(receipt(screen("raw/metadata/{plate}.csv")), plate=SUMMARY.plates) if SIMULATED else []
        ),
        metadata=(
            ancient(expand(screen("raw/metadata/{plate}.csv"), plate=SUMMARY.plates)) if SIMULATED else []
        ),
    output:
        sites=screen("sites.parquet"),
        answers=screen("answers.parquet"),
        classes=screen("classes.parquet"),
        problems=screen("problems.json"),
        receipt=receipt(screen("sites.parquet")),
    log:
        screen("logs/index_sites.log"),
    benchmark:
        screen("benchmarks/index_sites.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(NEEDS.index_minutes),
    params:
        root=str(ROOT),
    message:
        f"Indexing the sites of screen {CONFIG.screen.name}"
    script:
        "../workflow_scripts/index_sites.py"


for name, plate in SUMMARY.plates.items():
    stage(
        screen,
        "pack_plate",
        {
            "image_size": CONFIG.screen.image_size,
            "channels": len(CONFIG.screen.channels),
            "allow_missing_sites": CONFIG.pack.allow_missing_sites,
            "rows": plate.rows,
            "missing": plate.missing,
            "replaced": plate.replaced,
        },
        unit=name,
    )


def planned_sites(wildcards):
    """The site table, old enough for a store that is of its present stage file.

    The stage file fixes the plate's rows by their digest, so that a plate more or less in the table packs nothing
    again; the script checks the digest. For a store that must be packed again the table is no `ancient` input:
    Snakemake would not look at the stage file of a job behind an `ancient` input that is made again (its issue 4166).
    """
    table, plate = screen("sites.parquet"), wildcards.plate
    made = receipt(screen(f"plates/{plate}.h5"))
    return ancient(table) if is_of_stage(made, screen(f"stages/pack_plate/{plate}.json")) else table


rule pack_plate:
    input:
        stage=screen("stages/pack_plate/{plate}.json"),
        receipts=receipt(screen("raw/metadata/{plate}.csv")) if SIMULATED else [],
        metadata=ancient(screen("raw/metadata/{plate}.csv")) if SIMULATED else [],
        planned=planned_sites,
    output:
        store=screen("plates/{plate}.h5"),
        problems=screen("plates/{plate}.problems.json"),
        receipt=receipt(screen("plates/{plate}.h5")),
    log:
        screen("logs/pack_plate/{plate}.log"),
    benchmark:
        screen("benchmarks/pack_plate/{plate}.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.pack_mb),
        runtime=grown(NEEDS.pack_minutes),
    params:
        root=str(ROOT),
    message:
        "Packing plate {wildcards.plate}"
    script:
        "../workflow_scripts/pack_plate.py"


rule normalization:
    input:
        stage=stage(screen, "normalization", {"schemes": SCHEMES, "plates": list(SUMMARY.plates)}),
        receipts=[receipt(screen("sites.parquet")), *map(receipt, PACKED)],
        sites=ancient(screen("sites.parquet")),
        stores=ancient(PACKED),
    output:
        tables=expand(screen("normalization/{scheme}.parquet"), scheme=SCHEMES),
        receipt=receipt(screen("normalization/plate.parquet")),
    log:
        screen("logs/normalization.log"),
    benchmark:
        screen("benchmarks/normalization.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.normalization_mb),
        runtime=grown(NEEDS.normalization_minutes),
    message:
        f"Normalization statistics by {', '.join(SCHEMES)}"
    script:
        "../workflow_scripts/normalization.py"


rule assign_folds:
    input:
        stage=stage(recipe, "assign_folds", settings("folds")),
        receipts=receipt(screen("sites.parquet")),
        sites=ancient(screen("sites.parquet")),
        classes=ancient(screen("classes.parquet")),
    output:
        folds=recipe("folds.parquet"),
        receipt=receipt(recipe("folds.parquet")),
    log:
        recipe("logs/assign_folds.log"),
    benchmark:
        recipe("benchmarks/assign_folds.tsv")
    threads: 1
    resources:
        mem_mb=grown(NEEDS.index_mb),
        runtime=grown(10),
    message:
        "Assigning {} folds by {}".format(CONFIG.folds.count, CONFIG.folds.group)
    script:
        "../workflow_scripts/assign_folds.py"
