"""Export the result with its receipts, settings, code, environment and figures as a Workflow Run RO-Crate."""

from cellsignal.provenance.crate import write_crate

from running import run_without_stage

with run_without_stage(snakemake):
    artefact, root = snakemake.input.artefact, snakemake.params.root
    print(write_crate(artefact, snakemake.output.crate, raw_root=root, library=snakemake.scriptdir))
