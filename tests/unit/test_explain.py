"""Grad-CAM finds planted evidence; maps and purities agree with plain computations."""

import numpy as np
import pytest
import torch
from torch import nn

from cellsignal.explain import (
    attention,
    embed_tsne,
    grad_cam,
    last_spatial_layer,
    neighbour_purity,
    stratified_sample,
)

SIZE = 32


class Toy(nn.Module):
    """Class c is the brightness of channel c, looked at through a blur, as the real models return it."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(2, 2, 5, padding=2, groups=2, bias=False)
        self.activation = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2, 2, bias=False)
        nn.init.constant_(self.blur.weight, 0.04)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.pool(self.activation(self.blur(x))).flatten(1)
        return embedding, self.head(embedding)


def planted() -> torch.Tensor:
    """A bright spot at (8, 20) in channel 0, and one at (24, 6) in channel 1."""
    images = torch.zeros(1, 2, SIZE, SIZE)
    images[0, 0, 6:11, 18:23] = 1
    images[0, 1, 22:27, 4:9] = 1
    return images


@pytest.mark.parametrize(("target", "place"), [(0, (8, 20)), (1, (24, 6))])
def test_grad_cam_finds_the_evidence_of_the_class_asked_for(target: int, place: tuple[int, int]) -> None:
    cam = grad_cam(Toy(), planted(), [target])
    assert cam.shape == (1, SIZE, SIZE) and cam.dtype == np.float32
    assert np.unravel_index(cam[0].argmax(), (SIZE, SIZE)) == place
    assert cam.max() == 1 and cam.min() == 0
    rows, columns = np.indices((SIZE, SIZE))
    near = (abs(rows - place[0]) <= 4) & (abs(columns - place[1]) <= 4)
    assert cam[0][near].sum() == pytest.approx(cam[0].sum())  # nothing at the other class's spot


def test_grad_cam_is_the_class_activation_map_where_pooling_and_a_linear_head_follow() -> None:
    # Selvaraju et al. 2017, section 3.1: then the weights are those of the head, up to a constant.
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
    head = nn.Linear(5, 4)
    model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    images = torch.randn(6, 3, 12, 12)
    cams = grad_cam(model, images, [0, 1, 2, 3, 0, 1], batch_size=4)
    with torch.no_grad():
        maps = features(images).numpy()
    for i, target in enumerate([0, 1, 2, 3, 0, 1]):
        expected = np.zeros((12, 12))
        for k in range(5):
            expected += head.weight[target, k].item() * maps[i, k]
        expected = np.maximum(expected, 0)
        largest = expected.max()
        assert cams[i] == pytest.approx(expected / largest if largest > 0 else expected, abs=1e-5)


def test_grad_cam_depends_on_what_the_model_has_learned() -> None:
    # Adebayo et al. 2018: a map that random weights leave alone shows edges, not evidence.
    images = torch.rand(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    learned = grad_cam(Toy(), images, [0]).ravel()
    agreement = []
    for seed in range(12):
        torch.manual_seed(seed)
        random = Toy()
        for parameter in random.parameters():
            nn.init.normal_(parameter)
        changed = grad_cam(random, images, [0]).ravel()
        if changed.any():
            agreement.append(np.corrcoef(learned, changed)[0, 1])
    assert len(agreement) >= 6
    assert max(agreement) < 0.9 and abs(np.mean(agreement)) < 0.4


def test_grad_cam_without_a_target_explains_the_called_class() -> None:
    images = planted()
    images[:, 1] *= 3
    assert grad_cam(Toy(), images).tolist() == grad_cam(Toy(), images, [1]).tolist()


def test_grad_cam_is_zero_where_nothing_speaks_for_the_class() -> None:
    assert not grad_cam(Toy(), torch.zeros(2, 2, SIZE, SIZE), [0, 1]).any()


def test_grad_cam_leaves_the_model_as_it_was_and_needs_no_trainable_weights() -> None:
    model = Toy().train()
    model.requires_grad_(False)
    cam = grad_cam(model, planted(), [0])
    assert cam.max() == 1
    assert model.training and model.head.weight.grad is None
    assert not any(module._forward_hooks for module in model.modules())
    with torch.inference_mode(False), torch.no_grad():
        assert grad_cam(model, planted(), [0]).tolist() == cam.tolist()


def test_the_default_layer_is_the_last_before_pooling() -> None:
    model = Toy()
    assert last_spatial_layer(model, planted()) is model.activation
    chosen = grad_cam(model, planted(), [0], layer=model.blur)
    assert np.unravel_index(chosen[0].argmax(), (SIZE, SIZE)) == (8, 20)
    with pytest.raises(ValueError, match="Flatten has no layer"):
        last_spatial_layer(nn.Flatten(), planted())


def test_attention_is_the_correlation_over_its_largest() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 4, 10, 12), dtype=np.uint8)
    cams = random.random((3, 10, 12)) + images[:, 2] / 255
    images[0, 3] = 9  # a constant channel
    found = attention(cams, images)
    for i in range(3):
        expected = np.zeros(4)
        for c in range(4):
            if images[i, c].std() > 0:
                expected[c] = np.corrcoef(cams[i].ravel(), images[i, c].ravel())[0, 1]
        assert found[i] == pytest.approx(expected / abs(expected).max())
    assert found.argmax(1).tolist() == [2, 2, 2]
    assert found[0, 3] == 0


def test_attention_by_distance_is_largest_for_the_channel_that_equals_the_map() -> None:
    random = np.random.default_rng(0)
    cams = random.random((1, 8, 8))
    images = np.stack([1 - cams[0], 50 + 200 * cams[0], random.random((8, 8))])[None]
    found = attention(cams, images, "distance")[0]
    assert found[1] == 1 and found.argmax() == 1 and found[0] < found[2] < 1


# ---------------------------------------------------------------- embedding


def clusters(n: int = 120, classes: int = 4, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(n) % classes
    centres = random.normal(size=(classes, 16))
    return (centres[labels] + noise * random.normal(size=(n, 16))).astype(np.float32), labels


def test_tsne_keeps_clusters_apart_and_repeats_itself() -> None:
    embedding, labels = clusters()
    result = embed_tsne(embedding, 80, seed=3, strata=labels)
    assert result.points.shape == (80, 2) and result.rows.shape == (80,)
    assert result.trustworthiness > 0.9
    distance = np.linalg.norm(result.points[:, None] - result.points[None], axis=2) + 1e9 * np.eye(80)
    assert (labels[result.rows][distance.argmin(1)] == labels[result.rows]).mean() == 1
    again = embed_tsne(embedding, 80, seed=3, strata=labels)
    assert again.points.tolist() == result.points.tolist()
    assert embed_tsne(embedding, 80, seed=4, strata=labels).rows.tolist() != result.rows.tolist()


def test_tsne_of_few_sites_takes_all() -> None:
    embedding, _ = clusters(12)
    assert embed_tsne(embedding, 4000, seed=0).rows.tolist() == list(range(12))


def test_stratified_sample_represents_every_stratum_by_its_share() -> None:
    strata = ["a"] * 500 + ["b"] * 300 + ["c"] * 190 + ["d"] * 10
    rows = stratified_sample(strata, 100, seed=1)
    assert len(set(rows)) == 100 and sorted(rows) == rows.tolist()
    taken = {s: sum(strata[r] == s for r in rows) for s in "abcd"}
    assert taken == {"a": 50, "b": 30, "c": 19, "d": 1}
    assert stratified_sample(strata, 5000, seed=1).tolist() == list(range(1000))


def test_purity_agrees_with_a_loop_and_leaves_out_the_own_well() -> None:
    embedding, labels = clusters(60, noise=1.0)
    wells = np.arange(60) // 2
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    hits, same, possible = 0, 0, 0
    for i in range(60):
        others = [j for j in range(60) if wells[j] != wells[i]]
        others.sort(key=lambda j: -float(unit[i] @ unit[j]))
        hits += sum(labels[j] == labels[i] for j in others[:5])
        same += sum(labels[j] == labels[i] for j in others)
        possible += len(others)
    share, chance = neighbour_purity(embedding, labels, k=5, apart=wells)
    assert share == pytest.approx(hits / (60 * 5))
    assert chance == pytest.approx(same / possible)


def test_purity_of_random_labels_is_chance() -> None:
    random = np.random.default_rng(0)
    share, chance = neighbour_purity(random.normal(size=(1500, 8)), random.integers(0, 5, 1500))
    assert chance == pytest.approx(0.2, abs=0.01)
    assert share == pytest.approx(chance, abs=0.01)
