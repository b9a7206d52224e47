"""What a model says of sites, averaged over test-time views."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cellsignal.augment import standardize, views
from cellsignal.batch_norm import even_parts, statistics_of
from cellsignal.config.learning import PredictSettings
from cellsignal.devices import autocast, choose_device, place, to_device
from cellsignal.loader import Reader, Rows, TrainingSites, prefetch
from cellsignal.models import PerturbationModel


@torch.inference_mode()
def predict(
    model: PerturbationModel,
    reader: Reader,
    sites: TrainingSites,
    settings: PredictSettings,
    progress: Callable[[int, int], None] | None = None,
    device: str | torch.device | None = None,
    amp: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (sites, classes) and embedding (sites, dim), float32, in the order of `sites`.

    Logits are the log of the softmax averaged over `settings.views` dihedral views; the embedding is the
    mean over views. The model is left on the device, in evaluation mode.

    Args:
        model: with its weights.
        reader: pixels of all sites.
        sites: what is predicted; their targets are not looked at. With `settings.batch_norm: plate`, the
            sites of one plate here are what its statistics are taken of, so give whole plates.
        settings: views, batch size, statistics of BatchNorm.
        progress: called with (sites done, sites in all) after each batch.
        device: default: a GPU if there is one.
        amp: mixed precision on a GPU.
    """
    device = choose_device(device)
    place(model, device)
    model.eval()
    logits = np.empty((len(sites), model.n_classes), np.float32)
    embedding = np.empty((len(sites), model.width), np.float32)
    done = 0
    for group, statistics in batch_norm_groups(
        model, reader, sites, settings.batch_size, device, amp, by_plate=settings.batch_norm == "plate"
    ):
        with statistics:
            for part, images, *cell_type in inputs(
                model, reader, sites, in_batches(group, settings.batch_size), device
            ):
                of_views: list[Any] = []
                for view in views(images, settings.views):
                    with autocast(device, amp):
                        of_views.append(model(channels_last(view), *cell_type)[:2])
                embeddings, scores = zip(*of_views, strict=True)
                embedding[part] = torch.stack(embeddings).float().mean(0).cpu().numpy()
                # log of a mean of probabilities, without leaving the log: small probabilities keep their digits
                log_probability = torch.stack(scores).float().log_softmax(2)
                logits[part] = (log_probability.logsumexp(0) - math.log(settings.views)).cpu().numpy()
                done += len(part)
                if progress is not None:
                    progress(done, len(sites))
    return logits, embedding


def batch_norm_groups(
    model: PerturbationModel,
    reader: Reader,
    sites: TrainingSites,
    batch_size: int,
    device: torch.device,
    amp: bool,
    by_plate: bool,
) -> Iterator[tuple[Rows, AbstractContextManager[None]]]:
    """Indices of sites that share BatchNorm statistics, with the context in which the model has them.

    By plate, each plate's (of its unturned images, a first pass over them); a plate of a single site keeps
    the statistics of training, as all sites do otherwise.
    """
    if not by_plate:
        yield np.arange(len(sites)), nullcontext()
        return
    for plate in np.unique(sites.plate):
        group = np.flatnonzero(sites.plate == plate)
        if len(group) < 2:
            yield group, nullcontext()
            continue
        parts = [group[part] for part in even_parts(len(group), batch_size)]
        read = inputs(model, reader, sites, parts, device)
        arguments = ((channels_last(images), *rest) for _, images, *rest in read)
        yield group, statistics_of(model, arguments, autocast(device, amp))


def inputs(
    model: PerturbationModel, reader: Reader, sites: TrainingSites, parts: Sequence[Rows], device: torch.device
) -> Iterator[tuple[Any, ...]]:
    """Each of `parts` (indices of sites) with the model's arguments on the device: images, cell types if it is told."""
    for part, pixels in prefetch(lambda part: reader.read(sites.rows[part]), parts):
        images = standardize(to_device(pixels, device), as_float(sites.mean[part]), as_float(sites.std[part]))
        yield (part, images, *cell_types(model, sites.cell_type[part], device))


def cell_types(model: PerturbationModel, cell_type: NDArray[np.int64], device: torch.device) -> tuple[Tensor, ...]:
    """The one-hot cell types (n, cell types) float32 of a model that is told them; nothing for others."""
    if not model.settings.cell_type:
        return ()
    return (F.one_hot(torch.from_numpy(cell_type), model.n_cell_types).float().to(device),)


def in_batches(indices: Rows, size: int) -> list[Rows]:
    """`indices` in consecutive parts of `size`, the last one smaller."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def as_float(array: NDArray[Any]) -> Tensor:
    """A contiguous float32 tensor of an array."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def channels_last(images: Tensor) -> Tensor:
    """Images (n, c, h, w) as convolutions want them in memory."""
    return images.contiguous(memory_format=torch.channels_last)
