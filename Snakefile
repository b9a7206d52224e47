# cellsignal: which gene was silenced? From raw plates to an audited submission.
#
#   make demo                                     a simulated screen, end to end
#   snakemake --profile slurm all                 config.yaml (DeepNoise on RxRx1) on a cluster
#   snakemake all --profile profiles/local --configfile recipes/R.yaml
#   snakemake ablation …                          what each part of the recipe is worth


configfile: "config.yaml"


# Used with `--software-deployment-method apptainer` only: profiles/README.md.
container: f"{workflow.basedir}/envs/cellsignal.sif"


include: "rules/common.smk"
include: "rules/cluster.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/label.smk"
include: "rules/submit.smk"
include: "rules/report.smk"
include: "rules/explain.smk"
include: "rules/papers.smk"
include: "rules/ablation.smk"
include: "rules/audit.smk"
include: "rules/jobs.smk"


write_plan()  # of all these files


report: "rules/captions/workflow.rst"


rule all:
    default_target: True
    input:
        recipe("scores.json"),
        recipe("audit.json"),
        [recipe("submission.csv")] if SUMMARY.test_cell_types else [],
        FIGURES,
    localrule: True


rule packed:
    input:
        screen("sites.parquet"),
        expand(screen("normalization/{scheme}.parquet"), scheme=SCHEMES),
    localrule: True
    message:
        "Raw images packed, normalization computed; nothing trained."


rule ablation:
    input:
        recipe("ablation.json"),
        recipe("figures/ablation.svg"),
    localrule: True
    message:
        "The ablation is in {input}"
