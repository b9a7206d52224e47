"""A training that torchrun runs in several processes; OUT, KIND and END_AT come by the environment.

At read END_AT the first process ends the process that started torchrun by SIGTERM, as a cluster would.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import tiny_training as tiny
import torch

from cellsignal.models import save_weights
from cellsignal.processes import leads

OPTIMIZATION = tiny.OPTIMIZATION.model_copy(update={"epochs": 2.0, "checkpoint_minutes": 10.0})


def changes(kind: str) -> dict:
    """Settings of a kind of training; without dropout, whose masks are each process's own."""
    weights = tiny.model(dropout=0.0)
    found = {"model": weights, "optimization": OPTIMIZATION}
    if kind == "teacher":
        found["mean_teacher"] = tiny.TEACHER
    if kind == "plates":
        found["labelled"] = replace(tiny.sites(range(100)), plate=np.repeat([0, 1], [60, 40]))
        found["validation"] = replace(tiny.sites(range(100, 140)), plate=np.repeat([2, 3, 4], [10, 10, 20]))
        found["optimization"] = OPTIMIZATION.model_copy(update={"plate_batches": True, "accumulate": 2})
    if kind == "apart":
        found["optimization"] = OPTIMIZATION.model_copy(update={"sync_batch_norm": False})
    return found


class Ending(tiny.Reader):
    """Sends SIGTERM to the process that started torchrun."""

    def read(self, rows):
        if leads() and len(self.seen) == self.die_at:
            os.kill(int(os.environ["STARTED_BY"]), signal.SIGTERM)
        self.seen.append(rows)
        return self.pixels[rows]


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, kind = Path(os.environ["OUT"]), os.environ["KIND"]
    result = tiny.run(out / "state", Ending(int(os.environ.get("END_AT", "-1"))), log=print, **changes(kind))
    if leads():
        save_weights(result.teacher or result.student, out / "weights.safetensors")
