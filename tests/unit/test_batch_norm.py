"""BatchNorm with a plate's own statistics takes the plate out, and leaves the model as it was."""

import numpy as np
import pytest
import tiny_training as tiny
import torch
from torch import nn

from cellsignal.batch_norm import even_parts, statistics_of
from cellsignal.config.learning import PredictSettings
from cellsignal.loader import TrainingSites
from cellsignal.prediction import predict

PLATES = np.repeat([4, 9], [30, 25])


def by_plate(rows: range, plate: np.ndarray, std: float = 30.0) -> TrainingSites:
    plain = tiny.sites(rows)
    return TrainingSites(plain.rows, plain.target, plain.weight, plain.mean, plain.std / 30.0 * std, plate=plate)


def trained() -> nn.Module:
    """The tiny model after a few batches: its running statistics are not the initial ones."""
    model = tiny.model()
    for seed in range(5):
        model(torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(seed)))
    return model.eval()


def test_one_layer_is_standardized_by_the_mean_over_batches_of_their_mean_and_variance():
    layer = nn.BatchNorm2d(3)
    layer.running_mean.fill_(7.0)
    first, second = (3 + 2 * torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    parts = [x.permute(1, 0, 2, 3).reshape(3, -1).numpy() for x in (first, second)]
    mean = np.mean([part.mean(1) for part in parts], 0)
    variance = np.mean([part.var(1, ddof=1) for part in parts], 0)
    expected = (first.numpy() - mean[:, None, None]) / np.sqrt(variance[:, None, None] + layer.eps)
    with statistics_of(layer, [(first,), (second,)]), torch.no_grad():
        np.testing.assert_allclose(layer(first).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (layer.running_mean == 7).all() and layer.training and layer.momentum == 0.1


def test_the_model_has_its_own_statistics_back_also_after_an_error():
    model = trained()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    with pytest.raises(RuntimeError, match="stop"), statistics_of(model, [(images,)]):
        assert not torch.equal(model.backbone.bn1.running_mean, before["backbone.bn1.running_mean"])
        assert not any(layer.training for layer in model.modules())
        raise RuntimeError("stop")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not model.training


def test_a_plates_prediction_is_that_of_the_plate_alone():
    model, reader = trained(), tiny.Reader()
    settings = PredictSettings(views=1, batch_size=40, batch_norm="plate")
    both, _ = predict(model, reader, by_plate(range(55), PLATES), settings)
    for plate in (4, 9):
        rows = np.flatnonzero(plate == PLATES)
        alone, _ = predict(model, reader, by_plate(range(rows[0], rows[-1] + 1), PLATES[rows]), settings)
        np.testing.assert_array_equal(both[rows], alone)
    mixed, _ = predict(model, reader, by_plate(range(55), PLATES), PredictSettings(views=1, batch_size=40))
    assert np.abs(mixed - both).max() > 0.01


def test_a_plate_that_is_stained_twice_as_bright_is_predicted_alike():
    model, reader = trained(), tiny.Reader()
    settings = PredictSettings(views=1, batch_size=64, batch_norm="plate")
    plain, bright = (predict(model, reader, by_plate(range(55), PLATES, std), settings)[0] for std in (30.0, 15.0))
    np.testing.assert_allclose(bright, plain, atol=2e-3)
    plain, bright = (
        predict(model, reader, by_plate(range(55), PLATES, std), PredictSettings(views=1))[0] for std in (30.0, 15.0)
    )
    assert np.abs(bright - plain).max() > 0.1  # with the statistics of training it is not


def test_a_plate_of_one_site_keeps_the_statistics_of_training():
    model, reader = trained(), tiny.Reader()
    single = PredictSettings(views=1, batch_norm="plate")
    found, _ = predict(model, reader, by_plate(range(3), np.arange(3)), single)
    plain, _ = predict(model, reader, tiny.sites(range(3)), PredictSettings(views=1, batch_size=1))
    np.testing.assert_array_equal(found, np.concatenate([plain[:3]]))


def test_parts_are_even_and_hold_two_at_least():
    for n in range(2, 60):
        for size in (1, 2, 7, 16):
            parts = even_parts(n, size)
            assert np.concatenate(parts).tolist() == list(range(n))
            lengths = [len(part) for part in parts]
            assert min(lengths) >= 2 and max(lengths) - min(lengths) <= 1
            assert max(lengths) <= max(size, 3)
