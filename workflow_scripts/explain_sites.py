"""Grad-CAM of the sites that are looked at closely, by the models that predict them, and attention per channel."""

import numpy as np
import torch

from cellsignal.augment import standardize
from cellsignal.config.learning import ModelSettings
from cellsignal.devices import choose_device, place
from cellsignal.explain import attention, called_classes, grad_cam, layer_name
from cellsignal.explained_sites import Explanations, choose_sites, write_explanations
from cellsignal.models import load_model
from cellsignal.normalization import lookup
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table
from cellsignal.training_rows import prediction_roles

from running import run

with run(snakemake) as job:
    settings = ModelSettings(**job.settings["model"])
    torch.set_num_threads(job.settings["threads"])
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    reader = SiteReader(snakemake.input.stores)
    roles = prediction_roles(sites, read_table(snakemake.input.folds), 0)
    candidates = sites[np.isin(roles, ["out_of_fold", "control"]) & sites["site_id"].isin(reader.site_id)]
    chosen = choose_sites(
        candidates,
        classes,
        job.settings["explained_classes"],
        job.settings["explained_sites"],
        job.settings["seed"],
    )
    mean, std = lookup(read_table(snakemake.input.statistics), chosen, settings.normalization)
    pixels = reader.read(reader.index(chosen["site_id"]))
    device = choose_device()
    images = standardize(torch.from_numpy(pixels), torch.from_numpy(mean), torch.from_numpy(std)).to(device)
    maps = np.zeros((len(chosen), *pixels.shape[2:]), np.float32)
    called, probability = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.float32)
    layer = ""
    for cell_type, weights in zip(job.settings["cell_types"], snakemake.input.weights, strict=True):
        rows = np.flatnonzero(chosen["cell_type"] == cell_type)
        if not len(rows):
            continue
        model = load_model(settings, reader.shape[0], len(classes), weights).eval()
        place(model, device)
        layer = job.settings["grad_cam_layer"] or layer_name(model, images[:1])
        called[rows], probability[rows] = called_classes(model, images[rows])
        maps[rows] = grad_cam(model, images[rows], called[rows], model.get_submodule(layer))
        print(f"{cell_type}: {len(rows)} sites, Grad-CAM of {layer}")
    write_explanations(
        snakemake.output.explanations,
        Explanations(
            site_id=chosen["site_id"].to_numpy(str),
            called=called,
            probability=probability,
            cam=np.round(255 * maps).astype(np.uint8),
            correlation=attention(maps, pixels).astype(np.float32),
            distance=attention(maps, pixels, "distance").astype(np.float32),
            layer=layer,
        ),
    )
