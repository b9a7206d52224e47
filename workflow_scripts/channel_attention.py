"""Figure: how well Grad-CAM agrees with each channel, by cell type and class."""

import pandas as pd

from cellsignal.figures.channel_attention import channel_attention, mean_attention
from cellsignal.figures.style import save, save_table

from running import run

with run(snakemake) as job:
    sites = pd.read_csv(snakemake.input.sites_table, dtype={"class_name": str})
    table = mean_attention(sites, job.settings["channels"])
    layer = ", ".join(sites["layer"].unique())
    save(channel_attention(table, job.settings["channels"], layer), snakemake.output.figure)
    save_table(table, snakemake.output.table)
