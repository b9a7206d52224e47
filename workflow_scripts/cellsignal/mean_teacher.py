"""Mean teacher (Tarvainen & Valpola 2017): a slow average of the student, which it should agree with."""

import copy
import math

import torch
from torch import Tensor

from cellsignal.config.learning import MeanTeacher
from cellsignal.models import PerturbationModel


class Teacher:
    """Exponential moving average of a student's parameters and buffers.

    It is kept in evaluation mode: what it predicts for the student to follow is what it predicts in the end.
    BatchNorm's running statistics are averaged like the weights (DeepNoise's code left them behind).
    """

    def __init__(self, student: PerturbationModel, settings: MeanTeacher) -> None:
        self.settings = settings
        self.model = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor, *cell_type: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w), and cell types if it is told, without gradient."""
        logits: Tensor = self.model(images, *cell_type).logits
        return logits

    def update(self, student: PerturbationModel, progress: float, epoch: float) -> None:
        """teacher ← a·teacher + (1 - a)·student, with the decay a of `progress` (0-1 of the run) or of `epoch`."""
        average(self.model, student, decay(progress, epoch, self.settings))


@torch.no_grad()
def average(teacher: PerturbationModel, student: PerturbationModel, a: float) -> None:
    """teacher ← a·teacher + (1 - a)·student for all parameters and buffers; whole numbers are copied."""
    ours, theirs = teacher.state_dict(), student.state_dict()
    floating = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([ours[name] for name in floating], [theirs[name] for name in floating], 1.0 - a)
    for name in ours.keys() - set(floating):
        ours[name].copy_(theirs[name])


def decay(progress: float, epoch: float, settings: MeanTeacher) -> float:
    """The decay a of the last reached entry of `settings.decay` (by `progress`, 0-1) or `decay_epochs`; none: 0."""
    at, steps = (epoch, settings.decay_epochs) if settings.decay is None else (progress, settings.decay)
    reached = [a for start, a in steps or [] if at >= start - 1e-9]
    return reached[-1] if reached else 0.0


def consistency_weight(epoch: float, settings: MeanTeacher) -> float:
    """Weight of the consistency loss, exp(-5·(1 - t)²) of the full one, with t = epoch / ramp_epochs up to 1."""
    t = min(1.0, epoch / settings.ramp_epochs) if settings.ramp_epochs else 1.0
    return settings.consistency * math.exp(-5.0 * (1.0 - t) ** 2)
