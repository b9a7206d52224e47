"""Several processes, one per GPU, that train one model together: PyTorch's DDP, started by torchrun.

A batch is shared out among the processes, so the settings mean the same on any number of GPUs: the batch
size is that of a step, whoever computes it. On one process everything here does nothing.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cellsignal.errors import BadInput
from cellsignal.processes import processes, rank

PATIENCE = timedelta(minutes=30)  # longest wait for another process, say while it writes a state
ASK_STEPS = 20  # between two questions to the other processes, each of which waits for the GPU


@dataclass(frozen=True)
class Share:
    """One process's share of a batch: labelled sites first.

    DDP averages gradients over processes, however many sites each had: the weights make the mean over a share
    count as it does in the mean over the whole batch.
    """

    positions: NDArray[np.int64]  # in the whole batch
    whole: int  # sites of the whole batch
    labelled: int  # labelled sites of the share
    weight_labelled: float  # of a mean over the share's labelled sites
    weight_all: float  # of a mean over all sites of the share
    known: float = 1.0  # labelled sites ÷ those with a known label, in the whole batch
    pseudo: float = 1.0  # labelled sites ÷ pseudo-labelled ones, likewise


class Group:
    """The processes of one training. `n` is their number, `rank` this one's."""

    def __init__(self, device: torch.device) -> None:
        self.n, self.rank, self.device = processes(), rank(), device

    def share(self, labelled: int, unlabelled: int = 0, pseudo: int = 0) -> Share:
        """This process's share of a batch of labelled sites, of which some are `pseudo`-labelled, and unlabelled ones.

        Raises BadInput where there are more processes than labelled sites.
        """
        if labelled < self.n:
            raise BadInput(f"a batch of {labelled} labelled sites for {self.n} GPUs; expected at least one each")
        of_labelled, of_others = np.arange(self.rank, labelled, self.n), np.arange(self.rank, unlabelled, self.n)
        whole, n, m = labelled + unlabelled, len(of_labelled), len(of_others)
        positions = np.concatenate([of_labelled, labelled + of_others])
        weight_labelled, weight_all = self.n * n / labelled, self.n * (n + m) / whole
        known, given = labelled / max(1, labelled - pseudo), labelled / max(1, pseudo)
        return Share(positions, whole, n, weight_labelled, weight_all, known, given)

    @contextmanager
    def wrap(self, model: nn.Module, sync_batch_norm: bool) -> Iterator[nn.Module]:
        """The model to call in training: its gradients are averaged over the processes."""
        if self.n == 1:
            yield model
            return
        devices = [self.device] if self.device.type == "cuda" else None
        with synchronized(model) if sync_batch_norm else nullcontext():
            wrapped = nn.parallel.DistributedDataParallel(
                model, device_ids=devices, forward_sync_buffers=not sync_batch_norm
            )
            try:
                yield wrapped
            finally:
                # These hold the process group. Were they the last to do so, it would end while Python is locked,
                # waiting for a thread of gloo that waits for Python.
                del wrapped.reducer, wrapped.logger

    def looks(self, step: int) -> bool:
        """Whether to ask the others at this step."""
        return self.n == 1 or step % ASK_STEPS == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor over the processes, without gradient."""
        return _sum(tensor) if self.n > 1 else tensor

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; the same answer in all."""
        return bool(self.sum(torch.tensor(int(flag), device=self.device)).item()) if self.n > 1 else flag

    def align(self, model: nn.Module) -> None:
        """Give every process the first one's buffers: unsynchronized BatchNorm statistics differ."""
        if self.n > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


@contextmanager
def process_group(device: torch.device) -> Iterator[Group]:
    """The group that torchrun started this process in, connected while the block runs; NCCL on GPUs, else gloo."""
    group = Group(device)
    if group.n == 1:
        yield group
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield group
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over processes, which passes the sum of the gradients back."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        return _sum(tensor)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0])


def _sum(tensor: Tensor) -> Tensor:
    total = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


@contextmanager
def synchronized(model: nn.Module) -> Iterator[None]:
    """While the block runs, BatchNorm of `model` takes mean and variance over the batches of all processes.

    PyTorch's SyncBatchNorm does the same on GPUs only, where nothing could be tested without one. Parameters,
    buffers and their names stay as they are.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for module in norms:
        module.forward = types.MethodType(_batch_norm, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in norms:
            del module.forward


def _batch_norm(module: Any, x: Tensor) -> Tensor:
    """BatchNorm (Ioffe & Szegedy 2015, algorithm 1), in training over all processes; with timm's activation."""
    if module.training:
        over = [axis for axis in range(x.dim()) if axis != 1]
        wide = [1, -1] + [1] * (x.dim() - 2)
        values = x.float()
        total: Any = _Sum.apply
        count = _sum(values.new_tensor(float(x.numel() // x.shape[1])))
        mean = total(values.sum(over)) / count
        variance = total((values - mean.view(wide)).square().sum(over)) / count
        if module.track_running_stats:
            with torch.no_grad():
                module.num_batches_tracked.add_(1)
                momentum = module.momentum if module.momentum is not None else 1.0 / module.num_batches_tracked.item()
                module.running_mean.lerp_(mean.detach().to(module.running_mean.dtype), momentum)
                unbiased = variance.detach() * (count / (count - 1))
                module.running_var.lerp_(unbiased.to(module.running_var.dtype), momentum)
        values = (values - mean.view(wide)) * (variance + module.eps).rsqrt().view(wide)
        if module.affine:
            values = values * module.weight.float().view(wide) + module.bias.float().view(wide)
        x = values.to(x.dtype)
    else:
        x = F.batch_norm(x, module.running_mean, module.running_var, module.weight, module.bias, False, 0.0, module.eps)
    if hasattr(module, "act"):  # timm's BatchNormAct2d
        x = module.act(module.drop(x))
    return x
