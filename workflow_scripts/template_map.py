"""Figure: t-SNE of the template matrices, by head and round, with the classes that have no sample."""

import numpy as np
import pandas as pd

from cellsignal.figures.style import save, save_table
from cellsignal.figures.template_map import map_templates, template_map
from cellsignal.sites import read_table
from cellsignal.weights import templates

from running import run

with run(snakemake) as job:
    classes = read_table(snakemake.input.classes)
    maps, samples = [], np.zeros(len(classes), np.int64)
    for title, weights, rows in zip(job.settings["titles"], snakemake.input.weights, snakemake.input.rows, strict=True):
        trained = read_table(rows)
        trained = trained[trained["role"].isin(["train", "pseudo"]) & (trained["weight"] > 0)]
        samples = np.bincount(trained["sirna"], minlength=len(classes))
        for head, matrix in templates(weights).items():
            maps.append(map_templates(matrix, samples, head, title, job.settings["seed"]))
    table = classes.assign(samples=samples)
    save(template_map(maps, table), snakemake.output.figure)
    parts = [
        table.assign(head=m.head, round=m.title, x=m.points[:, 0], y=m.points[:, 1], nearest_cosine=m.nearest)
        for m in maps
    ]
    save_table(pd.concat(parts, ignore_index=True), snakemake.output.table)
