"""Figure: one class over experiments, plates and cell types, and several classes on one plate."""

import pandas as pd

from cellsignal.example_classes import choose_examples
from cellsignal.figures.class_examples import class_examples
from cellsignal.figures.style import save, save_table
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    reader = SiteReader(snakemake.input.stores)
    known = sites["site_id"].isin(reader.site_id) & (sites["sirna"] >= 0) & (sites["dataset"] == "train")
    rows = choose_examples(sites[known], names, job.settings["seed"])
    images = [reader.read(row.sites["site_id"]) for row in rows if len(row.sites)]
    save(class_examples(rows, images, job.settings["channels"]), snakemake.output.figure)
    parts = [row.sites.assign(shows=" ".join(row.title.split("\n")[:2])) for row in rows]
    table = pd.concat(parts, ignore_index=True).drop(columns=["label", "images"], errors="ignore")
    save_table(table, snakemake.output.table)
