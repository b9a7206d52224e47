"""Predict test sites, and the sites that the model's fold held out, of one cell type."""

import torch

from cellsignal.config.learning import ModelSettings, PredictSettings
from cellsignal.models import load_model
from cellsignal.plates import SiteReader
from cellsignal.prediction import predict
from cellsignal.predictions import write_predictions
from cellsignal.sites import read_table
from cellsignal.training_rows import prediction_rows, sites_of_role

from running import run

with run(snakemake) as job:
    settings, how = ModelSettings(**job.settings["model"]), PredictSettings(**job.settings["predict"])
    torch.set_num_threads(job.settings["threads"])
    sites = read_table(snakemake.input.sites, without=["images"])
    reader = SiteReader(snakemake.input.stores)
    classes, cell_types = read_table(snakemake.input.classes), sites["cell_type"].nunique()
    rows = prediction_rows(
        sites,
        read_table(snakemake.input.folds),
        int(snakemake.wildcards.fold),
        reader.site_id,
        snakemake.wildcards.cell_type,
        whole_plates=how.batch_norm == "plate",
    )
    statistics = read_table(snakemake.input.statistics)
    logits, embedding = predict(
        load_model(settings, reader.shape[0], len(classes), snakemake.input.weights, cell_types),
        reader,
        sites_of_role(rows, rows["role"].unique(), reader, sites, statistics, settings.normalization),
        how,
        progress=lambda done, total: print(f"{done:,} of {total:,} sites"),
        amp=True,
    )
    kept = (rows["role"] != "").to_numpy()
    write_predictions(
        snakemake.output.predictions,
        rows.loc[kept, "site_id"],
        logits[kept],
        embedding[kept],
        rows.loc[kept, "role"],
    )
