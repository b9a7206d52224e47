"""Pseudo-labels are the balanced classes of the surest seen test wells."""

import numpy as np
import pandas as pd
import pytest

from cellsignal.assignment import balance
from cellsignal.ensemble import WellProbabilities, add_unseen
from cellsignal.pseudo_labels import pseudo_labels

P = np.array(
    [[0.9, 0.05, 0.03, 0.02], [0.4, 0.35, 0.15, 0.1], [0.1, 0.1, 0.7, 0.1]], dtype=np.float32
)  # the first two want class 0
PLATE = pd.DataFrame({"experiment": "T", "plate": "1", "plate_id": "T_1"}, index=range(4))


@pytest.fixture
def wells() -> WellProbabilities:
    seen = WellProbabilities(np.array(["T_1_B02", "T_1_B03", "T_1_B04"]), P, np.array(["test"] * 3))
    return add_unseen(seen, ["T_1_B02", "T_1_B03", "T_1_B04", "T_1_B05"])


def test_classes_margins_and_order(wells: WellProbabilities) -> None:
    result = balance(wells.probability, PLATE, "uniqueness")
    table = pseudo_labels(wells, result, weight=0.05)
    assert table["well_id"].tolist() == ["T_1_B02", "T_1_B04", "T_1_B03"]
    assert table["sirna"].tolist() == [0, 2, 1]
    assert table["margin"].tolist() == pytest.approx([0.85, 0.6, -0.05], abs=1e-6)
    assert table["probability"].tolist() == pytest.approx([0.9, 0.7, 0.35], abs=1e-6)
    assert (table["weight"] == 0.05).all()


def test_a_well_without_images_has_none_but_takes_part_in_balancing(wells: WellProbabilities) -> None:
    result = balance(wells.probability, PLATE, "assignment")
    assert sorted(result.assigned) == [0, 1, 2, 3]
    assert "T_1_B05" not in pseudo_labels(wells, result)["well_id"].tolist()


@pytest.mark.parametrize(("share", "count"), [(1.0, 3), (0.5, 2), (0.34, 2), (0.01, 1)])
def test_the_surest_share(wells: WellProbabilities, share: float, count: int) -> None:
    result = balance(wells.probability, PLATE, "assignment")
    everything = pseudo_labels(wells, result)
    chosen = pseudo_labels(wells, result, share=share)
    assert chosen["well_id"].tolist() == everything["well_id"].tolist()[:count]
    assert everything["margin"].is_monotonic_decreasing


def test_no_wells() -> None:
    none = WellProbabilities(np.array([], dtype=str), P[:0], np.array([], dtype=str))
    table = pseudo_labels(none, balance(none.probability, PLATE.iloc[:0], "assignment"))
    assert table.empty and table.columns.tolist() == ["well_id", "sirna", "probability", "margin", "weight"]
