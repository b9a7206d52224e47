"""Figure: where the sites of a few classes lie in the embedding, without and with pseudo-labels."""

import numpy as np
import pandas as pd

from cellsignal.class_sample import choose_classes, comparable, sample_around
from cellsignal.embedding import NEIGHBOURS, embed_tsne, neighbour_purity
from cellsignal.figures.style import note, save, save_table
from cellsignal.figures.tsne_classes import ClassMap, tsne_classes
from cellsignal.predictions import read_embedding
from cellsignal.sites import read_table

from running import run

FEWEST = 5  # sites that t-SNE takes

with run(snakemake) as job:
    classes = read_table(snakemake.input.classes)
    names = classes.set_index("sirna")["name"]
    sites = read_table(snakemake.input.sites).set_index("site_id")
    chosen = choose_classes(sites, classes, job.settings["tsne_classes"])
    rounds, seed = job.settings["titles"], job.settings["seed"]
    per_round = len(snakemake.input.predictions) // len(rounds)
    maps, parts, k = [], [], 0
    for i, title in enumerate(rounds):  # one round's embedding in memory at a time
        files = [read_embedding(path) for path in snakemake.input.predictions[i * per_round : (i + 1) * per_round]]
        site_id, embedding = (np.concatenate([getattr(f, name) for f in files]) for name in ("site_id", "embedding"))
        seen = sites.loc[site_id]
        rows = sample_around(seen["sirna"], chosen, seen["experiment"], job.settings["tsne_sites"], seed)
        drawn, vectors = seen.iloc[rows], embedding[rows]
        own = drawn["sirna"].isin(chosen).to_numpy()
        if not own.any() or len(rows) < FEWEST:
            break
        mapped = embed_tsne(vectors, len(rows), seed)
        labels, wells = drawn.loc[own, "sirna"], drawn.loc[own, "well_id"]
        k = comparable(labels, wells, NEIGHBOURS)
        purity = neighbour_purity(vectors[own], labels, k, apart=wells) if k else (np.nan, np.nan)
        named = drawn["sirna"].map(names).where(own, "").to_numpy(str)
        maps.append(ClassMap(title, mapped.points, named, *purity))
        table = drawn[["well_id", "experiment", "cell_type"]].reset_index()
        parts.append(table.assign(class_name=named, round=title, x=mapped.points[:, 0], y=mapped.points[:, 1]))
    listed = names.loc[chosen].tolist()
    empty = note(f"Fold 0 held out no site of {', '.join(listed)}: there is no embedding of them to draw.")
    save(tsne_classes(maps, listed, k) if maps else empty, snakemake.output.figure)
    columns = ["site_id", "well_id", "experiment", "cell_type", "class_name", "round", "x", "y"]
    save_table(pd.concat(parts) if parts else pd.DataFrame(columns=columns), snakemake.output.table)
