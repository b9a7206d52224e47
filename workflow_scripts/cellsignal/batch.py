"""The batches of a training: which sites, in whose hands, and what the model gets to see of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cellsignal.augment import Draws, augment, standardize
from cellsignal.config.learning import AugmentSettings, Optimization
from cellsignal.devices import to_device
from cellsignal.distributed import Group, Share
from cellsignal.loader import (
    Rows,
    TrainingSites,
    batches,
    batches_in,
    endless_batch,
    epoch_order,
    plate_batches,
    plate_batches_in,
)
from cellsignal.losses import soft_labels
from cellsignal.mixing import draw_mix
from cellsignal.models import PerturbationModel
from cellsignal.prediction import as_float, cell_types, channels_last


@dataclass(frozen=True)
class Batch:
    """What a step learns from: n sites, the first m of which are labelled.

    Attributes:
        seen: float32 (n, channels, h, w), what the student sees.
        strong: the same sites, strongly augmented, for the teacher; the student's, where it sees those, too.
        cell_type: (n, cell types) of a model that is told them, else nothing.
        labels: float32 (m, classes), rows sum to 1.
        weight: float32 (m,), weight in the loss.
    """

    seen: Tensor
    strong: Tensor
    cell_type: tuple[Tensor, ...]
    labels: Tensor
    weight: Tensor


def prepare(
    model: PerturbationModel,
    sites: TrainingSites,
    chosen: Rows,
    labelled: int,
    pixels: NDArray[Any],
    settings: AugmentSettings,
    draws: Draws,
    device: torch.device,
    weak: bool,
    alpha: float = 1.0,
) -> Batch:
    """Standardize, augment and mix the sites `chosen`, of which the first `labelled` are labelled.

    With `weak`, the student sees flips and rotations only, and nothing is mixed. `alpha` scales the weight of
    pseudo-labels.
    """
    raw, known = to_device(pixels, device), chosen[:labelled]
    mean, std = as_float(sites.mean[chosen]), as_float(sites.std[chosen])
    strong = augment(standardize(raw, mean, std, settings, draws), settings, draws)
    seen = augment(standardize(raw, mean, std), settings, draws, weak=True) if weak else strong
    cell_type = cell_types(model, sites.cell_type[chosen], device)
    labels = soft_labels(torch.from_numpy(sites.target[known]), model.n_classes).to(device)
    scaled = np.where(sites.pseudo[known], sites.weight[known] * alpha, sites.weight[known])
    weight = as_float(scaled).to(device)
    if not weak and (mix := draw_mix(seen.shape, settings, draws)):
        seen, labels, weight = mix.images(seen), mix.values(labels), mix.values(weight)
        cell_type = tuple(map(mix.values, cell_type))
    seen = channels_last(seen)
    return Batch(seen, channels_last(strong) if weak else seen, cell_type, labels, weight)


def batches_per_epoch(labelled: TrainingSites, optimization: Optimization) -> int:
    """Number of batches of labelled sites in an epoch."""
    if optimization.plate_batches:
        return plate_batches_in(labelled.plate, optimization.batch_size)
    return batches_in(len(labelled), optimization.batch_size)


def epoch_batches(
    labelled: TrainingSites,
    n_unlabelled: int,
    optimization: Optimization,
    seed: int,
    epoch: int,
    steps: range,
    per_epoch: int,
) -> Iterator[Rows]:
    """Batches of indices for the given steps of an epoch: labelled sites, then as many unlabelled ones.

    Unlabelled sites are numbered on from the labelled ones.
    """
    size, first = optimization.batch_size, steps.start - epoch * per_epoch
    if optimization.plate_batches:
        of_epoch = plate_batches(labelled.plate, size, seed, epoch, first)
    else:
        classes = np.asarray(labelled.target) if optimization.balance_classes else None
        of_epoch = batches(epoch_order(len(labelled), seed, epoch, classes), size, first)
    for step, batch in zip(steps, of_epoch, strict=False):
        others = endless_batch(n_unlabelled, size, step, seed) if n_unlabelled else batch[:0]
        yield np.concatenate([batch, len(labelled) + others])


def shared_out(whole: Iterator[Rows], n_labelled: int, group: Group) -> Iterator[tuple[Rows, Share]]:
    """This process's part of each batch; sites below `n_labelled` are labelled."""
    for batch in whole:
        labelled = int((batch < n_labelled).sum())
        share = group.share(labelled, len(batch) - labelled)
        yield batch[share.positions], share
