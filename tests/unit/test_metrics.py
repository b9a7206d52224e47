"""Against scikit-learn, and by loops."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cellsignal.metrics import (
    accuracy,
    balanced_accuracy,
    class_metrics,
    confusion_matrix,
    grouped_accuracy,
    macro_averages,
)

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


def test_each_class_against_scikit_learn() -> None:
    table = class_metrics(TRUTH, PREDICTED)
    labels = sorted(set(TRUTH) | set(PREDICTED))
    assert table["sirna"].tolist() == labels
    precision, recall, _, support = sklearn_metrics.precision_recall_fscore_support(
        TRUTH, PREDICTED, labels=labels, zero_division=0
    )
    assert table["precision"].to_numpy() == pytest.approx(precision)
    assert table["wells"].tolist() == support.tolist()
    has_wells = (support > 0).tolist()
    assert False in has_wells  # class 5 is called, but occurs nowhere
    assert table["sensitivity"][has_wells].to_numpy() == pytest.approx(recall[has_wells])
    assert np.isnan(table["sensitivity"][~np.array(has_wells)]).all()
    for row, ((tn, fp), _) in zip(
        table.itertuples(), sklearn_metrics.multilabel_confusion_matrix(TRUTH, PREDICTED, labels=labels), strict=True
    ):
        assert row.specificity == pytest.approx(tn / (tn + fp))


def test_macro_averages_are_scikit_learns_over_the_classes_that_have_wells() -> None:
    present = sorted(set(TRUTH))
    precision, recall, _, _ = sklearn_metrics.precision_recall_fscore_support(
        TRUTH, PREDICTED, labels=present, average="macro", zero_division=0
    )
    found = macro_averages(TRUTH, PREDICTED)
    assert (found["classes"], found["precision"], found["sensitivity"]) == pytest.approx((5, precision, recall))
    assert found["sensitivity"] == pytest.approx(balanced_accuracy(TRUTH, PREDICTED))


def test_undefined_measures_of_classes() -> None:
    table = class_metrics([0, 0, 1], [0, 0, 0]).set_index("sirna")
    assert table["precision"].tolist() == [2 / 3, 0.0]  # 1 is never called: 0, as scikit-learn's default
    assert table["specificity"].tolist() == [0.0, 1.0]
    table = class_metrics([3, 3], [3, -1]).set_index("sirna")  # one class, and a well that was called nothing
    assert table.loc[3, ["wells", "called", "correct"]].tolist() == [2, 1, 1]
    assert table.loc[3, "sensitivity"] == 0.5 and np.isnan(table.loc[3, "specificity"])
    assert macro_averages([3, 3], [3, -1])["specificity"] is None
    assert len(class_metrics([], [])) == 0
    assert macro_averages([], []) == {"classes": 0, "precision": None, "sensitivity": None, "specificity": None}
