"""Bands planted into the weights of 1 × 1 convolutions are found, and none where there are none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cellsignal.errors import BadInput
from cellsignal.kernels import find_bands
from cellsignal.tensors import write_tensors
from cellsignal.weights import kernels, templates


def noise(outputs: int = 48, inputs: int = 96) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, (outputs, inputs))


def test_independent_weights_have_no_bands() -> None:
    found = find_bands(noise())
    assert not found.constant.any() and not found.repeated
    assert abs(found.inputs_share) < 0.02 and abs(found.outputs_share) < 0.02


def test_planted_bands_are_found_with_their_period() -> None:
    weights = noise()
    weights[:, 5::12] = np.linspace(-0.1, 0.1, 8)  # each constant over the outputs
    found = find_bands(weights)
    assert np.flatnonzero(found.constant).tolist() == list(range(5, 96, 12))
    assert found.period == 12 and found.repeated
    profile = weights.std(axis=0) - weights.std(axis=0).mean()
    pairs = [profile[i] * profile[i + 12] for i in range(96 - 12)]
    assert found.repetition == pytest.approx(np.mean(pairs) / np.mean(profile**2))
    assert found.inputs_share > 0.05 > abs(found.outputs_share)


def test_dead_inputs_are_constant_bands_that_need_not_repeat() -> None:
    weights = noise()
    dead = [3, 4, 20, 51, 77, 78, 90]
    weights[:, dead] = 0
    found = find_bands(weights)
    assert np.flatnonzero(found.constant).tolist() == dead and not found.repeated


def test_the_share_between_is_all_where_every_input_is_a_band() -> None:
    found = find_bands(np.tile(np.random.default_rng(1).normal(size=40), (16, 1)))
    assert found.inputs_share == pytest.approx(1) and found.constant.all()
    turned = find_bands(np.tile(np.random.default_rng(1).normal(size=(40, 1)), (1, 16)))
    assert turned.outputs_share == pytest.approx(1) and not turned.constant.any()


def test_variance_shares_agree_with_a_one_way_analysis() -> None:
    weights = noise(10, 6) + np.arange(6) * 0.05
    total = ((weights - weights.mean()) ** 2).sum()
    within = sum(((weights[:, j] - weights[:, j].mean()) ** 2).sum() for j in range(6))
    epsilon = (total - within - 5 * within / (6 * 9)) / total
    assert find_bands(weights).inputs_share == pytest.approx(epsilon)


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    tensors = {
        "backbone.stage2.conv.weight": torch.randn(6, 4, 1, 1),
        "backbone.stage10.conv.weight": torch.randn(8, 6, 1, 1),
        "backbone.stage3.attn.fc1.weight": torch.randn(2, 6, 1, 1),
        "backbone.stage1.attn.fc1.weight": torch.randn(2, 6, 1, 1),
        "backbone.stage3.spatial.weight": torch.randn(4, 4, 3, 3),
        "backbone.stage3.depthwise.weight": torch.randn(4, 1, 1, 1),
        "margin_head.weight": torch.randn(5, 3),
        "head.weight": torch.randn(5, 3),
        "head.bias": torch.zeros(5),
    }
    write_tensors(tmp_path / "weights.safetensors", tensors, {})
    return tmp_path / "weights.safetensors"


def test_the_first_and_last_mixing_1x1_convolutions_are_taken_in_the_order_of_their_numbers(weights_file: Path) -> None:
    found = kernels(weights_file)
    assert {name: matrix.shape for name, matrix in found.items()} == {
        "backbone.stage2.conv": (6, 4),
        "backbone.stage10.conv": (8, 6),
    }
    assert list(kernels(weights_file, ["backbone.stage3.attn.fc1"])) == ["backbone.stage3.attn.fc1"]
    with pytest.raises(BadInput, match=r"no 1 × 1 convolution backbone.stage3.spatial .*found .*stage2.conv"):
        kernels(weights_file, ["backbone.stage3.spatial"])


def test_every_head_has_its_templates_the_predicting_one_first(weights_file: Path, tmp_path: Path) -> None:
    found = templates(weights_file)
    assert list(found) == ["head", "margin_head"] and found["head"].shape == (5, 3)
    write_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(BadInput, match=r"no tensor head.weight"):
        templates(tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="not a readable safetensors file"):
        templates(tmp_path / "none.safetensors")
