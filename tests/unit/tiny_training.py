"""A tiny training problem, shared by tests and by the processes that they kill.

Run as a script: `tiny_training.py STATE_DIR DIE_AT_READ SIGNAL`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellsignal.config.learning import AugmentSettings, MeanTeacher, ModelSettings, Optimization
from cellsignal.loader import TrainingSites
from cellsignal.models import PerturbationModel, build_model
from cellsignal.training import TrainingResult, train

CLASSES, CHANNELS, SIZE = 4, 3, 16
MODEL = ModelSettings(
    name="tiny",
    backbone="resnet10t",
    backbone_options={"channels": [8, 8, 16, 16], "stem_width": 8},
    dropout=0.2,
    embedding=8,
)
AUGMENT = AugmentSettings(scale=[0.8, 1.2], shift=0.1, erase=0.3, gain=0.05, statistics_jitter=0.05)
OPTIMIZATION = Optimization(epochs=3, batch_size=16, rate=3e-3, checkpoint_minutes=1e-9, clip_norm=5.0)
TEACHER = MeanTeacher(decay=[[0, 0.9]], ramp_epochs=1.0, consistency=10.0)


class Reader:
    """200 sites whose class is which channels are bright; `die_at` sends a signal at that read."""

    def __init__(self, die_at: int = -1, number: int = signal.SIGKILL) -> None:
        random = np.random.default_rng(0)
        self.target = np.arange(200) % CLASSES
        level = 60 + 60 * (self.target[:, None] >> np.arange(CHANNELS) & 1)
        noise = random.normal(0, 15, (200, CHANNELS, SIZE, SIZE))
        self.pixels = np.clip(level[:, :, None, None] + noise, 0, 255).astype(np.uint8)
        self.site_id = np.array([f"E-1_1_B{n:03d}_1" for n in range(200)])
        self.die_at, self.number, self.seen = die_at, number, []

    def read(self, rows: np.ndarray) -> np.ndarray:
        if len(self.seen) == self.die_at:
            os.kill(os.getpid(), self.number)
        self.seen.append(np.asarray(rows))
        return self.pixels[rows]


def sites(rows: Sequence[int], labelled: bool = True, weight: float = 1.0) -> TrainingSites:
    n, target = len(rows), np.asarray(rows) % CLASSES if labelled else np.full(len(rows), -1)
    mean, std = np.full((n, CHANNELS), 90, np.float32), np.full((n, CHANNELS), 30, np.float32)
    return TrainingSites(np.asarray(rows), target, np.full(n, weight, np.float32), mean, std)


def model(**changes: object) -> PerturbationModel:
    return build_model(MODEL.model_copy(update=changes), CHANNELS, CLASSES, seed=1)


def run(state_dir: Path, reader: Reader | None = None, **changes) -> TrainingResult:
    """Train on sites 0-99, validate on 100-139, with 140-199 unlabelled if there is a teacher."""
    arguments = {
        "labelled": sites(range(100)),
        "validation": sites(range(100, 140)),
        "optimization": OPTIMIZATION,
        "augment": AUGMENT,
        "seed": 5,
        "history_path": state_dir.parent / f"{state_dir.name}.csv",
        "log": lambda text: None,
        **changes,
    }
    if arguments.get("mean_teacher"):
        arguments.setdefault("unlabelled", sites(range(140, 200), labelled=False))
    return train(arguments.pop("model", None) or model(), reader or Reader(), state_dir=state_dir, **arguments)


if __name__ == "__main__":
    state_dir, die_at, number = sys.argv[1:]
    run(Path(state_dir), Reader(int(die_at), int(number)), log=print)
