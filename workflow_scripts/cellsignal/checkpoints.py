"""Resume states of a training run: one safetensors file, whole or absent, that holds all that changes.

The random state is not among it: every step seeds its generators from (seed, step), so the number of the
step is enough to go on exactly.
"""

import hashlib
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cellsignal.errors import BadInput
from cellsignal.files import canonical_json, sha256_text
from cellsignal.processes import leads
from cellsignal.tensors import read_tensors, write_tensors

STATE_FILE = "state.safetensors"


def fingerprint(settings: Any, arrays: dict[str, Any], model: nn.Module) -> str:
    """SHA-256 of everything that a run follows from: settings (JSON), arrays, initial weights, PyTorch.

    A state with another fingerprint belongs to another run.
    """
    digest = hashlib.sha256(sha256_text(canonical_json([settings, torch.__version__])).encode())
    tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in model.state_dict().items()}
    for name, array in (arrays | tensors).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def state_tensors(modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """By name, all tensors that training changes: parameters and buffers of modules, and the optimizer's state."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": value for key, value in state.items() if value is not None}
    return tensors


class Checkpoints:
    """Saves and restores one run's state in a directory.

    `minutes`: time between two states; 0: one after every epoch.
    """

    def __init__(self, directory: str | Path, run: str, minutes: float, log: Callable[[str], None]) -> None:
        self.path = Path(directory) / STATE_FILE
        self.run, self.minutes, self.log = run, minutes, log
        self.saved_at = time.monotonic()

    def due(self, epoch_ended: bool = False) -> bool:
        """Whether it is time to save."""
        if self.minutes == 0:
            return epoch_ended
        return time.monotonic() - self.saved_at >= 60 * self.minutes

    def save(self, state: dict[str, Tensor], totals: Tensor, note: dict[str, Any]) -> None:
        """Write a `state_tensors`, `totals` and a JSON note; of several processes only the first does."""
        if leads():
            write_tensors(self.path, state | {"totals": totals}, {"run": self.run, **note})
        self.saved_at = time.monotonic()

    def restore(
        self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, totals: Tensor
    ) -> dict[str, Any] | None:
        """Load the state into the given objects and return its note; None, with nothing changed, if there is none.

        A state of another run, or one that cannot be read, is reported through `log` and left alone.
        """
        if not self.path.exists():
            return None
        try:
            tensors, note = read_tensors(self.path)
        except BadInput as error:
            self.log(f"resume state not used, starting anew: {error}")
            return None
        if not isinstance(note, dict) or note.get("run") != self.run:
            self.log(f"{self.path}: state of other settings, data or initial weights; starting anew")
            return None
        for name, module in modules.items():
            module.load_state_dict(_below(f"{name}/", tensors))
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("optimizer/", tensors).items():
            number, _, entry = key.partition("/")
            parameter = parameters[int(number)]
            if value.shape == parameter.shape:
                # Fused optimizers walk the memory, so a state must lie as its (channels-last) parameter does.
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            states.setdefault(int(number), {})[entry] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        totals.copy_(tensors["totals"])
        return note


def clear_state(directory: str | Path) -> None:
    """Remove a run's resume state, once its results are safely written."""
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def catch_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, in place of ending the process, while the block runs.

    Outside the main thread, where Python allows no signal handlers, it is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
