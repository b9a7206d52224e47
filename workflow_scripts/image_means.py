"""Figure: how bright the images are, channel by channel."""

from cellsignal.figures.image_means import distribute, image_means
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    cell_type = read_table(snakemake.input.sites).set_index("site_id")["cell_type"]
    means = read_table(snakemake.input.statistics)
    distribution = distribute(means.assign(cell_type=means["group"].map(cell_type)))
    channels = job.settings["channels"]
    save(image_means(distribution, channels), snakemake.output.figure)
    names = distribution["channel"].map(dict(enumerate(channels)))
    save_table(distribution.assign(channel_name=names), snakemake.output.table)
