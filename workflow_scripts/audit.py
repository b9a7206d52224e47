"""Audit a submission: intact, current, clean. Prints the verdict; fails, naming the problem, if it is bad."""

import functools
import sys
from pathlib import Path

from cellsignal.files import sha256_file, write_json
from cellsignal.provenance.audit import audit

from running import run_without_stage

with run_without_stage(snakemake):
    digest = functools.cache(sha256_file)  # submission and scores come from the same files: each is read once
    verdicts = [
        audit(path, snakemake.params.root, library=snakemake.scriptdir, threads=snakemake.threads, digest=digest)
        for path in snakemake.params.artefacts
    ]
    print(*(verdict.as_text() for verdict in verdicts), sep="\n\n")
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)
    if snakemake.output:
        write_json(Path(snakemake.output.verdict), [verdict.as_json() for verdict in verdicts])
