"""Figure: the channels of example sites."""

import numpy as np

from cellsignal.figures.site_images import site_images
from cellsignal.figures.style import save, save_table
from cellsignal.figures.titles import site_titles
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites).set_index("site_id", drop=False)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    reader = SiteReader(snakemake.input.stores)
    count = min(job.settings["example_sites"], len(reader))
    order = np.random.default_rng(job.settings["seed"]).permutation(len(reader))
    turn = sites.loc[reader.site_id[order]].groupby("plate_id").cumcount()  # equally many of each plate
    rows = np.sort(order[np.argsort(turn, kind="stable")][:count])
    chosen = sites.loc[reader.site_id[rows]]
    titles = site_titles(chosen, names)
    save(site_images(reader.read(rows), job.settings["channels"], titles), snakemake.output.figure)
    save_table(chosen.assign(images=chosen["images"].map(" ".join)), snakemake.output.table)
