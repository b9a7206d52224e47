"""Assign whole experiments (or plates) to cross-validation folds."""

from cellsignal.config.screen import FoldSettings
from cellsignal.folds import assign_folds
from cellsignal.sites import read_table, write_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites)
    folds = assign_folds(sites, FoldSettings(**job.settings["folds"]))
    write_table(folds, snakemake.output.folds)
    print(folds.to_string())
