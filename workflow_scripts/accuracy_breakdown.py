"""Figure: accuracy by cell type and by experiment."""

from cellsignal.figures.accuracy_breakdown import accuracy_breakdown
from cellsignal.figures.style import save
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    wells = read_table(snakemake.input.wells)
    scored = wells[wells["role"].isin(["out_of_fold", "test"]) & (wells["outcome"] != "unknown")]
    save(accuracy_breakdown(scored.assign(correct=scored["outcome"] == "correct")), snakemake.output.figure)
