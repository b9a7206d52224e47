"""Figure: the layers of the first network, what each makes of an image, and its number of weights."""

import torch

from cellsignal.config.learning import ModelSettings
from cellsignal.figures.layer_table import layer_table as draw
from cellsignal.figures.style import save, save_table
from cellsignal.layers import layer_table
from cellsignal.models import build_model

from running import run

with run(snakemake) as job:
    settings, size = ModelSettings(**job.settings["model"]), job.settings["image_size"]
    channels, cell_types = job.settings["channels"], job.settings["cell_types"]
    plain = settings.model_copy(update={"pretrained": False})
    model = build_model(plain, channels, job.settings["classes"], n_cell_types=cell_types)
    told = (torch.zeros(1, cell_types),) if settings.cell_type else ()
    layers = layer_table(model, torch.zeros(1, channels, size, size), *told)
    save(
        draw(layers, f"{settings.name} ({settings.backbone}): {channels} × {size} × {size} in"), snakemake.output.figure
    )
    save_table(layers, snakemake.output.table)
