"""The batches of a training: which sites, in whose hands, and what the model gets to see of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cellsignal.augment import Draws, augment, standardize
from cellsignal.config.learning import AugmentSettings, Optimization, PseudoLabelLoss
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
    """What a step learns from: s sites as the supervised loss sees them, then w sites as weak views.

    Attributes:
        seen: float32 (s + w, channels, h, w), what the student sees.
        cell_type: (s + w, cell types) of a model that takes them, else nothing.
        labels: float32 (s, classes), rows sum to 1, or to less where a part of a mixed site weighs nothing.
        weight: float32 (s,) or, of mixed sites, (s, classes): weight in the loss.
        strong: float32 (w, channels, h, w), the sites of the weak views as the teacher sees them; None: no teacher.
        weak_labels: float32 (w, classes), pseudo-labels of the weak views; None: they teach by consistency alone.
        weak_weight: float32 (w,), weight of those labels in the loss, 0 for sites without.
    """

    seen: Tensor
    cell_type: tuple[Tensor, ...]
    labels: Tensor
    weight: Tensor
    strong: Tensor | None = None
    weak_labels: Tensor | None = None
    weak_weight: Tensor | None = None


@dataclass(frozen=True)
class Views:
    """Which views of a step's sites are made (DeepNoise's code has all three).

    The supervised loss sees labelled sites normally augmented, and mixed where the settings ask for it. A weak view
    (flips and rotations) is the student's side of consistency, and of pseudo-labels where `pseudo.view` is `weak`. A
    strong view is the teacher's side: the settings' augmentation, drawn anew.

    Attributes:
        consistency: whether the student follows a teacher.
        pseudo: how pseudo-labels are learned from.
        alpha: the share of their weight that pseudo-labels have at this step.
    """

    consistency: bool = False
    pseudo: PseudoLabelLoss = field(default_factory=lambda: PseudoLabelLoss())
    alpha: float = 1.0


def prepare(
    model: PerturbationModel,
    sites: TrainingSites,
    chosen: Rows,
    share: Share,
    pixels: NDArray[Any],
    settings: AugmentSettings,
    generator: torch.Generator,
    device: torch.device,
    views: Views,
) -> Batch:
    """Standardize, augment and mix the sites `chosen`, `share` of a batch, of which the first are labelled."""
    positions = torch.from_numpy(share.positions)
    draws, raw = Draws(generator, share.whole, positions), to_device(pixels, device)
    mean, std, types = as_float(sites.mean[chosen]), as_float(sites.std[chosen]), sites.cell_type[chosen]
    known = chosen[: share.labelled]
    of_pseudo = sites.pseudo[known].astype(bool)
    labels = soft_labels(torch.from_numpy(sites.target[known]), model.n_classes).to(device)
    weight = as_float(_weights(sites.weight[known], of_pseudo, bool(sites.pseudo.any()), share, views)).to(device)

    def view(at: Tensor, weak: bool = False) -> Tensor:
        drawn, here = draws.of(at), at.to(device)
        plain = standardize(raw[here], mean[at], std[at], *(() if weak else (settings, drawn)))
        return augment(plain, settings, drawn, weak=weak)

    apart = views.pseudo.view == "weak"
    own = torch.from_numpy(np.flatnonzero(~of_pseudo) if apart else np.arange(len(known)))
    seen, cell_type = view(own), cell_types(model, types[own.numpy()], device)
    own_labels, own_weight = labels[own.to(device)], weight[own.to(device)]
    if mix := draw_mix(seen.shape, settings, draws.of(own)):
        seen, cell_type = mix.images(seen), tuple(map(mix.values, cell_type))
        live = own_labels * (own_weight > 0)[:, None]  # what weighs nothing gives no share of a margin either
        own_labels, own_weight = mix.values(live), mix.weights(live, own_weight)
    if views.consistency:
        weak = torch.arange(len(chosen))
    elif apart and of_pseudo.any():
        # Also while they weigh nothing: a batch of one plate may hold no other sites.
        weak = torch.from_numpy(np.flatnonzero(of_pseudo))
    else:
        return Batch(channels_last(seen), cell_type, own_labels, own_weight)

    # One pass of the student over both views: as DDP wants it, and BatchNorm's statistics are those of the whole step.
    seen = channels_last(torch.cat([seen, view(weak, weak=True)]))
    of_weak = cell_types(model, types[weak.numpy()], device)
    cell_type = tuple(map(torch.cat, zip(cell_type, of_weak, strict=True)))
    strong = channels_last(view(weak)) if views.consistency else None
    if not apart:
        return Batch(seen, cell_type, own_labels, own_weight, strong)
    weak_weight = torch.zeros(len(chosen), device=device)
    weak_weight[: len(known)] = weight * torch.from_numpy(of_pseudo).to(device)
    weak_labels = torch.cat([labels, labels.new_zeros(len(chosen) - len(known), model.n_classes)])
    at = weak.to(device)
    return Batch(seen, cell_type, own_labels, own_weight, strong, weak_labels[at], weak_weight[at])


def _weights(
    weight: NDArray[Any], of_pseudo: NDArray[np.bool_], any_pseudo: bool, share: Share, views: Views
) -> NDArray[Any]:
    """Weights (labelled,) in the loss: pseudo-labels by α, the others as long as those weigh anything by theirs."""
    teaches = any_pseudo and views.alpha > 0
    known, pseudo = views.pseudo.supervised_weight if teaches else 1.0, views.alpha
    if views.pseudo.average == "each":
        known, pseudo = known * share.known, pseudo * share.pseudo
    return np.asarray(weight * np.where(of_pseudo, pseudo, known))


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


def shared_out(whole: Iterator[Rows], labelled: TrainingSites, group: Group) -> Iterator[tuple[Rows, Share]]:
    """This process's part of each batch; sites below the number of `labelled` ones are labelled."""
    for batch in whole:
        known = batch[batch < len(labelled)]
        share = group.share(len(known), len(batch) - len(known), int(labelled.pseudo[known].sum()))
        yield batch[share.positions], share
