"""Grad-CAM finds planted evidence, and agrees with plain computations and with captum."""

import copy

import numpy as np
import pytest
import torch
from captum import attr
from torch import nn

from cellsignal.attention import attention, concordance
from cellsignal.errors import BadInput
from cellsignal.explain import checked_layer, grad_cam, last_spatial_layer, layer_name

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


@pytest.mark.parametrize("name", ["blurr", "", "head"])
def test_a_layer_without_a_feature_map_is_named_with_those_that_have_one(name: str) -> None:
    model = Toy().eval()
    assert checked_layer(model, "blur", planted()) == "blur"
    with pytest.raises(BadInput, match=rf"report.grad_cam_layer: '{name}' is no layer .* expected one of .*activation"):
        checked_layer(model, name, planted())


def test_attention_is_the_correlation_over_its_largest() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 4, 10, 12), dtype=np.uint8)
    cams = random.random((3, 10, 12)) + images[:, 2] / 255
    images[0, 3] = 9  # a constant channel
    cams[2] = 0  # nothing speaks for the class
    raw = concordance(cams, images)
    found = attention(raw)
    assert np.isnan(raw[2]).all() and np.isnan(found[2]).all()
    for i in range(2):
        expected = np.zeros(4)
        for c in range(4):
            if images[i, c].std() > 0:
                expected[c] = np.corrcoef(cams[i].ravel(), images[i, c].ravel())[0, 1]
        assert raw[i] == pytest.approx(expected)
        assert found[i] == pytest.approx(expected / abs(expected).max())
    assert found[:2].argmax(1).tolist() == [2, 2]
    assert found[0, 3] == 0


def test_attention_by_distance_is_largest_for_the_channel_that_equals_the_map() -> None:
    random = np.random.default_rng(0)
    cams = random.random((1, 8, 8))
    images = np.stack([1 - cams[0], 50 + 200 * cams[0], random.random((8, 8))])[None]
    found = attention(concordance(cams, images, "distance"))[0]
    assert found[1] == 1 and found.argmax() == 1 and found[0] < found[2] < 1


class Network(nn.Module):
    """A small network with batch normalization and a nonlinear head, told the cell type, as the real ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.features = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1)
        )
        self.neck = nn.Sequential(nn.Linear(12 + 4, 16), nn.ReLU())
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor, cell_type: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        pooled = self.features(x).relu().mean((2, 3))
        embedding = self.neck(torch.cat([pooled, cell_type], 1))
        return embedding, self.head(embedding), None


def test_grad_cam_is_captums() -> None:
    model = Network().eval()
    images = torch.randn(5, 6, 24, 24, generator=torch.Generator().manual_seed(0))
    told = torch.eye(4)[[0, 1, 2, 3, 0]]
    targets = [0, 1, 2, 3, 4]
    theirs = attr.LayerGradCam(lambda *inputs: model(*inputs)[1], model.features[4])
    expected = theirs.attribute((images, told), torch.tensor(targets), relu_attributions=True)
    expected = attr.LayerAttribution.interpolate(expected, (24, 24), "bilinear").detach().numpy()[:, 0]
    ours = grad_cam(model, images, targets, layer=model.features[4], batch_size=2, told=told)
    largest = expected.max((1, 2), keepdims=True)
    assert (largest > 0).sum() >= 3  # maps that are not empty
    np.testing.assert_allclose(ours, expected / np.where(largest > 0, largest, 1), atol=1e-5)


def test_the_layer_has_the_name_that_finds_it_again() -> None:
    model, told = Network().eval(), torch.eye(4)[:1]
    name = layer_name(model, torch.zeros(1, 6, 24, 24), told)
    assert name == "features" and model.get_submodule(name) is model.features


def trained_on_a_planted_channel() -> tuple[nn.Module, torch.Tensor, torch.Tensor, np.ndarray]:
    """A network that tells two classes apart by a spot in channel 2 or 4, beside a decoy as bright in channel 0."""
    random = torch.Generator().manual_seed(1)
    images = 0.2 * torch.randn(96, 6, 24, 24, generator=random)
    target = torch.arange(96) % 2
    places = torch.randint(3, 20, (96, 2), generator=random)
    for i in range(96):
        y, x = places[i].tolist()
        images[i, 2 if target[i] == 0 else 4, y - 2 : y + 3, x - 2 : x + 3] += 2.0
        v, u = (y + 11) % 17 + 3, (x + 11) % 17 + 3
        images[i, 0, v - 2 : v + 3, u - 2 : u + 3] += 2.0
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(images).argmax(1) == target).float().mean() > 0.95
    return model, images, target, places.numpy()


def test_a_trained_network_finds_the_place_and_the_channel_of_planted_evidence_and_a_random_one_does_not() -> None:
    model, images, target, places = trained_on_a_planted_channel()

    def found(network: nn.Module) -> tuple[float, float]:
        """Share of images whose map is strongest on the planted spot, and whose channel attention is largest there."""
        maps = grad_cam(network, images, target, layer=network[3])
        peaks = np.array([np.unravel_index(one.argmax(), one.shape) for one in maps])
        there = (np.abs(peaks - places) <= 3).all(1).mean()
        channels = np.nan_to_num(concordance(maps, images.numpy()), nan=-1).argmax(1)
        return float(there), float((channels == np.where(target.numpy() == 0, 2, 4)).mean())

    place, channel = found(model)
    assert place > 0.9 and channel > 0.9
    # Adebayo et al. 2018: with randomized weights the maps must change. Some networks are right by luck.
    by_chance = []
    for seed in range(8):
        torch.manual_seed(seed)
        random = copy.deepcopy(model)
        for layer in random:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        by_chance.append(found(random))
    assert np.mean(by_chance) < 0.6
    assert np.median([min(shares) for shares in by_chance]) < 0.5
