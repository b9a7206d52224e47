"""Balancing whole test sets: the layout's rules hold, and each prior helps where it should."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from cellsignal.assignment import assignment_table, balance
from cellsignal.errors import BadInput
from cellsignal.plate_groups import PlateGroups

METHODS = ["none", "uniqueness", "iterative", "assignment"]
SIZE, PLATES = 8, 4
CLASSES = SIZE * PLATES
GROUPS = PlateGroups(("1", "2", "3", "4"), {c: c % PLATES for c in range(CLASSES)}, {"A": 0, "B": 1})


def screen(rotations: dict[str, int], strength: float = 2.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Test wells with their true class, and probabilities (wells, classes + 2 controls) that point there."""
    rng = np.random.default_rng(0)
    rows = []
    for experiment, rotation in rotations.items():
        for plate in range(PLATES):
            group = rng.permutation([c for c in range(CLASSES) if c % PLATES == (plate + rotation) % PLATES])
            rows += [(experiment, str(plate + 1), label) for label in group]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "truth"])
    wells["plate_id"] = wells["experiment"] + "_" + wells["plate"]
    wells["well_id"] = wells["plate_id"] + "_" + wells.groupby("plate_id").cumcount().map("B{:02d}".format)
    logits = rng.normal(size=(len(wells), CLASSES + 2)) + strength * np.eye(CLASSES + 2)[wells["truth"]]
    return wells, softmax(logits, axis=1)


def repeats(wells: pd.DataFrame, assigned: np.ndarray, unit: str) -> int:
    return int(wells.assign(assigned=assigned).duplicated([unit, "assigned"]).sum())


def test_layout_rules_hold() -> None:
    wells, p = screen({"T": 2, "S": 0})
    for groups in (None, GROUPS):
        for method in ("uniqueness", "assignment"):
            result = balance(p, wells, method, groups, treatments=np.arange(CLASSES))
            assert result.assigned.max() < CLASSES
            assert repeats(wells, result.assigned, "plate_id") == 0
            np.testing.assert_allclose(result.probability.sum(axis=1), 1, rtol=1e-5)
            assert (result.probability[:, CLASSES:] == 0).all()
        assert repeats(wells, result.assigned, "experiment") == 0  # assignment: once per experiment


def test_with_groups_a_plate_holds_its_group() -> None:
    wells, p = screen({"T": 3, "S": 1})
    for method in METHODS:
        result = balance(p, wells, method, GROUPS, treatments=np.arange(CLASSES))
        assert (result.assigned % PLATES == wells["truth"] % PLATES).all()
        assert dict(zip(result.rotations["experiment"], result.rotations["rotation"], strict=True)) == {
            "T": 3,
            "S": 1,
        }
        assert result.rotations["used"].all()


def test_every_prior_helps_here() -> None:
    wells, p = screen({f"T{i}": i % 4 for i in range(12)}, strength=2.5)
    truth = wells["truth"].to_numpy()
    score = {
        (method, groups is not None): (balance(p, wells, method, groups).assigned == truth).mean()
        for method in METHODS
        for groups in (None, GROUPS)
    }
    assert score["none", False] < score["uniqueness", False] < score["uniqueness", True]
    assert score["uniqueness", True] < score["assignment", True]
    assert score["none", False] < score["assignment", False] < score["assignment", True]
    assert abs(score["iterative", True] - score["assignment", True]) < 0.02


def test_brute_force_on_tiny_plates() -> None:
    rng = np.random.default_rng(1)
    groups = PlateGroups(("1", "2"), {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1}, {})
    for _ in range(10):
        p = softmax(rng.normal(size=(6, 6)) + 3 * np.eye(6), axis=1)
        wells = pd.DataFrame({"experiment": "T", "plate": list("111222")})
        wells["plate_id"] = "T_" + wells["plate"]
        result = balance(p, wells, "assignment", groups)
        for rows in (np.arange(3), np.arange(3, 6)):
            q = result.probability[rows]
            orders = list(itertools.permutations(rows.tolist()))
            sums = [q[[0, 1, 2], list(order)].sum() for order in orders]
            assert result.assigned[rows].tolist() == list(orders[int(np.argmax(sums))])


