"""The breakdown of accuracy: shares and intervals by cell type and experiment, the outliers, and each class."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_fscore_support

from cellsignal.figures.accuracy_breakdown import accuracy_breakdown, count, measure_classes, outliers


@pytest.fixture
def wells() -> pd.DataFrame:
    rows = []
    for cell_type, experiment, role, correct, total in [
        ("HUVEC", "HUVEC-01", "out_of_fold", 30, 40),
        ("HUVEC", "HUVEC-02", "out_of_fold", 10, 40),
        ("HUVEC", "HUVEC-03", "test", 36, 40),
        ("RPE", "RPE-01", "out_of_fold", 5, 20),
    ]:
        rows += [(cell_type, experiment, f"{experiment}_{i % 4}", role, i < correct) for i in range(total)]
    table = pd.DataFrame(rows, columns=["cell_type", "experiment", "plate_id", "role", "correct"])
    sirna = np.arange(len(table)) % 5
    return table.assign(sirna=sirna, predicted=np.where(table["correct"], sirna, (sirna + 1 + sirna % 2) % 5))


NAMES = pd.Series({i: f"gene{i}" for i in range(5)})


def drawn(wells: pd.DataFrame) -> Figure:
    return accuracy_breakdown(wells, measure_classes(wells, NAMES))


def test_breakdown_bars_and_points_are_the_accuracies(wells: pd.DataFrame) -> None:
    figure = drawn(wells)
    by_type, by_experiment = (ax for ax in figure.axes if ax.get_title(loc="left").startswith(("By cell", "By exp")))
    assert [bar.get_height() for bar in by_type.patches] == [0.5, 0.9, 0.25]
    assert [bool(bar.get_hatch()) for bar in by_type.patches] == [False, True, False]
    assert [text.get_text() for text in by_type.texts] == [
        "50.0 %\n80 wells,\n2 experiments",
        "90.0 %\n40 wells,\n4 plates",
        "25.0 %\n20 wells,\n4 plates",
    ]
    points = [line.get_ydata()[0] for line in by_experiment.lines if line.get_marker() != "None"]
    assert points == [0.75, 0.25, 0.9, 0.25]
    assert by_experiment.get_xticklabels()[2].get_text() == "HUVEC-03 (40)"
    # HUVEC-01: of the wells 0 … 29 every fourth is on one plate, 8 or 7 of 10.
    assert by_experiment.collections[0].get_segments()[0][:, 1].tolist() == [0.7, 0.8]
    assert by_type.collections[0].get_segments()[0][:, 1].tolist() == [0.25, 0.75]  # of two experiments
    words = [text.get_text() for text in figure.legends[0].texts]
    assert "line, by experiment: range of 4 plates" in words
    assert any(
        text.startswith("line, by cell type: 95 % interval over resampled experiments or plates") for text in words
    )
    assert by_experiment.get_title(loc="left").endswith("ringed outliers: none")  # too few experiments to tell


def test_a_breakdown_without_test_experiments_does_not_speak_of_them(wells: pd.DataFrame) -> None:
    def words(shown: pd.DataFrame) -> list[str]:
        figure = drawn(shown)
        return [text.get_text() for text in figure.legends[0].texts] + [ax.get_title(loc="left") for ax in figure.axes]

    assert sum("test" in text for text in words(wells)) == 3
    assert not any("test" in text for text in words(wells[wells["role"] == "out_of_fold"]))


def test_a_breakdown_of_test_experiments_alone_says_that_nothing_was_held_out(wells: pd.DataFrame) -> None:
    for of, told in ((wells[wells["role"] == "test"], True), (wells, False)):
        titles = [ax.get_title(loc="left") for ax in drawn(of).axes]
        assert any("no wells were held out" in title for title in titles) == told


def test_experiments_unlike_the_others_of_their_cell_type_are_ringed_and_named() -> None:
    rows = []
    for i, correct in enumerate([40, 41, 39, 40, 12, 42, 3]):
        total = 6 if i == 6 else 50  # the last is small, so its share is not certain
        rows += [("HUVEC", f"HUVEC-0{i}", "P", "out_of_fold", k < correct, 0, k >= correct) for k in range(total)]
    names = ["cell_type", "experiment", "plate_id", "role", "correct", "sirna", "predicted"]
    wells = pd.DataFrame(rows, columns=names).astype({"predicted": int})
    table = count(wells, ["cell_type", "experiment", "role"])
    assert table.loc[outliers(table), "experiment"].tolist() == ["HUVEC-04"]
    (ax,) = (ax for ax in drawn(wells).axes if "outliers" in ax.get_title(loc="left"))
    assert ax.get_title(loc="left").endswith("ringed outliers: HUVEC-04")
    (ring,) = [line for line in ax.lines if line.get_markersize() == 13]
    assert ring.get_xydata().tolist() == [[4, 0.24]]


def test_count_agrees_with_a_loop(wells: pd.DataFrame) -> None:
    table = count(wells, ["cell_type"]).set_index("cell_type")
    for cell_type in ("HUVEC", "RPE"):
        right = [c for t, c in zip(wells["cell_type"], wells["correct"], strict=True) if t == cell_type]
        assert table.loc[cell_type, "accuracy"] == sum(right) / len(right)
        assert table.loc[cell_type, "wells"] == len(right)
    # Three experiments of HUVEC: their range; one of RPE: that of its plates, each with 5 wells, 2 or 1 of them right.
    assert table.loc["HUVEC", ["low", "high", "groups", "unit"]].tolist() == [0.25, 0.9, 3, "experiment"]
    assert table.loc["RPE", ["low", "high", "groups", "unit"]].tolist() == [0.2, 0.4, 4, "plate"]


def test_classes_are_measured_role_by_role_and_the_worst_are_named(wells: pd.DataFrame) -> None:
    table = measure_classes(wells, NAMES)
    for role, part in wells.groupby("role"):
        of_role = table[table["role"] == role]
        precision, sensitivity, f1, support = precision_recall_fscore_support(
            part["sirna"], part["predicted"], labels=range(5), zero_division=0
        )
        assert of_role["precision"].to_numpy() == pytest.approx(precision)
        assert of_role["sensitivity"].to_numpy() == pytest.approx(sensitivity)
        assert of_role["wells"].tolist() == support.tolist()
        assert of_role["class_name"].tolist() == NAMES.tolist()
        if role == "out_of_fold":
            worst = f"gene{np.argsort(f1, kind='stable')[0]}"
    axes = [(ax.get_title(loc="left"), ax) for ax in drawn(wells).axes]
    first, _ = (ax for title, ax in axes if title == "By F1, the smallest first: 5 of 5 classes")
    assert first.get_yticklabels()[0].get_text().startswith(worst)
    ax = dict(axes)["By class, out-of-fold: 5 classes, 100 wells of 3 experiments"]
    shown = ax.patches[0].get_data()[0]
    assert shown.tolist() == sorted(table.loc[table["role"] == "out_of_fold", "precision"])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["precision", "sensitivity", "specificity"]


def test_without_answers_a_breakdown_says_so(wells: pd.DataFrame) -> None:
    (ax,) = drawn(wells.iloc[:0]).axes
    assert "nothing to score" in ax.texts[0].get_text()
