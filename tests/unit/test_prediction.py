"""Predictions are means over views, site by site, in the order asked."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_training as tiny
import torch

from cellsignal.config.learning import PredictSettings
from cellsignal.prediction import predict

ROWS = np.array([7, 3, 150, 3, 42])
SITES = tiny.sites(ROWS)


@pytest.mark.parametrize("views", [1, 4, 8])
def test_logits_are_the_log_of_the_mean_softmax_over_views_and_embeddings_their_mean(views):
    model, reader = tiny.model().eval(), tiny.Reader()
    model.train()
    logits, embedding = predict(model, reader, SITES, PredictSettings(views=views, batch_size=2))
    assert not model.training
    assert logits.dtype == embedding.dtype == np.float32
    assert logits.shape == (5, 4) and embedding.shape == (5, 8)
    images = (reader.pixels[ROWS].astype(np.float32) - 90) / 30
    turned = [np.rot90(images, k, (2, 3)) for k in range(4)]
    turned = (turned + [view[..., ::-1] for view in turned])[:views]
    with torch.no_grad():
        found = [model(torch.from_numpy(view.copy())) for view in turned]
    probability = np.mean([score.softmax(1).numpy() for _, score, _ in found], 0)
    np.testing.assert_allclose(np.exp(logits), probability, rtol=1e-4)
    np.testing.assert_allclose(np.exp(logits).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(embedding, np.mean([e.numpy() for e, _, _ in found], 0), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(logits[1], logits[3])  # the same site, asked for twice


def test_all_eight_views_make_the_prediction_blind_to_turning():
    model, reader = tiny.model(), tiny.Reader()
    before, _ = predict(model, reader, SITES, PredictSettings(views=8))
    reader.pixels = np.rot90(reader.pixels, 1, (2, 3)).copy()
    after, _ = predict(model, reader, SITES, PredictSettings(views=8))
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)


def test_batches_do_not_matter_and_progress_is_told():
    told = []
    model = tiny.model()
    small = predict(model, tiny.Reader(), SITES, PredictSettings(batch_size=2), lambda *now: told.append(now))
    large = predict(model, tiny.Reader(), SITES, PredictSettings(batch_size=100))
    np.testing.assert_allclose(small[0], large[0], rtol=1e-4, atol=1e-4)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_sixteen_bit_pixels_and_no_sites_at_all():
    model, reader = tiny.model(), tiny.Reader()
    eight, _ = predict(model, reader, SITES, PredictSettings())
    reader.pixels = reader.pixels.astype(np.uint16) * 257
    sixteen, _ = predict(model, reader, replace(SITES, mean=SITES.mean * 257, std=SITES.std * 257), PredictSettings())
    np.testing.assert_allclose(eight, sixteen, rtol=1e-3, atol=1e-3)
    logits, embedding = predict(model, reader, tiny.sites(ROWS[:0]), PredictSettings())
    assert logits.shape == (0, 4) and embedding.shape == (0, 8)
