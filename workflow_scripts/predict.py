"""Predict test sites, and the sites that the model's fold held out, of one cell type."""

import torch

from cellsignal.config.learning import ModelSettings, PredictSettings
from cellsignal.models import load_model
from cellsignal.normalization import lookup
from cellsignal.plates import SiteReader
from cellsignal.prediction import predict
from cellsignal.predictions import write_predictions
from cellsignal.sites import read_table
from cellsignal.training_rows import prediction_roles

from running import run

with run(snakemake) as job:
    settings = ModelSettings(**job.settings["model"])
    torch.set_num_threads(job.settings["threads"])
    sites = read_table(snakemake.input.sites)
    reader = SiteReader(snakemake.input.stores)
    classes = read_table(snakemake.input.classes)
    roles = prediction_roles(sites, read_table(snakemake.input.folds), int(snakemake.wildcards.fold))
    seen = (roles != "") & sites["site_id"].isin(reader.site_id) & (sites["cell_type"] == snakemake.wildcards.cell_type)
    chosen = sites[seen]
    mean, std = lookup(read_table(snakemake.input.statistics), chosen, settings.normalization)
    logits, embedding = predict(
        load_model(settings, reader.shape[0], len(classes), snakemake.input.weights),
        reader,
        reader.index(chosen["site_id"]),
        mean,
        std,
        PredictSettings(**job.settings["predict"]),
        progress=lambda done, total: print(f"{done:,} of {total:,} sites"),
        amp=True,
    )
    write_predictions(snakemake.output.predictions, chosen["site_id"], logits, embedding, roles[seen])
