"""Kill a training at random moments, again and again, and compare what it ends in with a run that was left alone.

Run as a script: `kill_drill.py FOLDER supervised|teacher KILLS SEED`; prints what happened as JSON. Each run is a
process of its own, forked from this one so that PyTorch is loaded once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import tiny_training as tiny

from cellsignal.checkpoints import clear_state
from cellsignal.models import save_weights

OUTPUTS = ("weights.safetensors", "teacher.safetensors", "state.csv")


def train(folder: Path, kind: str) -> None:
    """What the scripts of the training rules do, in a folder: resume or start, then write the results."""
    said = open(folder / "log.txt", "a", buffering=1)
    result = tiny.run(
        folder / "state",
        mean_teacher=tiny.TEACHER if kind == "teacher" else None,
        log=lambda text: print(text, file=said),
    )
    save_weights(result.student, folder / "weights.safetensors")
    save_weights(result.teacher or result.student, folder / "teacher.safetensors")


def start(folder: Path, kind: str) -> int:
    """Train in a new process; its id."""
    folder.mkdir(parents=True, exist_ok=True)
    if (process := os.fork()) == 0:
        train(folder, kind)
        os._exit(0)
    return process


def ends_within(process: int, seconds: float) -> bool:
    """Wait for a process; whether it ended well in time."""
    given_up = time.monotonic() + seconds
    while time.monotonic() < given_up:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            assert status == 0, f"a run ended with status {status}"
            return True
        time.sleep(0.001)
    return False


def contents(folder: Path) -> dict[str, bytes]:
    """The results under their final names; they must be whole whenever they are there."""
    return {name: (folder / name).read_bytes() for name in OUTPUTS if (folder / name).exists()}


def drill(folder: Path, kind: str, kills: int, seed: int) -> dict[str, object]:
    """Kill that many runs; one that ends before it could be killed is compared and begun anew."""
    began = time.monotonic()
    assert ends_within(start(folder / "alone", kind), 600)
    alone, whole = time.monotonic() - began, contents(folder / "alone")
    dice, killed, half, ends = random.Random(seed), 0, [], []
    while killed < kills or not ends:
        process = start(folder / "killed", kind)
        if ends_within(process, dice.uniform(0, 0.7 * alone) if killed < kills else 600):
            ends.append(contents(folder / "killed") == whole)
            clear_state(folder / "killed/state")
            for name in OUTPUTS:
                (folder / "killed" / name).unlink()
            continue
        os.kill(process, signal.SIGKILL)
        killed += os.waitpid(process, 0)[1] == signal.SIGKILL
        found = contents(folder / "killed")
        half += [name for name in found if name != "state.csv" and found[name] != whole[name]]
    resumed = [
        int(line.split()[3])
        for line in (folder / "killed/log.txt").read_text().splitlines()
        if line.startswith("resumed at step ")
    ]
    return {"kills": killed, "identical": ends, "half_written": half, "resumed_at": resumed}


if __name__ == "__main__":
    place, kind, kills, seed = sys.argv[1:]
    print(json.dumps(drill(Path(place), kind, int(kills), int(seed))))
