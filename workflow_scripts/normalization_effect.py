"""Figure: mean intensity of every plate and channel, which normalization makes equal."""

from cellsignal.figures.normalization_effect import normalization_effect
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    plates = read_table(snakemake.input.sites)[["plate_id", "experiment", "cell_type"]].drop_duplicates()
    statistics = read_table(snakemake.input.statistics).rename(columns={"group": "plate_id"})
    means, channels = plates.merge(statistics, on="plate_id"), job.settings["channels"]
    save(normalization_effect(means, channels), snakemake.output.figure)
    save_table(means.assign(channel_name=means["channel"].map(dict(enumerate(channels)))), snakemake.output.table)
