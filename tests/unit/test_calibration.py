"""A known temperature is found again, from out-of-fold wells only."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from cellsignal.calibration import (
    apply_temperature,
    entropy,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from cellsignal.ensemble import WellProbabilities
from cellsignal.errors import BadInput


def overconfident(n: int = 4000, factor: float = 2.5) -> tuple[WellProbabilities, dict[str, int], np.ndarray]:
    """Labels drawn from softmax(logits), probabilities reported as softmax(factor · logits)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (n, 10))
    label = np.array([rng.choice(10, p=p) for p in softmax(logits, axis=1)])
    names = np.array([f"w{i:05d}" for i in range(n)])
    wells = WellProbabilities(names, softmax(factor * logits, axis=1).astype(np.float32), np.full(n, "out_of_fold"))
    return wells, dict(zip(names.tolist(), label.tolist(), strict=True)), label


def test_finds_the_temperature_back() -> None:
    wells, truth, label = overconfident()
    fit = fit_temperature(wells, truth)
    assert fit.temperature == pytest.approx(2.5, rel=0.05)
    assert fit.nll_after < fit.nll_before
    assert fit.wells == 4000
    after = apply_temperature(wells.probability, fit.temperature)
    assert expected_calibration_error(after, label) < 0.03 < expected_calibration_error(wells.probability, label)


def test_agrees_with_a_grid_search() -> None:
    wells, truth, label = overconfident(500, 0.4)
    grid = np.geomspace(0.1, 10, 2000)
    logits = np.log(wells.probability.astype(float))
    losses = [-log_softmax(logits / t, axis=1)[np.arange(500), label].mean() for t in grid]
    assert fit_temperature(wells, truth).temperature == pytest.approx(grid[np.argmin(losses)], rel=0.01)


def test_test_and_control_wells_have_no_say() -> None:
    wells, truth, _ = overconfident(1000)
    alone = fit_temperature(wells, truth).temperature
    others = WellProbabilities(
        np.concatenate([wells.well_id, ["t1", "c1"]]),
        np.concatenate([wells.probability, np.eye(10, dtype=np.float32)[:2]]),
        np.concatenate([wells.role, ["test", "control"]]),
    )
    assert fit_temperature(others, {**truth, "t1": 5, "c1": 5}).temperature == alone
    with pytest.raises(BadInput, match="no out-of-fold wells"):
        fit_temperature(others.of_role("test", "control"), {"t1": 5, "c1": 5})


def test_temperature_keeps_order_and_rows_sum_to_one() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    warm = apply_temperature(p, 2.0)
    np.testing.assert_allclose(warm.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(warm[0], np.sqrt(p[0]) / np.sqrt(p[0]).sum(), rtol=1e-6)
    assert (warm.argmax(axis=1) == p.argmax(axis=1)).all()


def test_reliability_by_loop() -> None:
    rng = np.random.default_rng(1)
    p, truth = softmax(rng.normal(0, 2, (300, 4)), axis=1), rng.integers(0, 4, 300)
    table = reliability(p, truth, bins=10)
    total = 0.0
    for _, row in table.iterrows():
        inside = [i for i in range(300) if row["low"] < p[i].max() <= row["high"]]
        assert row["wells"] == len(inside)
        if inside:
            right = np.mean([p[i].argmax() == truth[i] for i in inside])
            sure = np.mean([p[i].max() for i in inside])
            assert row["accuracy"] == pytest.approx(right)
            assert row["confidence"] == pytest.approx(sure)
            total += abs(right - sure) * len(inside) / 300
    assert table["wells"].sum() == 300
    assert expected_calibration_error(p, truth, bins=10) == pytest.approx(total)


def test_entropy_of_sure_and_at_a_loss() -> None:
    np.testing.assert_allclose(entropy([[1, 0, 0, 0], [0.25] * 4]), [0, np.log(4)], atol=1e-12)
