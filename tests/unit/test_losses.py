"""Losses against plain NumPy loops."""

import math

import numpy as np
import pytest
import torch

from cellsignal.config.learning import ModelSettings
from cellsignal.losses import arcface, classification_loss, consistency_loss, soft_labels

ARCFACE = ModelSettings(name="a", backbone="resnet10t", head="arcface", scale=30.0, margin=0.5)


def labels(target, classes: int = 7) -> torch.Tensor:
    return soft_labels(torch.as_tensor(target), classes)


def arcface_by_loop(cosines: np.ndarray, target: np.ndarray, weight: np.ndarray, s: float, m: float) -> float:
    total = 0.0
    for row, y, w in zip(cosines, target, weight, strict=True):
        theta = math.acos(row[y])
        true = math.cos(theta + m) if theta + m < math.pi else row[y] - m * math.sin(m)
        others = sum(math.exp(s * c) for j, c in enumerate(row) if j != y)
        total += -w * math.log(math.exp(s * true) / (math.exp(s * true) + others))
    return total / len(target)


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_arcface_is_the_published_formula(margin):
    random = np.random.default_rng(0)
    cosines = random.uniform(-0.99, 0.99, (40, 7))
    target, weight = random.integers(0, 7, 40), random.uniform(0, 1, 40)
    cosines[0, target[0]] = -0.999  # θ + m > π
    settings = ARCFACE.model_copy(update={"margin": margin})
    loss = classification_loss(
        torch.tensor(30 * cosines, dtype=torch.float32), labels(target), settings, torch.tensor(weight)
    )
    assert loss.item() == pytest.approx(arcface_by_loop(cosines, target, weight, 30.0, margin), rel=1e-4)


def test_the_margin_never_rewards_a_larger_angle():
    theta = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    logits = torch.stack([30 * theta.cos(), torch.zeros(1001, dtype=torch.float64)], 1)
    true = arcface(logits, 30.0, 0.5)[:, 0]
    assert (true.diff() < 1e-9).all()
    assert (true <= logits[:, 0]).all()


def test_the_gradient_is_finite_at_perfect_agreement():
    logits = torch.tensor([[30.0, -30.0]], requires_grad=True)
    classification_loss(logits, labels([0], 2), ARCFACE).backward()
    assert torch.isfinite(logits.grad).all()


def test_softmax_with_smoothing_and_weights():
    softmax = ARCFACE.model_copy(update={"head": "softmax"})
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    probabilities = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    smooth = np.full((2, 3), 0.1 / 3)
    smooth[0, 0] += 0.9
    smooth[1, 2] += 0.9
    expected = -(smooth * np.log(probabilities)).sum(1)
    weight = np.array([1.0, 0.05])
    loss = classification_loss(logits, labels([0, 2], 3), softmax, torch.tensor(weight), label_smoothing=0.1)
    assert loss.item() == pytest.approx((expected * weight).sum() / 2, rel=1e-5)


def test_consistency_is_the_mean_square_of_probabilities_without_gradient_to_the_teacher():
    student = torch.tensor([[1.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 0.0]], requires_grad=True)
    loss = consistency_loss(student, teacher)
    p = math.e / (math.e + 1)
    assert loss.item() == pytest.approx(((p - 0.5) ** 2 + (1 - p - 0.5) ** 2) / 2, rel=1e-5)
    loss.backward()
    assert teacher.grad is None and student.grad is not None
