"""Where a model runs, and in what precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """`device`, or this process's GPU if there is one (the first, but for a process of torchrun), or the CPU."""
    if device is None and torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return torch.device(device or "cpu")


def place(model: nn.Module, device: torch.device) -> None:
    """Move `model` to `device`, channels last: what convolutions run fastest on, GPU or CPU."""
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def to_device(pixels: NDArray[np.generic], device: torch.device) -> Tensor:
    """Pixels (n, c, h, w) uint8 or uint16 on `device`; the copy to a GPU overlaps with what it does."""
    tensor = torch.from_numpy(pixels)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def autocast(device: torch.device, amp: bool) -> torch.autocast:
    """Mixed precision on a GPU that `amp` asks for; bfloat16 where the GPU has it, else float16."""
    enabled = amp and device.type == "cuda"
    dtype = torch.float16 if enabled and not torch.cuda.is_bf16_supported() else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=enabled)


def gradient_scaler(device: torch.device, amp: bool) -> torch.amp.GradScaler:
    """A loss scaler, which only float16 needs; disabled, it passes everything through."""
    needed = amp and device.type == "cuda" and not torch.cuda.is_bf16_supported()
    return torch.amp.GradScaler(device.type, enabled=needed)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic algorithms on the CPU; on any device, the caller's random state comes back afterwards."""
    filling: Any = torch.utils.deterministic  # of fresh memory: costs time and only finds errors
    before = torch.are_deterministic_algorithms_enabled(), filling.fill_uninitialized_memory
    filling.fill_uninitialized_memory = False
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.use_deterministic_algorithms(before[0] or device.type == "cpu", warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            filling.fill_uninitialized_memory = before[1]
