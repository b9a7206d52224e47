"""Figure: where the evidence for the called class lies, over each channel of a few held-out sites."""

import numpy as np
import torch

from cellsignal.augment import standardize
from cellsignal.config.learning import ModelSettings
from cellsignal.explain import attention, grad_cam
from cellsignal.figures.grad_cam_grid import grad_cam_grid
from cellsignal.figures.style import save
from cellsignal.figures.titles import site_titles
from cellsignal.models import load_model
from cellsignal.normalization import lookup
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table
from cellsignal.training_rows import prediction_roles

from running import run

with run(snakemake) as job:
    settings = ModelSettings(**job.settings["model"])
    torch.set_num_threads(job.settings["threads"])
    reader = SiteReader(snakemake.input.stores)
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    held_out = prediction_roles(sites, read_table(snakemake.input.folds), 0) == "out_of_fold"
    candidates = sites[held_out & sites["site_id"].isin(reader.site_id)].set_index("site_id", drop=False)
    count = min(job.settings["grad_cam_sites"], len(candidates))
    random = np.random.default_rng(job.settings["seed"])
    chosen = candidates.iloc[np.sort(random.choice(len(candidates), count, replace=False))]
    pixels = reader.read(reader.index(chosen["site_id"]))
    mean, std = lookup(read_table(snakemake.input.statistics), chosen, settings.normalization)
    model = load_model(settings, reader.shape[0], len(classes), snakemake.input.weights)
    images = standardize(torch.from_numpy(pixels), torch.from_numpy(mean), torch.from_numpy(std))
    name = job.settings["grad_cam_layer"]
    layer = model.get_submodule(name) if name else None
    maps = grad_cam(model, images, layer=layer)
    titles = site_titles(chosen, classes.set_index("sirna")["name"])
    save(
        grad_cam_grid(pixels, maps, job.settings["channels"], titles, attention(maps, pixels)), snakemake.output.figure
    )
