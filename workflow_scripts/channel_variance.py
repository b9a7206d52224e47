"""Figure: how much of the images' brightness varies between cell types, experiments, plates and images."""

from cellsignal.figures.channel_variance import channel_components, channel_variance
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites)[["site_id", "plate_id", "experiment", "cell_type"]]
    means = read_table(snakemake.input.statistics).merge(sites, left_on="group", right_on="site_id", validate="m:1")
    components, channels = channel_components(means), job.settings["channels"]
    save(channel_variance(components, channels), snakemake.output.figure)
    names = components["channel"].map(dict(enumerate(channels)))
    save_table(components.assign(channel_name=names), snakemake.output.table)
