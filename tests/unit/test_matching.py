"""The solvers against brute force, and the properties that they promise."""

import itertools

import numpy as np
import pytest
from scipy.special import softmax

from cellsignal import matching
from cellsignal.matching import assign_classes, level_classes, part_doubles, sinkhorn, unique_classes


def tables(n_wells: int, n_classes: int, count: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(n_wells * 100 + n_classes)
    return [softmax(rng.normal(0, 2, (n_wells, n_classes)), axis=1) for _ in range(count)]


@pytest.mark.parametrize(("wells", "classes"), [(1, 1), (4, 4), (6, 6), (4, 6), (2, 7)])
def test_assignment_equals_brute_force(wells: int, classes: int) -> None:
    for p in tables(wells, classes):
        best = max(
            itertools.permutations(range(classes), wells),
            key=lambda order: sum(p[well, label] for well, label in enumerate(order)),
        )
        assert assign_classes(p).tolist() == list(best)


def test_scaling_keeps_the_most_likely_assignment_of_a_full_plate() -> None:
    # Σ log p of a permutation changes by a constant when rows and columns are scaled
    for p in tables(6, 6):
        scaled = sinkhorn(p, iterations=5000)
        np.testing.assert_array_equal(assign_classes(np.log(p)), assign_classes(np.log(scaled)))


@pytest.mark.parametrize(("wells", "classes"), [(8, 8), (6, 8), (1, 8)])
def test_sinkhorn_margins(wells: int, classes: int) -> None:
    for p in tables(wells, classes):
        scaled = sinkhorn(p, iterations=5000)
        np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-5)
        assert scaled.sum(axis=0).max() <= 1 + 1e-5
        if wells == classes:
            np.testing.assert_allclose(scaled.sum(axis=0), 1, atol=1e-5)


def test_sinkhorn_learns_from_what_the_other_wells_are() -> None:
    p = np.array([[0.98, 0.01, 0.01], [0.50, 0.45, 0.05], [0.34, 0.33, 0.33]])
    assert sinkhorn(p).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("wells", "classes"), [(7, 7), (5, 9), (30, 30)])
def test_uniqueness_takes_the_surest_first(wells: int, classes: int) -> None:
    for p in tables(wells, classes):
        left, expected = p.copy(), np.full(wells, -1)
        for _ in range(wells):
            well, label = np.unravel_index(left.argmax(), left.shape)
            expected[well] = label
            left[well], left[:, label] = -1, -1
        found = unique_classes(p)
        np.testing.assert_array_equal(found, expected)
        assert len(set(found.tolist())) == wells


@pytest.mark.parametrize(("wells", "classes"), [(1, 1), (12, 12), (9, 12), (40, 40)])
def test_iteration_reaches_equal_presence(wells: int, classes: int) -> None:
    for p in tables(wells, classes):
        chosen, doubles = level_classes(p)
        assert doubles == 0
        assert len(set(chosen.tolist())) == wells


def test_iteration_is_the_best_assignment_up_to_its_step() -> None:
    # prices that level the classes solve the dual of the assignment problem
    for p in tables(10, 10, count=8):
        chosen, doubles = level_classes(p, step=5e-4)
        best = p[np.arange(10), assign_classes(p)].sum()
        assert doubles == 0
        assert p[np.arange(10), chosen].sum() == pytest.approx(best, abs=10 * 10 * 5e-4)


def test_iteration_leaves_a_good_answer_alone_and_ends_on_a_hopeless_one() -> None:
    sure = np.full((5, 5), 0.01) + 0.95 * np.eye(5)[[3, 1, 0, 2, 4]]
    assert level_classes(sure)[0].tolist() == [3, 1, 0, 2, 4]
    equal = np.tile([0.7, 0.2, 0.1], (3, 1))  # no score of a class tells equal wells apart
    chosen, doubles = level_classes(equal)
    assert doubles == 2 and len(set(chosen.tolist())) == 1


def test_parted_doubles_keep_the_surest_well_and_take_the_best_of_what_is_free() -> None:
    p = np.array([[0.6, 0.1, 0.1, 0.2], [0.8, 0.05, 0.1, 0.05], [0.1, 0.7, 0.1, 0.1], [0.5, 0.2, 0.25, 0.05]])
    assert part_doubles(p, np.array([0, 0, 1, 0])).tolist() == [3, 0, 1, 2]
    for table in tables(6, 8):
        parted = part_doubles(table, table.argmax(axis=1))
        assert len(set(parted.tolist())) == 6
    np.testing.assert_array_equal(part_doubles(p, np.array([3, 0, 1, 2])), [3, 0, 1, 2])


def test_impossible_wells_still_get_a_class() -> None:
    p = np.eye(6)[[0, 0, 0, 1, 1, 2]]
    for chosen in (unique_classes(p), assign_classes(sinkhorn(p))):
        assert sorted(chosen.tolist()) == list(range(6))
        assert (chosen == [0, 0, 0, 1, 1, 2]).sum() == 3


def levelled_by_the_whole_matrix(probability: np.ndarray, step: float = 0.001) -> tuple[np.ndarray, int]:
    """`level_classes` as it stands in its docstring, looking at every class of every well each time."""
    score = np.asarray(probability, dtype=np.float64)
    n_wells, n_classes = score.shape
    price, chosen = np.zeros(n_classes), score.argmax(axis=1)
    best, fewest = chosen.copy(), n_wells + 1
    for halving in range(matching.HALVINGS + 1):
        idle, size = 0, step / 2**halving
        longest = int(min(max(1 / step, matching.PATIENCE), matching.LONGEST))
        while idle < (matching.PATIENCE if halving else longest):
            count = np.bincount(chosen, minlength=n_classes)
            over = np.flatnonzero(count > 1)
            doubles = int((count[over] - 1).sum())
            idle += 1
            if doubles < fewest:
                best, fewest, idle = chosen.copy(), doubles, 0
            if doubles == 0:
                return best, 0
            crowd = np.flatnonzero(count[chosen] > 1)
            net = score[crowd] - price
            own = net[np.arange(len(crowd)), chosen[crowd]]
            net[np.arange(len(crowd)), chosen[crowd]] = -np.inf
            lead = np.full(n_classes, np.inf)
            np.minimum.at(lead, chosen[crowd], own - net.max(axis=1))
            price[over] += size * (np.floor(lead[over] / size) + 1)
            chosen[crowd] = (score[crowd] - price).argmax(axis=1)
    return best, fewest


@pytest.mark.parametrize("kind", ["sure", "unsure", "votes", "few"])
@pytest.mark.parametrize("seed", range(3))
def test_levelling_by_leaders_is_levelling_by_the_whole_matrix(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    wells, classes = (70, 90) if kind != "few" else (9, 11)
    if kind == "votes":  # many equal values
        p = np.full((wells, classes), 0.5 / classes)
        p[np.arange(wells), random.integers(0, 20, wells)] += 0.5
    else:
        p = random.dirichlet(np.full(classes, {"sure": 0.03, "unsure": 3.0, "few": 0.5}[kind]), wells)
    expected, doubles = levelled_by_the_whole_matrix(p)
    found = level_classes(p)
    np.testing.assert_array_equal(found[0], expected)
    assert found[1] == doubles
