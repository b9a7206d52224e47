"""Losses against plain NumPy loops."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss

from cellsignal.config.learning import ModelSettings
from cellsignal.losses import arcface, classification_loss, consistency_loss, soft_labels
from cellsignal.models import CosineHead

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


@pytest.mark.parametrize(("head", "margin", "theirs"), [
    ("arcface", 0.1, ArcFaceLoss(7, 16, margin=math.degrees(0.1), scale=30)),
    ("arcface", 0.5, ArcFaceLoss(7, 16, margin=math.degrees(0.5), scale=30)),
    ("cosface", 0.35, CosFaceLoss(7, 16, margin=0.35, scale=30)),
])  # fmt: skip
def test_margins_and_their_gradients_are_those_of_pytorch_metric_learning(head, margin, theirs):
    random = torch.Generator().manual_seed(0)
    embedding = torch.randn(40, 16, generator=random)
    target = torch.randint(0, 7, (40,), generator=random)
    ours = CosineHead(16, 7, scale=30.0)
    with torch.no_grad():
        ours.weight.copy_(torch.randn(7, 16, generator=random))
        embedding[0] = -ours.weight[target[0]] + 0.05  # θ + m > π
        theirs.W.copy_(ours.weight.T)
    settings = ARCFACE.model_copy(update={"head": head, "margin": margin})
    gradients = []
    for loss_of in (
        lambda x: classification_loss(ours(x), labels(target), settings),
        lambda x: theirs(x, target),
    ):
        x = embedding.clone().requires_grad_()
        loss = loss_of(x)
        gradients.append((loss.item(), torch.autograd.grad(loss, x)[0]))
    (our_loss, our_gradient), (their_loss, their_gradient) = gradients
    assert our_loss == pytest.approx(their_loss, rel=1e-5)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-3, atol=1e-6)


def test_of_mixed_labels_each_class_carries_its_share_of_the_margin():
    random = np.random.default_rng(0)
    cosines, soft = random.uniform(-0.85, 0.85, (5, 7)), random.dirichlet(np.ones(7) * 0.2, 5)
    expected = 0.0
    for row, share in zip(cosines, soft, strict=True):
        logits = [30 * (y * math.cos(math.acos(c) + 0.5) + (1 - y) * c) for c, y in zip(row, share, strict=True)]
        norm = math.log(sum(math.exp(logit) for logit in logits))
        expected -= sum(y * (logit - norm) for logit, y in zip(logits, share, strict=True)) / 5
    loss = classification_loss(
        torch.tensor(30 * cosines, dtype=torch.float32), torch.tensor(soft, dtype=torch.float32), ARCFACE
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_mixed_labels_of_a_softmax_head_are_the_weighted_sum_of_both_losses():
    softmax = ARCFACE.model_copy(update={"head": "softmax"})
    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    one, other = labels([0, 1, 2, 3, 4, 5]), labels([6, 6, 0, 0, 1, 1])
    both = [classification_loss(logits, target, softmax).item() for target in (one, other)]
    mixed = classification_loss(logits, 0.3 * one + 0.7 * other, softmax).item()
    assert mixed == pytest.approx(0.3 * both[0] + 0.7 * both[1], rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_loss_by_loop_and_without_gamma_cross_entropy(gamma):
    softmax = ARCFACE.model_copy(update={"head": "softmax"})
    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    target = [0, 1, 2, 3, 4, 4]
    expected = 0.0
    for row, y in zip(logits.tolist(), target, strict=True):
        p = math.exp(row[y]) / sum(math.exp(value) for value in row)
        expected -= (1 - p) ** gamma * math.log(p) / 6
    found = classification_loss(logits, labels(target), softmax, focal=gamma)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_composite_loss_is_the_weighted_sum_and_each_head_learns_from_its_own_part():
    composite = ARCFACE.model_copy(update={"head": "composite", "composite": [0.8, 0.1]})
    logits, cosines = (torch.randn(6, 7, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    cosines = 30 * cosines.tanh()
    target = labels([0, 1, 2, 3, 4, 5])
    softmax = classification_loss(logits, target, ARCFACE.model_copy(update={"head": "softmax"}))
    margin = classification_loss(cosines, target, ARCFACE)
    logits.requires_grad_()
    loss = classification_loss(logits, target, composite, margin_logits=cosines)
    assert loss.item() == pytest.approx(0.8 * softmax.item() + 0.1 * margin.item(), rel=1e-6)
    expected = 0.8 * (logits.softmax(1) - target) / 6  # of the softmax part alone
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], expected.detach())
