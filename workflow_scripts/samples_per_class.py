"""Figure: how many training wells each class has."""

from cellsignal.figures.samples_per_class import count_samples, samples_per_class, sets_of_classes
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    samples = count_samples(read_table(snakemake.input.sites), read_table(snakemake.input.classes))
    print(sets_of_classes(samples).to_string(index=False))
    save(samples_per_class(samples), snakemake.output.figure)
    save_table(samples, snakemake.output.table)
