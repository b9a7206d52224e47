"""Figure: how far plates lie apart in the embeddings of models with different normalizations."""

import numpy as np
import pandas as pd

from cellsignal.embedding import plate_distances, well_vectors
from cellsignal.figures.plate_effect import plate_effect
from cellsignal.figures.style import save, save_table
from cellsignal.predictions import read_embedding
from cellsignal.sites import read_table, well_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites)
    well_of = sites.set_index("site_id")["well_id"]
    table = well_table(sites).set_index("well_id", drop=False)
    parts = []
    for (model, normalization), path in zip(job.settings["files"], snakemake.input.predictions, strict=True):
        found = read_embedding(path)
        seen = np.isin(found.role, ["out_of_fold", "control"])
        wells, vectors = well_vectors(found.embedding[seen], well_of.loc[found.site_id[seen]])
        name = f"{model}\nby {normalization.replace('_', ' ')}"
        parts.append(plate_distances(vectors, table.loc[wells]).assign(model=name))
    distances = pd.concat(parts, ignore_index=True)
    save(plate_effect(distances, list(dict.fromkeys(distances["model"]))), snakemake.output.figure)
    distances["model"] = distances["model"].str.replace("\n", ", normalized ")
    save_table(distances, snakemake.output.table)
