"""Export the result with its receipts, settings, code, environment and figures as a Workflow Run RO-Crate."""

from cellsignal.provenance.crate import write_crate

from running import run_without_stage

with run_without_stage(snakemake):
    params = snakemake.params
    print(write_crate(params.artefact, snakemake.output.crate, raw_root=params.root, library=snakemake.scriptdir))
