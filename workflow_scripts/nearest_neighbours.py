"""Figure: the nearest wells of other experiments, for the sites that are looked at closely."""

import numpy as np
import pandas as pd

from cellsignal.embedding import nearest_rows, well_vectors
from cellsignal.explained_sites import neighbour_table, read_explanations
from cellsignal.figures.neighbour_grid import neighbour_grid
from cellsignal.figures.style import save, save_table
from cellsignal.plates import SiteReader
from cellsignal.predictions import read_embedding
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites).set_index("site_id", drop=False)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    queries = sites.loc[read_explanations(snakemake.input.explanations).site_id]
    reader = SiteReader(snakemake.input.stores)
    packed = sites.loc[np.sort(reader.site_id)].drop_duplicates("well_id").set_index("well_id", drop=False)
    # What test wells were called; their classes, where scoring knows them, are not handed on with figures.
    packed["called"] = read_table(snakemake.input.wells).set_index("well_id")["predicted"].loc[packed.index]
    parts = []
    for path in snakemake.input.predictions:  # a file per cell type, each with its own model's embedding
        found = read_embedding(path)
        wells, vectors = well_vectors(found.embedding, sites.loc[found.site_id, "well_id"])
        asked = queries[queries["well_id"].isin(wells)]
        table = packed.loc[wells]
        # Other experiments; of a screen with only one, other plates.
        apart = table["experiment" if len(set(table["experiment"])) > 1 else "plate_id"]
        rows, cosines = nearest_rows(
            vectors, np.searchsorted(wells, asked["well_id"].to_numpy(str)), apart, job.settings["neighbours"]
        )
        parts.append(neighbour_table(asked, table, rows, cosines, names))
    neighbours = pd.concat(parts, ignore_index=True)
    asked = neighbours["site_id"].unique()
    count = min(job.settings["grad_cam_sites"], len(asked))
    chosen = asked[np.linspace(0, len(asked) - 1, count).round().astype(int)] if count else asked
    shown = neighbours[neighbours["site_id"].isin(chosen)]
    drawn = np.unique(np.concatenate([chosen, shown["neighbour_site_id"].to_numpy()]).astype(str))
    images = dict(zip(drawn, reader.read(drawn), strict=True)) if len(drawn) else {}
    save(neighbour_grid(neighbours, images, job.settings["channels"], chosen), snakemake.output.figure)
    save_table(neighbours, snakemake.output.table)
