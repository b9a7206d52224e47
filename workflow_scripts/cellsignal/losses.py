"""Losses: what turns logits and classes into the number that training lowers.

A new loss is a function (logits, target, model settings) → logits that enter the cross entropy, and one
line in `LOGITS_FOR_LOSS`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cellsignal.config.learning import ModelSettings

EPSILON = 1e-7  # keeps the gradient of sin θ = sqrt(1 - cos² θ) finite at θ = 0


def arcface_logits(logits: Tensor, target: Tensor, scale: float, margin: float) -> Tensor:
    """Add the angular margin to the true class's logit: s·cos θ_y → s·cos(θ_y + m).

    `logits` (n, classes) are s·cos θ, `target` (n,) int64; `scale` is s, `margin` m in radians. Where
    θ_y + m > π, cos(θ_y + m) would rise again; there s·(cos θ_y - m·sin m) takes over, which keeps falling
    (Deng et al. 2019, and their code).
    """
    cosine = logits.gather(1, target[:, None]) / scale
    sine = (1.0 - cosine.square()).clamp(min=EPSILON).sqrt()
    with_margin = cosine * math.cos(margin) - sine * math.sin(margin)
    with_margin = torch.where(cosine > -math.cos(margin), with_margin, cosine - margin * math.sin(margin))
    return logits.scatter(1, target[:, None], (scale * with_margin).to(logits.dtype))


LOGITS_FOR_LOSS: dict[str, Callable[[Tensor, Tensor, ModelSettings], Tensor]] = {
    "softmax": lambda logits, target, model: logits,
    "arcface": lambda logits, target, model: arcface_logits(logits, target, model.scale, model.margin),
}


def classification_loss(
    logits: Tensor,
    target: Tensor,
    model: ModelSettings,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Weighted cross entropy of a batch, after the model's margin: (1/N) Σ w_i·l_i, N the batch size.

    Dividing by N rather than by Σ w_i keeps a batch of pseudo-labels (w = 0.05) as quiet as it should be.
    """
    entering = LOGITS_FOR_LOSS[model.head](logits.float(), target, model)
    losses = F.cross_entropy(entering, target, reduction="none", label_smoothing=label_smoothing)
    return (losses if weight is None else losses * weight).mean()


def consistency_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over sites and classes of the squared difference of softmax outputs; no gradient to the teacher."""
    return F.mse_loss(student.float().softmax(1), teacher.detach().float().softmax(1))
