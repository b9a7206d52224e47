"""Losses: what turns logits and labels into the number that training lowers.

Labels are soft, (n, classes) with rows that sum to 1: a mixed image has two classes. A new margin is a
function (logits, model settings) → logits that a class has where it is the true one, and one line in
`MARGINS`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cellsignal.config.learning import ModelSettings

EPSILON = 1e-7  # keeps the gradient of sin θ = sqrt(1 - cos² θ) finite at θ = 0


def soft_labels(target: Tensor, n_classes: int) -> Tensor:
    """Class indices (n,) int64 as labels (n, n_classes) float32: 1 for the class, 0 elsewhere."""
    return F.one_hot(target, n_classes).float()


def arcface(logits: Tensor, scale: float, margin: float) -> Tensor:
    """Logits s·cos θ with the angular margin: s·cos(θ + m); `scale` is s, `margin` m in radians.

    Where θ + m > π, cos(θ + m) would rise again; there s·(cos θ - m·sin m) takes over, which keeps falling
    (Deng et al. 2019, and their code).
    """
    cosine = logits / scale
    sine = (1.0 - cosine.square()).clamp(min=EPSILON).sqrt()
    with_margin = cosine * math.cos(margin) - sine * math.sin(margin)
    return scale * torch.where(cosine > -math.cos(margin), with_margin, cosine - margin * math.sin(margin))


def cosface(logits: Tensor, scale: float, margin: float) -> Tensor:
    """Logits s·cos θ with the margin on the cosine: s·(cos θ - m) (Wang et al. 2018, eq. 4)."""
    return logits - scale * margin


MARGINS: dict[str, Callable[[Tensor, float, float], Tensor]] = {"arcface": arcface, "cosface": cosface}


def with_margin(logits: Tensor, labels: Tensor, head: str, model: ModelSettings) -> Tensor:
    """Logits that enter the cross entropy: the true class's carry the margin of `head`, if it has one.

    Of two mixed classes, each carries the share of the margin that it has of the label (first place's code).
    """
    if head not in MARGINS:
        return logits
    return logits.lerp(MARGINS[head](logits, model.scale, model.margin), labels)


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, focal: float = 0.0) -> Tensor:
    """Σ_k y_k·(-log p_k) of each site (n,); with `focal` γ, Σ_k y_k·(1 - p_k)^γ·(-log p_k) (Lin et al. 2017).

    Rows of `labels` y may have any sum, which weighs the site. Smoothing spreads a share of that sum over all classes.
    """
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + labels.sum(1, keepdim=True) * (label_smoothing / labels.shape[1])
    log_p = logits.log_softmax(1)
    if focal:
        labels = labels * (1.0 - log_p.exp()).pow(focal)
    return -(labels * log_p).sum(1)


def classification_loss(
    logits: Tensor,
    labels: Tensor,
    model: ModelSettings,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    focal: float = 0.0,
    margin_logits: Tensor | None = None,
    count: int | None = None,
    margin: bool = True,
) -> Tensor:
    """Weighted loss of a batch under the model's head: (1/N) Σ_i Σ_k w_ik·y_ik·l_ik.

    Dividing by N rather than by Σ w keeps a batch of pseudo-labels (w = 0.05) as quiet as it should be. A
    composite head's loss is a·CE(`logits`) + b·ArcFace(`margin_logits`), with [a, b] = `model.composite`.

    Args:
        logits: (n, classes), and `margin_logits` likewise for a composite head.
        labels: (n, classes), y; rows sum to 1.
        weight: w, (n,) or, for mixed labels of unlike weight, (n, classes); None: 1. A class without weight has no
            part in the loss, nor in the margin.
        count: N; default: n.
        margin: False: cross entropy of `logits` alone, without the head's margin.
    """
    if weight is not None:
        weight = weight[:, None] if weight.ndim == 1 else weight
        labels, targets = labels * (weight > 0), labels * weight
    else:
        targets = labels

    def losses(logits: Tensor, head: str) -> Tensor:
        return cross_entropy(with_margin(logits.float(), labels, head, model), targets, label_smoothing, focal)

    if not margin:
        every = losses(logits, "softmax")
    elif margin_logits is None:
        every = losses(logits, model.head)
    else:
        plain, of_margin = model.composite
        every = plain * losses(logits, "softmax") + of_margin * losses(margin_logits, "arcface")
    return every.sum() / (len(logits) if count is None else count)


def consistency_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over sites and classes of the squared difference of softmax outputs; no gradient to the teacher."""
    return F.mse_loss(student.float().softmax(1), teacher.detach().float().softmax(1))
