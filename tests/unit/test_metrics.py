"""Against scikit-learn, and by loops."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cellsignal.metrics import accuracy, balanced_accuracy, confusion_matrix, grouped_accuracy

RNG = np.random.default_rng(0)
TRUTH = RNG.choice(6, 200, p=[0.5, 0.2, 0.1, 0.1, 0.1, 0.0])
PREDICTED = np.where(RNG.random(200) < 0.6, TRUTH, RNG.integers(0, 6, 200))


def test_against_scikit_learn() -> None:
    assert accuracy(TRUTH, PREDICTED) == pytest.approx(sklearn_metrics.accuracy_score(TRUTH, PREDICTED))
    present = sklearn_metrics.recall_score(TRUTH, PREDICTED, average=None, labels=range(5)).mean()
    assert balanced_accuracy(TRUTH, PREDICTED) == pytest.approx(present)
    np.testing.assert_array_equal(
        confusion_matrix(TRUTH, PREDICTED, 6),
        sklearn_metrics.confusion_matrix(TRUTH, PREDICTED, labels=range(6)),
    )


def test_confusion_rows_are_the_truth() -> None:
    assert confusion_matrix([0, 0, 1], [1, 1, 1], 2).tolist() == [[0, 2], [0, 1]]


def test_by_group_as_a_loop_does() -> None:
    group = RNG.choice(["HUVEC", "RPE", "U2OS"], 200)
    table = grouped_accuracy(TRUTH, PREDICTED, group)
    assert table["group"].tolist() == ["HUVEC", "RPE", "U2OS"]
    for row in table.itertuples():
        inside = [i for i in range(200) if group[i] == row.group]
        correct = sum(TRUTH[i] == PREDICTED[i] for i in inside)
        assert (row.correct, row.wells) == (correct, len(inside))
        assert row.accuracy == pytest.approx(correct / len(inside))


def test_nothing_to_score() -> None:
    assert math.isnan(accuracy([], [])) and math.isnan(balanced_accuracy([], []))
    assert confusion_matrix([], [], 3).sum() == 0
    assert len(grouped_accuracy([], [], [])) == 0
