"""Validation while a training runs."""

import numpy as np
import torch
import torch.nn.functional as F

from cellsignal.config.learning import Optimization
from cellsignal.devices import autocast
from cellsignal.distributed import Group
from cellsignal.loader import Reader, TrainingSites
from cellsignal.models import PerturbationModel
from cellsignal.prediction import batch_norm_groups, channels_last, in_batches, inputs


@torch.inference_mode()
def evaluate(
    model: PerturbationModel, reader: Reader, sites: TrainingSites, optimization: Optimization, group: Group
) -> dict[str, float]:
    """Cross entropy without margin, and accuracy, of unaugmented sites; nothing where there are no sites.

    Of a model that is trained on batches of one plate, with the BatchNorm statistics of each plate. The
    processes of `group` share the sites out, or the plates.
    """
    if not len(sites):
        return {}
    size, amp, device, by_plate = optimization.batch_size, optimization.amp, group.device, optimization.plate_batches
    training, sums = model.training, torch.zeros(2, dtype=torch.float64, device=device)  # of loss, of right ones
    group.align(model)
    model.eval()
    unit = np.unique(sites.plate, return_inverse=True)[1] if by_plate else np.arange(len(sites))
    mine = sites.at(np.flatnonzero(unit % group.n == group.rank))
    for indices, statistics in batch_norm_groups(model, reader, mine, size, device, amp, by_plate):
        with statistics:
            for chosen, images, *cell_type in inputs(model, reader, mine, in_batches(indices, size), device):
                with autocast(device, amp):
                    logits = model(channels_last(images), *cell_type).logits.float()
                target = torch.from_numpy(mine.target[chosen]).to(device)
                right = (logits.argmax(1) == target).sum()
                sums += torch.stack([F.cross_entropy(logits, target, reduction="sum"), right])
    model.train(training)
    loss, right = group.sum(sums).tolist()
    return {"validation_loss": loss / len(sites), "validation_accuracy": right / len(sites)}
