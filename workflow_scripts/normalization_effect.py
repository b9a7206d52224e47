"""Figure: mean intensity of every plate and channel, which normalization makes equal."""

from cellsignal.figures.normalization_effect import normalization_effect
from cellsignal.figures.style import save
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    plates = read_table(snakemake.input.sites)[["plate_id", "experiment", "cell_type"]].drop_duplicates()
    statistics = read_table(snakemake.input.statistics).rename(columns={"group": "plate_id"})
    save(
        normalization_effect(plates.merge(statistics, on="plate_id"), job.settings["channels"]), snakemake.output.figure
    )
