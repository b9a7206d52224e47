"""Intervals over resampled experiments: against SciPy, against a loop, and where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellsignal.intervals import expanded_level, in_words, interval, resampled, told


def correlated(groups: int, seed: int, wells: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Wells of experiments whose own accuracies scatter about 0.7 (beta distribution, sd 0.1): right, experiment."""
    random = np.random.default_rng(seed)
    share = random.beta(14, 6, groups)
    return (random.random((groups, wells)) < share[:, None]).ravel(), np.repeat(np.arange(groups), wells)


def wilson(right: np.ndarray) -> tuple[float, float]:
    found = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return found.low, found.high


@pytest.mark.parametrize("groups", [5, 9, 33])
def test_agrees_with_scipys_bootstrap_of_whole_experiments(groups: int) -> None:
    right, group = correlated(groups, seed=groups)
    keep = np.random.default_rng(1).random(len(right)) < 0.8  # experiments of different sizes
    right, group = right[keep], group[keep]
    correct = np.array([right[group == g].sum() for g in range(groups)], dtype=float)
    total = np.array([(group == g).sum() for g in range(groups)], dtype=float)
    found = stats.bootstrap(
        (correct, total), lambda c, n, axis: c.sum(axis) / n.sum(axis), paired=True, vectorized=True,
        method="percentile", confidence_level=1 - 2 * expanded_level(groups), n_resamples=40_000, rng=7,
    ).confidence_interval  # fmt: skip
    width = found.high - found.low
    assert resampled(right, group) == pytest.approx((found.low, found.high), abs=0.06 * width)
    assert resampled(right, group) == resampled(right, group)


def test_a_loop_that_draws_whole_experiments_gives_the_same_quantiles() -> None:
    right, group = correlated(7, seed=3)
    random, shares = np.random.default_rng(5), []
    for _ in range(5000):
        drawn = [right[group == g] for g in random.integers(0, 7, 7)]
        shares.append(np.concatenate(drawn).mean())
    level = stats.norm.cdf(stats.t.ppf(0.025, 6) * np.sqrt(7 / 6))  # Hesterberg's levels
    low, high = resampled(right, group)
    assert (low, high) == pytest.approx(np.quantile(shares, [level, 1 - level]), abs=0.01)


def test_levels_are_the_usual_ones_of_many_experiments_and_wider_of_few() -> None:
    assert expanded_level(100_000) == pytest.approx(0.025, abs=1e-5)
    assert expanded_level(33) == pytest.approx(0.0193, abs=5e-4)
    assert expanded_level(5) == pytest.approx(9.5e-4, abs=5e-5)


@pytest.mark.parametrize(("groups", "least"), [(8, 0.90), (18, 0.91)])
def test_it_covers_the_truth_where_wells_of_an_experiment_are_alike_and_wilson_does_not(
    groups: int, least: float
) -> None:
    covers, wilson_covers = 0, 0
    for seed in range(300):
        right, group = correlated(groups, seed)
        low, high = resampled(right, group)
        covers += low <= 0.7 <= high
        low, high = wilson(right)
        wilson_covers += low <= 0.7 <= high
    assert covers / 300 > least
    assert wilson_covers / 300 < 0.7


def test_it_is_no_wider_than_wilson_by_much_where_wells_are_independent() -> None:
    random = np.random.default_rng(0)
    widths = []
    for _ in range(50):
        right = random.random(2000) < 0.7
        low, high = resampled(right, np.repeat(np.arange(20), 100))
        below, above = wilson(right)
        widths.append((high - low) / (above - below))
    assert np.mean(widths) == pytest.approx(1.05, abs=0.12)


def table(plates: dict[str, list[str]], wells: int = 4) -> pd.DataFrame:
    rows = [(e, p) for e, of_e in plates.items() for p in of_e for _ in range(wells)]
    return pd.DataFrame(rows, columns=["experiment", "plate_id"])


def test_few_experiments_have_their_range_one_its_plates_and_one_plate_nothing() -> None:
    of_three = table({"A": ["A1"], "B": ["B1", "B2"], "C": ["C1"]})
    right = np.array([*[1] * 4, *[1, 1, 1, 0, 0, 0, 0, 0], *[1, 1, 0, 0]], dtype=bool)
    found = interval(right, of_three)
    assert (found.low, found.high, found.groups, found.unit) == (3 / 8, 1.0, 3, "experiment")
    assert in_words(found.groups, found.unit) == "range of 3 experiments"
    of_one = table({"A": ["A1", "A2"]})
    found = interval([1, 1, 1, 0, 1, 0, 0, 0], of_one)
    assert (found.low, found.high, found.groups, found.unit) == (0.25, 0.75, 2, "plate")
    found = interval([1, 0, 0, 0], table({"A": ["A1"]}))
    assert np.isnan([found.low, found.high]).all()
    assert found.record() == {"low": None, "high": None, "groups": 1, "unit": "plate"}
    assert in_words(1, "plate") == "no interval: a single plate"
    assert interval([], of_one.iloc[:0]).record()["groups"] == 0


def test_where_an_experiment_is_one_plate_plates_are_resampled() -> None:
    wells = table({f"E{i}": [f"E{i}"] for i in range(6)}, wells=10)
    right = np.arange(60) % 10 < np.repeat([2, 4, 5, 6, 8, 9], 10)
    found = interval(right, wells)
    assert (found.low, found.high) == resampled(right, wells["plate_id"])
    assert found.groups == 6 and found.low < right.mean() < found.high


def test_words_name_the_number_and_the_unit_and_all_of_them_where_they_differ() -> None:
    assert in_words(18, "experiment") == "95 % interval over 18 resampled experiments"
    many = [(18, "experiment")] * 2
    assert told(many) == in_words(18, "experiment")
    assert told([*many, (3, "plate")]) == (
        "95 % interval over resampled experiments or plates (3 to 18; of fewer than 5: their range)"
    )
    assert told([]) == "no interval"
