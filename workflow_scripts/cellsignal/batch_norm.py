"""BatchNorm with the statistics of a plate in place of those of training (adaptive BatchNorm, Li et al. 2017).

A plate's stain and focus shift every layer's activations; its own statistics take the shift out again. No label
is used, nor the layout: only which sites share a plate, which a plate of hundreds of different classes makes safe.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def statistics_of(
    model: nn.Module, batches: Iterable[tuple[Tensor, ...]], precision: AbstractContextManager[Any] | None = None
) -> Iterator[None]:
    """Run `model` in evaluation mode with the BatchNorm statistics of `batches`, its arguments, while the block runs.

    Mean and variance of each layer are the averages over the batches, which should be of like size; of one
    batch, they are that batch's (variance with divisor n - 1, as PyTorch's running statistics). The model's
    own statistics come back afterwards. `precision` is the context, such as autocast, of the pass over `batches`.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    before = [({name: value.clone() for name, value in layer.named_buffers()}, layer.momentum) for layer in layers]
    # A plate is this process's own: no mean over processes (`distributed.synchronized`) here.
    synchronized = [layer.__dict__.pop("forward", None) for layer in layers]
    training = model.training
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch's word for the average over all batches since the reset
        layer.train()
    try:
        with torch.no_grad(), precision or nullcontext():
            for arguments in batches:
                model(*arguments)
        model.eval()
        yield
    finally:
        for layer, (buffers, momentum) in zip(layers, before, strict=True):
            for name, value in layer.named_buffers():
                value.copy_(buffers[name])
            layer.momentum = momentum
        for layer, forward in zip(layers, synchronized, strict=True):
            if forward is not None:
                layer.forward = forward  # type: ignore[method-assign]
        model.train(training)


def even_parts(n: int, size: int) -> list[NDArray[np.int64]]:
    """Numbers 0 … n-1 in parts of like size, at most `size` each, and two at least, which BatchNorm needs."""
    return np.array_split(np.arange(n), max(1, min(-(-n // size), n // 2)))
