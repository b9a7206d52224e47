"""Batches come in an order that follows from the seed, and errors of the reading thread arrive."""

import threading
import time

import numpy as np
import pytest

from cellsignal.errors import BadInput
from cellsignal.loader import (
    TrainingSites,
    batches,
    batches_in,
    endless_batch,
    epoch_order,
    plate_batches,
    plate_batches_in,
    prefetch,
)


class Reader:
    def __init__(self, bad_row: int = -1) -> None:
        self.bad_row, self.reads = bad_row, 0

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.reads += 1
        if self.bad_row in rows:
            raise BadInput("plate 1: unreadable")
        return np.asarray(rows, dtype=np.uint8)[:, None, None, None]


def test_an_epoch_visits_every_site_once_in_an_order_of_its_own():
    first, second = epoch_order(50, 7, 0), epoch_order(50, 7, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, epoch_order(50, 7, 0))


def test_balanced_epochs_draw_rare_classes_as_often_as_common_ones():
    classes = np.repeat([0, 1, 5], [9000, 900, 100])
    drawn = classes[epoch_order(10_000, 0, 0, classes)]
    assert len(drawn) == 10_000
    assert np.bincount(drawn)[[0, 1, 5]] / 10_000 == pytest.approx([1 / 3] * 3, abs=0.02)


def test_batches_are_full_and_can_start_anywhere():
    order = np.arange(10)
    assert [list(b) for b in batches(order, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [list(b) for b in batches(order, 4, start=1)] == [[4, 5, 6, 7]]
    assert [list(b) for b in batches(order[:3], 4)] == [[0, 1, 2]]
    assert (batches_in(10, 4), batches_in(3, 4)) == (2, 1)


def test_plate_batches_are_of_one_plate_each_in_an_order_that_follows_from_seed_and_epoch():
    plate = np.random.default_rng(0).permutation(np.repeat([3, 5, 8], [20, 9, 2]))
    epochs = [list(plate_batches(plate, 4, 7, epoch)) for epoch in range(40)]
    for found in epochs:
        assert len(found) == plate_batches_in(plate, 4) == 5 + 2 + 1
        assert all(len(set(plate[batch])) == 1 for batch in found)
        assert sorted(len(batch) for batch in found) == [2, 4, 4, 4, 4, 4, 4, 4]
        visited = np.concatenate(found)
        assert len(set(visited.tolist())) == len(visited) == 30
    order = [[plate[batch[0]] for batch in found] for found in epochs[:2]]
    assert order[0] != order[1]
    assert set(np.concatenate([np.concatenate(found) for found in epochs]).tolist()) == set(range(31))
    again = list(plate_batches(plate, 4, 7, 1, start=3))
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in epochs[1][3:]]


def test_the_endless_walk_visits_all_equally_and_is_computed_from_the_step():
    walked = np.concatenate([endless_batch(10, 4, step, 3) for step in range(10)])
    assert (np.bincount(walked) == 4).all()
    for lap in range(4):
        assert sorted(walked[lap * 10 : (lap + 1) * 10]) == list(range(10))
    assert len(endless_batch(3, 8, 5, 0)) == 8


def test_prefetch_yields_all_batches_in_order():
    wanted = list(batches(np.arange(100), 10))
    got = list(prefetch(Reader().read, iter(wanted)))
    assert [list(rows) for rows, _ in got] == [list(rows) for rows in wanted]
    assert all((pixels[:, 0, 0, 0] == rows).all() for rows, pixels in got)


def test_an_error_while_reading_is_raised_at_the_consumer():
    with pytest.raises(BadInput, match="unreadable"):
        list(prefetch(Reader(bad_row=25).read, batches(np.arange(100), 10)))


def test_a_thread_that_dies_is_an_error_at_the_consumer_and_not_a_wait_for_ever():
    def die(rows):
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"the thread that reads sites was ended by SystemExit\(3\)"):
        list(prefetch(die, batches(np.arange(100), 10)))


def test_leaving_early_stops_the_thread_and_it_never_reads_far_ahead():
    reader, before = Reader(), threading.active_count()
    stream = prefetch(reader.read, batches(np.arange(1000), 10), ahead=2)
    next(stream)
    time.sleep(0.3)
    stream.close()
    assert reader.reads <= 5
    assert threading.active_count() == before


def test_sites_that_cannot_be_standardized_are_refused_with_all_reasons():
    sites = [np.arange(3), np.zeros(3, int), np.ones(2), np.full((3, 2), np.nan), np.zeros((3, 2))]
    with pytest.raises(BadInput) as error:
        TrainingSites(*sites)
    for words in ("weight: 2 rows, expected 3", "mean: 6 values are not finite", "std: 6 values are not above 0"):
        assert words in str(error.value)


def test_two_sets_of_sites_join():
    one = TrainingSites(np.arange(3), np.zeros(3, int), np.ones(3), np.ones((3, 2)), np.ones((3, 2)))
    assert len(one + one) == 6
