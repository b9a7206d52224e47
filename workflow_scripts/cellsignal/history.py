"""What a training run reports: one row per epoch as CSV, and a stop where the loss is not a number."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from cellsignal.errors import Fault
from cellsignal.files import atomic
from cellsignal.processes import leads

COLUMNS = ["epoch", "step", "rate", "loss", "consistency", "accuracy", "validation_loss", "validation_accuracy"]

History = list[dict[str, Any]]


class LossCheck:
    """Stops a run whose loss is not finite; looks every `every` steps, since looking waits for the GPU."""

    def __init__(self, every: int, site_id: NDArray[Any] | None = None) -> None:  # site_id: names of the rows
        self.every, self.site_id = every, site_id
        self.waiting: list[tuple[int, NDArray[Any], Tensor]] = []
        self.last: tuple[int, NDArray[Any]] | None = None

    def add(self, step: int, rows: NDArray[Any], loss: Tensor) -> None:
        """Remember a step's loss and site rows."""
        self.waiting.append((step, rows, loss.detach()))
        self.last = step, rows
        if len(self.waiting) >= self.every:
            self.check()

    def check(self, state: Iterable[Tensor] = ()) -> None:
        """Raise `Fault` for the first remembered loss that is not finite, and forget the others.

        With `state`, also where one of these tensors is not, which the last step must have done: a loss may be
        finite and its gradient not.
        """
        waiting, self.waiting = self.waiting, []
        values = torch.stack([loss for _, _, loss in waiting]).tolist() if waiting else []
        for (step, rows, _), value in zip(waiting, values, strict=True):
            if not math.isfinite(value):
                raise self._fault(f"loss is {value} at step {step}", rows)
        finite = [tensor.isfinite().all() for tensor in state if tensor.is_floating_point()]
        if self.last and finite and not torch.stack(finite).all():
            raise self._fault(f"the model is not finite after step {self.last[0]}", self.last[1])

    def _fault(self, what: str, rows: NDArray[Any]) -> Fault:
        sites = rows if self.site_id is None else self.site_id[rows]
        return Fault(
            f"{what}; sites of its batch: {', '.join(map(str, sites.tolist()))}. "
            "Lower the rate, set clip_norm or a warm-up, or look for odd images among these sites"
        )


def means(totals: Tensor, follows: bool) -> dict[str, float]:
    """An epoch's mean loss, consistency (where there is one) and accuracy.

    `totals` (5,): sums of loss, consistency and right answers; labelled sites, and those of them that the supervised
    view was of, which the right answers are among.
    """
    loss, consistency, right, n, seen = totals.tolist()
    return {
        "loss": loss / n,
        **({"consistency": consistency / n} if follows else {}),
        "accuracy": right / max(1.0, seen),
    }


def write_history(path: str | Path, history: History) -> None:
    """Write the CSV of `COLUMNS`, six significant digits, empty where an epoch has no value.

    Of several processes that train together only the first writes it.
    """
    if not leads():
        return
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


def sentence(row: dict[str, Any], epochs: int, seconds: float) -> str:
    """One epoch for the log."""
    numbers = [f"{key.replace('_', ' ')} {row[key]:.4g}" for key in COLUMNS[2:] if key in row]
    return f"epoch {row['epoch']}/{epochs}: {', '.join(numbers)} ({seconds:.1f} s)"
