"""Grad-CAM of the sites that are looked at closely, by the models that predict them, and attention per channel."""

import numpy as np
import torch

from cellsignal.attention import concordance
from cellsignal.config.learning import ModelSettings, PredictSettings
from cellsignal.devices import choose_device, place
from cellsignal.explain import explain_sites
from cellsignal.explained_sites import Explanations, choose_sites, write_explanations
from cellsignal.models import load_model
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table
from cellsignal.training_rows import prediction_rows, sites_of_role

from running import run

with run(snakemake) as job:
    settings, how = ModelSettings(**job.settings["model"]), PredictSettings(**job.settings["predict"])
    torch.set_num_threads(job.settings["threads"])
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    folds, statistics = read_table(snakemake.input.folds), read_table(snakemake.input.statistics)
    reader = SiteReader(snakemake.input.stores)
    by_plate = how.batch_norm == "plate"
    parts = {
        cell_type: prediction_rows(sites, folds, 0, reader.site_id, cell_type, whole_plates=by_plate)
        for cell_type in job.settings["cell_types"]
    }
    held_out = {
        site for rows in parts.values() for site in rows.loc[rows["role"].isin(["out_of_fold", "control"]), "site_id"]
    }
    chosen = choose_sites(
        sites[sites["site_id"].isin(held_out)],
        classes,
        job.settings["explained_classes"],
        job.settings["explained_sites"],
        job.settings["seed"],
    )
    device, layer = choose_device(), job.settings["grad_cam_layer"]
    pixels = reader.read(reader.index(chosen["site_id"]))
    maps = np.zeros((len(chosen), *pixels.shape[2:]), np.float32)
    called, probability = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.float32)
    for (cell_type, rows), weights in zip(parts.items(), snakemake.input.weights, strict=True):
        own = np.flatnonzero(chosen["cell_type"] == cell_type)
        if not len(own):
            continue
        plates = set(chosen["plate_id"].iloc[own]) if by_plate else set()
        of_plates = sites.loc[sites["plate_id"].isin(plates), "site_id"]
        rows = rows[rows["site_id"].isin([*chosen["site_id"].iloc[own], *of_plates])].reset_index(drop=True)
        model = load_model(settings, reader.shape[0], len(classes), weights, sites["cell_type"].nunique())
        place(model, device)
        seen = sites_of_role(rows, rows["role"].unique(), reader, sites, statistics, settings.normalization)
        wanted = rows.set_index("site_id").index.get_indexer(chosen["site_id"].iloc[own])
        found = explain_sites(model, reader, seen, wanted, layer, by_plate, how.batch_size, device)
        called[own], probability[own], maps[own], layer = found
        print(f"{cell_type}: {len(own)} sites, Grad-CAM of {layer}")
    write_explanations(
        snakemake.output.explanations,
        Explanations(
            site_id=chosen["site_id"].to_numpy(str),
            called=called,
            probability=probability,
            cam=np.round(255 * maps).astype(np.uint8),
            correlation=concordance(maps, pixels).astype(np.float32),
            distance=concordance(maps, pixels, "distance").astype(np.float32),
            layer=layer or "",
        ),
    )
