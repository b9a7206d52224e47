"""Figure: t-SNE of the embeddings of sites, without and with pseudo-labels, with numbers for what the eye sees."""

import pandas as pd

from cellsignal.embedding import embed_tsne, grouping_measures, sampled_embedding
from cellsignal.figures.embedding_map import MapRow, embedding_map
from cellsignal.figures.style import counted, save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    sites = read_table(snakemake.input.sites)
    rounds, per_round = job.settings["titles"], len(snakemake.input.predictions) // len(job.settings["titles"])
    rows, groups, of, table, numbers = [], {}, "", pd.DataFrame(), []
    for i, title in enumerate(rounds):  # one round's embedding in memory at a time
        files = snakemake.input.predictions[i * per_round : (i + 1) * per_round]
        sample, vectors = sampled_embedding(files, sites, job.settings["tsne_sites"], job.settings["seed"])
        mapped = embed_tsne(vectors, len(vectors), job.settings["seed"])
        measures, groups = grouping_measures(vectors, sample, names)
        numbers += [{"round": title, "grouping": name, **vars(measure)} for name, measure in measures.items()]
        parts = (
            (len(sample), "site"),
            (sample["well_id"].nunique(), "well"),
            (sample["experiment"].nunique(), "experiment"),
        )
        of = " of ".join(counted(*part) for part in parts)
        rows.append(MapRow(title, mapped.points, mapped.trustworthiness, measures))
        points = pd.DataFrame(mapped.points, columns=["x", "y"], index=sample.index)
        part = sample.drop(columns=["images", "row", "column"]).assign(class_name=groups["class"], round=title)
        table = pd.concat([table, points.join(part).reset_index()], ignore_index=True)
    save(embedding_map(rows, groups, of), snakemake.output.figure)
    save_table(table, snakemake.output.table)
    measured = pd.DataFrame(numbers, columns=["round", "grouping", "purity", "chance", "silhouette"])
    trust = {row.title: row.trustworthiness for row in rows}
    save_table(measured.assign(trustworthiness=measured["round"].map(trust)), snakemake.output.measures)
    print(measured.to_string(index=False))
