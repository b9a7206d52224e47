"""Figure: t-SNE of the embeddings of out-of-fold and test sites, with numbers for what the eye sees."""

import numpy as np
import pandas as pd

from cellsignal.explain import NEIGHBOURS, embed_tsne, neighbour_purity
from cellsignal.figures.embedding_map import embedding_map
from cellsignal.figures.style import save
from cellsignal.files import atomic
from cellsignal.predictions import read_predictions
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    files = [read_predictions(path) for path in snakemake.input.predictions]
    sites = read_table(snakemake.input.sites).set_index("site_id").loc[np.concatenate([f.site_id for f in files])]
    embedding = np.concatenate([file.embedding for file in files])
    mapped = embed_tsne(embedding, job.settings["tsne_sites"], job.settings["seed"], strata=sites["experiment"])
    sample, vectors = sites.iloc[mapped.rows], embedding[mapped.rows]
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    groups = {
        "cell type": sample["cell_type"],
        "experiment": sample["experiment"],
        "class": sample["sirna"].map(names).fillna(""),  # withheld classes stay empty and do not count
    }
    purity = {}
    for name, values in groups.items():
        known = (values != "").to_numpy()
        purity[name] = neighbour_purity(vectors[known], values[known], apart=sample.loc[known, "well_id"])
    figure = embedding_map(mapped.points, groups, purity, mapped.trustworthiness, NEIGHBOURS)
    save(figure, snakemake.output.figure)
    table = pd.DataFrame(mapped.points, columns=["x", "y"], index=sample.index).join(sample.drop(columns="images"))
    with atomic(snakemake.output.table) as path:
        table.to_csv(path)
