"""Figure: t-SNE of the embeddings of sites, without and with pseudo-labels, with numbers for what the eye sees."""

import numpy as np
import pandas as pd

from cellsignal.embedding import NEIGHBOURS, embed_tsne, neighbour_purity, silhouette
from cellsignal.figures.embedding_map import MapRow, Measure, embedding_map
from cellsignal.figures.style import save, save_table
from cellsignal.predictions import read_embedding
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    sites = read_table(snakemake.input.sites).set_index("site_id")
    rounds, per_round = job.settings["titles"], len(snakemake.input.predictions) // len(job.settings["titles"])
    rows, groups, table, numbers = [], {}, pd.DataFrame(), []
    for i, title in enumerate(rounds):  # one round's embedding in memory at a time
        files = [read_embedding(path) for path in snakemake.input.predictions[i * per_round : (i + 1) * per_round]]
        site_id, embedding = (np.concatenate([getattr(f, name) for f in files]) for name in ("site_id", "embedding"))
        seen = sites.loc[site_id]
        # The same sites in every round: the sample follows from their order, the seed and the experiments.
        mapped = embed_tsne(embedding, job.settings["tsne_sites"], job.settings["seed"], strata=seen["experiment"])
        sample, vectors = seen.iloc[mapped.rows], embedding[mapped.rows]
        groups = {
            "cell type": sample["cell_type"],
            "experiment": sample["experiment"],
            "class": sample["sirna"].map(names).fillna(""),  # withheld classes stay empty and do not count
        }
        measures = {}
        for name, values in groups.items():
            known = (values != "").to_numpy()
            purity = neighbour_purity(vectors[known], values[known], apart=sample.loc[known, "well_id"])
            measures[name] = Measure(*purity, silhouette(vectors[known], values[known]))
            numbers.append({"round": title, "grouping": name, **vars(measures[name])})
        rows.append(MapRow(title, mapped.points, mapped.trustworthiness, measures))
        points = pd.DataFrame(mapped.points, columns=["x", "y"], index=sample.index)
        part = sample.drop(columns=["images", "row", "column"]).assign(class_name=groups["class"], round=title)
        table = pd.concat([table, points.join(part).reset_index()], ignore_index=True)
    save(embedding_map(rows, groups, NEIGHBOURS), snakemake.output.figure)
    save_table(table, snakemake.output.table)
    measured = pd.DataFrame(numbers)
    trust = {row.title: row.trustworthiness for row in rows}
    save_table(measured.assign(trustworthiness=measured["round"].map(trust)), snakemake.output.measures)
    print(measured.to_string(index=False))
