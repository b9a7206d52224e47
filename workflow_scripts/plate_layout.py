"""Figure: the plates of one experiment side by side, by well type and positive control, with counts."""

from cellsignal.figures.plate_layout import count_wells, fullest_experiment, plate_layout
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table, well_table

from running import run

with run(snakemake) as job:
    wells = well_table(read_table(snakemake.input.sites))
    own = wells[wells["experiment"] == fullest_experiment(wells)]
    counts = count_wells(own, read_table(snakemake.input.classes))
    rows, columns = job.settings["shape"]
    save(plate_layout(own, counts, rows, columns), snakemake.output.figure)
    save_table(counts, snakemake.output.table)
