"""Figure: accuracy by cell type, by experiment and by class."""

from cellsignal.figures.accuracy_breakdown import accuracy_breakdown, count, measure_classes, outliers
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    wells = read_table(snakemake.input.wells)
    scored = wells[wells["role"].isin(["out_of_fold", "test"]) & (wells["outcome"] != "unknown")]
    scored = scored.assign(correct=scored["outcome"] == "correct")
    measures = measure_classes(scored, read_table(snakemake.input.classes).set_index("sirna")["name"])
    save(accuracy_breakdown(scored, measures), snakemake.output.figure)
    save_table(measures, snakemake.output.measures)
    table = count(scored, ["cell_type", "experiment", "role"])
    save_table(table.assign(outlier=outliers(table)), snakemake.output.table)
