"""The breakdown of accuracy: shares and intervals by cell type and experiment, and the outliers."""

import pandas as pd
import pytest

from cellsignal.figures.accuracy_breakdown import accuracy_breakdown, count, outliers
from cellsignal.figures.intervals import wilson


@pytest.fixture
def wells() -> pd.DataFrame:
    rows = []
    for cell_type, experiment, role, correct, total in [
        ("HUVEC", "HUVEC-01", "out_of_fold", 30, 40),
        ("HUVEC", "HUVEC-02", "out_of_fold", 10, 40),
        ("HUVEC", "HUVEC-03", "test", 36, 40),
        ("RPE", "RPE-01", "out_of_fold", 5, 20),
    ]:
        rows += [(cell_type, experiment, role, i < correct) for i in range(total)]
    return pd.DataFrame(rows, columns=["cell_type", "experiment", "role", "correct"])


def test_breakdown_bars_and_points_are_the_accuracies(wells: pd.DataFrame) -> None:
    by_type, by_experiment = accuracy_breakdown(wells).axes
    assert [bar.get_height() for bar in by_type.patches] == [0.5, 0.9, 0.25]
    assert [bool(bar.get_hatch()) for bar in by_type.patches] == [False, True, False]
    assert [text.get_text() for text in by_type.texts] == ["50.0 %\n80 wells", "90.0 %\n40 wells", "25.0 %\n20 wells"]
    points = [line.get_ydata()[0] for line in by_experiment.lines if line.get_marker() != "None"]
    assert points == [0.75, 0.25, 0.9, 0.25]
    assert by_experiment.get_xticklabels()[2].get_text() == "HUVEC-03 (40)"
    assert by_experiment.collections[0].get_segments()[0][:, 1] == pytest.approx(wilson(30, 40))
    assert by_experiment.get_title(loc="left").endswith("ringed outliers: none")  # too few experiments to tell


def test_a_breakdown_without_test_experiments_does_not_speak_of_them(wells: pd.DataFrame) -> None:
    def words(shown: pd.DataFrame) -> list[str]:
        figure = accuracy_breakdown(shown)
        return [text.get_text() for text in figure.legends[0].texts] + [figure.axes[1].get_title(loc="left")]

    assert sum("test" in text for text in words(wells)) == 2
    assert not any("test" in text for text in words(wells[wells["role"] == "out_of_fold"]))


def test_experiments_unlike_the_others_of_their_cell_type_are_ringed_and_named() -> None:
    rows = []
    for i, correct in enumerate([40, 41, 39, 40, 12, 42, 3]):
        total = 6 if i == 6 else 50  # the last is small, so its share is not certain
        rows += [("HUVEC", f"HUVEC-0{i}", "out_of_fold", k < correct) for k in range(total)]
    wells = pd.DataFrame(rows, columns=["cell_type", "experiment", "role", "correct"])
    table = count(wells, ["cell_type", "experiment", "role"])
    assert table.loc[outliers(table), "experiment"].tolist() == ["HUVEC-04"]
    ax = accuracy_breakdown(wells).axes[1]
    assert ax.get_title(loc="left").endswith("ringed outliers: HUVEC-04")
    (ring,) = [line for line in ax.lines if line.get_markersize() == 13]
    assert ring.get_xydata().tolist() == [[4, 0.24]]


def test_count_agrees_with_a_loop(wells: pd.DataFrame) -> None:
    table = count(wells, ["cell_type"]).set_index("cell_type")
    for cell_type in ("HUVEC", "RPE"):
        right = [c for t, c in zip(wells["cell_type"], wells["correct"], strict=True) if t == cell_type]
        assert table.loc[cell_type, "accuracy"] == sum(right) / len(right)
        assert table.loc[cell_type, "low"] == pytest.approx(wilson(sum(right), len(right))[0])


def test_without_answers_a_breakdown_says_so(wells: pd.DataFrame) -> None:
    (ax,) = accuracy_breakdown(wells.iloc[:0]).axes
    assert "nothing to score" in ax.texts[0].get_text()