def test_missing_wells_leave_classes_over() -> None:
    wells, p = screen({"T": 1, "S": 0})
    kept = np.random.default_rng(0).random(len(wells)) > 0.2
    for method in METHODS[1:]:
        result = balance(p[kept], wells[kept], method, GROUPS, treatments=np.arange(CLASSES))
        assert repeats(wells[kept], result.assigned, "experiment") == 0
        assert result.log == []


def test_a_well_without_images_gets_the_class_that_is_left() -> None:
    wells, p = screen({"T": 1}, strength=12)
    p[5] = 1 / p.shape[1]
    result = balance(p, wells, "assignment", GROUPS, treatments=np.arange(CLASSES))
    np.testing.assert_array_equal(result.assigned, wells["truth"])


def test_an_unsure_rotation_is_not_used_and_said() -> None:
    wells, p = screen({"T": 1})
    p[:] = 1 / p.shape[1]
    result = balance(p, wells, "assignment", GROUPS, treatments=np.arange(CLASSES))
    assert not result.rotations["used"].any()
    assert "T: plate groups not used" in result.log[0]
    assert repeats(wells, result.assigned, "experiment") == 0


def test_doubles_that_the_iteration_leaves_are_parted_and_said() -> None:
    wells, p = screen({"T": 1})
    p[:] = p[0]
    result = balance(p, wells, "iterative")
    assert result.log == ["T: the iteration gave 31 wells another's class; they got those left over"]
    assert repeats(wells, result.assigned, "experiment") == 0


@pytest.mark.parametrize("method", ["uniqueness", "iterative"])
def test_no_class_is_twice_on_a_plate_whatever_the_probabilities(method: str) -> None:
    wells, _ = screen({"T": 1, "S": 2})
    random = np.random.default_rng(3)
    for concentration in (0.01, 0.1, 1.0):
        rows = np.round(random.dirichlet(np.full(CLASSES + 2, concentration), len(wells)), 2)  # many ties
        kept = random.random(len(wells)) > 0.15
        for groups in (None, GROUPS):
            result = balance(rows[kept], wells[kept], method, groups, treatments=np.arange(CLASSES))
            assert repeats(wells[kept], result.assigned, "plate_id") == 0


@pytest.mark.parametrize("method", METHODS[1:])
def test_screens_without_the_rule_are_refused(method: str) -> None:
    wells, p = screen({"T": 1})
    doubled = pd.concat([wells.assign(sirna=wells["truth"])] * 2)
    with pytest.raises(BadInput, match=r"(?s)occurs once per experiment; set it to none.*more than once in 1 of 1"):
        balance(p, wells, method, train_wells=doubled)
    few = p[:, :5]
    with pytest.raises(BadInput, match=r"T(_1)? has (32|8) treatment wells for 5 classes"):
        balance(few, wells, method)
    assert (balance(few, wells, "none").assigned == few.argmax(axis=1)).all()


def test_input_is_left_alone_and_no_wells_are_fine() -> None:
    wells, p = screen({"T": 1})
    before = p.copy()
    balance(p, wells, "assignment", GROUPS)
    np.testing.assert_array_equal(p, before)
    for method in METHODS:
        assert len(balance(p[:0], wells[:0], method, GROUPS).assigned) == 0


def test_table_for_the_submission() -> None:
    wells, p = screen({"T": 1})
    result = balance(p[::-1], wells[::-1], "assignment", GROUPS)
    table = assignment_table(wells[::-1], result)
    assert table["well_id"].tolist() == sorted(wells["well_id"])
    by_well = dict(zip(wells["well_id"][::-1], result.assigned, strict=True))
    assert table["sirna"].tolist() == [by_well[well] for well in table["well_id"]]
    assert table["probability"].between(0, 1).all()
