"""The model's outputs, and its weights as a file."""

import pytest
import torch
import torch.nn.functional as F

from cellsignal.config.learning import ModelSettings
from cellsignal.errors import BadInput
from cellsignal.models import build_model, load_model, load_weights, save_weights

IMAGES = torch.randn(4, 6, 32, 32, generator=torch.Generator().manual_seed(0))


def settings(**changes) -> ModelSettings:
    return ModelSettings(**{"name": "tiny", "backbone": "resnet10t", **changes})


@pytest.mark.parametrize("head", ["softmax", "arcface", "cosface"])
@pytest.mark.parametrize("embedding", [None, 16])
def test_embedding_and_logits_have_the_stated_shapes(head, embedding):
    model = build_model(settings(head=head, embedding=embedding, dropout=0.2), 6, 11)
    found, logits, _ = model(IMAGES)
    assert found.shape == (4, embedding or 512) and logits.shape == (4, 11)


def test_a_composite_head_has_two_template_matrices_and_predicts_with_the_softmax_one():
    model = build_model(settings(head="composite", embedding=8, scale=20.0), 6, 5, seed=0).eval()
    embedding, logits, margin_logits = model(IMAGES)
    torch.testing.assert_close(logits, embedding @ model.head.weight.T + model.head.bias)
    cosines = F.cosine_similarity(embedding[:, None], model.margin_head.weight[None], dim=2)
    torch.testing.assert_close(margin_logits, 20.0 * cosines, rtol=1e-4, atol=1e-4)
    assert model.head.weight.shape == model.margin_head.weight.shape == (5, 8)
    assert model(IMAGES).at(2).margin_logits.shape == (2, 5)
    assert build_model(settings(), 6, 5)(IMAGES).at(3).margin_logits is None


def test_the_first_places_neck_and_the_cell_type_beside_the_pooled_features():
    model = build_model(settings(neck="mlp", embedding=16, cell_type=True), 6, 5, n_cell_types=4)
    assert [type(layer).__name__ for layer in model.neck] == [
        "BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Linear", "BatchNorm1d",
    ]  # fmt: skip
    assert model.neck[1].in_features == 512 + 4 and model.neck[5].num_features == model.width == 16
    assert model.neck[1].bias is None and model.neck[4].bias is None
    model.eval()
    one, other = (model(IMAGES, torch.eye(4)[[kind] * 4]).embedding for kind in (0, 3))
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="is told the cell type"):
        model(IMAGES)
    without_neck = build_model(settings(cell_type=True), 6, 5, n_cell_types=2)
    assert without_neck(IMAGES, torch.eye(2)[[0, 1, 0, 1]]).embedding.shape == (4, 514)
    with pytest.raises(ValueError, match="embedding: missing, but neck is mlp"):
        settings(neck="mlp")


def test_arcface_logits_are_scaled_cosines_and_bounded_by_the_scale():
    model = build_model(settings(scale=20.0, embedding=8), 6, 5).eval()
    embedding, logits, _ = model(IMAGES)
    by_hand = 20.0 * F.cosine_similarity(embedding[:, None], model.head.weight[None], dim=2)
    torch.testing.assert_close(logits, by_hand, rtol=1e-4, atol=1e-4)
    assert logits.abs().max() <= 20.0


def test_weights_come_back_with_their_buffers_and_in_the_same_bytes(tmp_path):
    model = build_model(settings(embedding=8), 6, 5)
    model(IMAGES)  # moves BatchNorm's buffers
    save_weights(model, tmp_path / "a.safetensors")
    again = load_model(settings(embedding=8, pretrained="/not/there"), 6, 5, tmp_path / "a.safetensors")
    save_weights(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert torch.equal(model.eval()(IMAGES)[1], again.eval()(IMAGES)[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_weights_of_another_model_are_refused_naming_what_differs(tmp_path):
    save_weights(build_model(settings(), 6, 5), tmp_path / "w.safetensors")
    with pytest.raises(BadInput) as error:
        load_weights(build_model(settings(head="softmax"), 5, 9), tmp_path / "w.safetensors")
    for words in (
        "head is arcface, expected softmax",
        "n_channels is 6, expected 5",
        "n_classes is 5, expected 9",
    ):
        assert words in str(error.value)


def test_half_a_file_and_a_file_of_another_origin_are_refused(tmp_path):
    model, path = build_model(settings(), 6, 5), tmp_path / "w.safetensors"
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput, match="not a readable safetensors file"):
        load_weights(model, path)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="without a cellsignal note"):
        load_weights(model, path)


def test_the_seed_or_else_the_global_generator_decides_the_initial_weights():
    torch.manual_seed(0)
    a, b, c = (build_model(settings(), 6, 5, seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    d, e = build_model(settings(), 6, 5).head.weight, build_model(settings(), 6, 5).head.weight
    torch.manual_seed(0)
    assert torch.equal(build_model(settings(), 6, 5).head.weight, d) and not torch.equal(d, e)
