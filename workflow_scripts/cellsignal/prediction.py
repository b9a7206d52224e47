"""What a model says of sites, averaged over test-time views."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cellsignal.augment import standardize, views
from cellsignal.config.learning import PredictSettings
from cellsignal.devices import autocast, choose_device, place, to_device
from cellsignal.loader import Reader, prefetch
from cellsignal.models import PerturbationModel


@torch.inference_mode()
def predict(
    model: PerturbationModel,
    reader: Reader,
    rows: NDArray[np.int64],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    settings: PredictSettings,
    progress: Callable[[int, int], None] | None = None,
    device: str | torch.device | None = None,
    amp: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (sites, classes) and embedding (sites, dim), float32, of the sites in `rows`, in their order.

    Logits are the log of the softmax averaged over `settings.views` dihedral views; the embedding is the
    mean over views. The model is left on the device, in evaluation mode.

    Args:
        model: with its weights.
        reader: pixels of all sites.
        rows: int64 (sites,), the sites' rows in the reader.
        mean: float32 (sites, channels), of each site's normalization group.
        std: float32 (sites, channels), likewise.
        settings: views and batch size.
        progress: called with (sites done, sites in all) after each batch.
        device: default: a GPU if there is one.
        amp: mixed precision on a GPU.
    """
    device = choose_device(device)
    place(model, device)
    model.eval()
    n = len(rows)
    logits = np.empty((n, model.n_classes), np.float32)
    embedding = np.empty((n, model.width), np.float32)
    parts = (np.arange(start, min(start + settings.batch_size, n)) for start in range(0, n, settings.batch_size))
    for part, pixels in prefetch(lambda part: reader.read(rows[part]), parts):
        images = standardize(to_device(pixels, device), torch.from_numpy(mean[part]), torch.from_numpy(std[part]))
        of_views: list[Any] = []
        for view in views(images, settings.views):
            with autocast(device, amp):
                of_views.append(model(view.contiguous(memory_format=torch.channels_last)))
        embeddings, scores = zip(*of_views, strict=True)
        embedding[part] = torch.stack(embeddings).float().mean(0).cpu().numpy()
        # log of a mean of probabilities, without leaving the log: small probabilities keep their digits
        log_probability = torch.stack(scores).float().log_softmax(2)
        logits[part] = (log_probability.logsumexp(0) - math.log(settings.views)).cpu().numpy()
        if progress is not None:
            progress(int(part[-1]) + 1, n)
    return logits, embedding
