"""Figure: where the evidence for the called class lies, over each channel of a few held-out sites."""

import numpy as np

from cellsignal.attention import attention
from cellsignal.explained_sites import read_explanations
from cellsignal.figures.channel_attention import site_attention
from cellsignal.figures.grad_cam_grid import grad_cam_grid
from cellsignal.figures.style import save, save_table
from cellsignal.figures.titles import site_titles
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    found = read_explanations(snakemake.input.explanations)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    sites = read_table(snakemake.input.sites).set_index("site_id", drop=False).loc[found.site_id]
    count = min(job.settings["grad_cam_sites"], len(sites))
    rows = np.linspace(0, len(sites) - 1, count).round().astype(int)  # sorted by cell type and class: some of each
    titles = [
        f"{title}\ncalled {names[called]} ({probability:.0%})".replace("%", " %")
        for title, called, probability in zip(
            site_titles(sites.iloc[rows], names), found.called[rows], found.probability[rows], strict=True
        )
    ]
    pixels = SiteReader(snakemake.input.stores).read(found.site_id[rows])
    channels = job.settings["channels"]
    maps, shares = found.cam[rows] / 255, attention(found.correlation[rows])
    save(grad_cam_grid(pixels, maps, channels, titles, shares, found.layer), snakemake.output.figure)
    table = sites.drop(columns="images").assign(
        class_name=sites["sirna"].map(names),
        called=names.loc[found.called].to_numpy(),
        probability=found.probability,
        layer=found.layer,
    )
    save_table(site_attention(table, found.correlation, found.distance, channels), snakemake.output.table)
