"""Figure: accuracy by cell type and by experiment."""

from cellsignal.figures.accuracy_breakdown import accuracy_breakdown, count, outliers
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    wells = read_table(snakemake.input.wells)
    scored = wells[wells["role"].isin(["out_of_fold", "test"]) & (wells["outcome"] != "unknown")]
    scored = scored.assign(correct=scored["outcome"] == "correct")
    save(accuracy_breakdown(scored), snakemake.output.figure)
    table = count(scored, ["cell_type", "experiment", "role"])
    save_table(table.assign(outlier=outliers(table)), snakemake.output.table)
