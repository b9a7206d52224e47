"""Batches of packed sites, read ahead by a thread while the device works.

The plate stores are memory-mapped, so reading is a copy from the page cache: one thread keeps a GPU fed
and no worker process has to be started, seeded or killed.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cellsignal.errors import raise_all

Rows = NDArray[np.int64]
Item = TypeVar("Item")

LABELLED, UNLABELLED, PLATES = 0, 1, 2  # streams of random numbers


class Reader(Protocol):
    """What is needed of a `plates.SiteReader`: pixels (n, channel, h, w) of site rows, uint8 or uint16."""

    def read(self, rows: Any, /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class TrainingSites:
    """Sites of a training set, with all that a batch of them needs beside pixels.

    Attributes:
        rows: int64 (n,), the sites' rows in the reader.
        target: int64 (n,), class index; -1 where unknown or withheld.
        weight: float32 (n,), weight in the loss (1, or less for pseudo-labels).
        mean: float32 (n, channels), mean of the site's normalization group, in grey levels.
        std: float32 (n, channels), standard deviation of that group, above 0.
        cell_type: int64 (n,), the cell type's number among the screen's; default: all 0.
        plate: int64 (n,), the plate's number; default: all 0.
        pseudo: int64 (n,), 1 where the target is a pseudo-label; default: all 0.
    """

    rows: NDArray[Any]
    target: NDArray[Any]
    weight: NDArray[Any]
    mean: NDArray[Any]
    std: NDArray[Any]
    cell_type: NDArray[Any] = None  # type: ignore[assignment]
    plate: NDArray[Any] = None  # type: ignore[assignment]
    pseudo: NDArray[Any] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.rows)
        for name in ("cell_type", "plate", "pseudo"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(n, np.int64))
        problems = [
            f"{name}: {len(array)} rows, expected {n}, one per site"
            for name, array in vars(self).items()
            if len(array) != n
        ]
        for name in ("weight", "mean", "std"):
            if bad := int((~np.isfinite(getattr(self, name))).sum()):
                problems.append(f"{name}: {bad} values are not finite")
        if bad := int((np.asarray(self.std) <= 0).sum()):
            problems.append(f"std: {bad} values are not above 0; a channel is constant over its group")
        raise_all(problems, "training sites")

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, indices: Rows) -> "TrainingSites":
        """The sites at `indices`."""
        return TrainingSites(*(array[indices] for array in vars(self).values()))

    def __add__(self, other: "TrainingSites") -> "TrainingSites":
        return TrainingSites(*(np.concatenate([vars(self)[name], vars(other)[name]]) for name in vars(self)))


def epoch_order(n: int, seed: int, epoch: int, classes: NDArray[np.int64] | None = None) -> Rows:
    """The order (n,) in which an epoch visits sites 0 … n-1: a permutation that follows from seed and epoch.

    With `classes` (n,), a draw with replacement in which every class is equally likely.
    """
    random = np.random.default_rng([seed, epoch, LABELLED])
    if classes is None:
        return random.permutation(n)
    _, of_class, counts = np.unique(classes, return_inverse=True, return_counts=True)
    share = 1.0 / counts[of_class]
    return random.choice(n, size=n, p=share / share.sum())


def batches(order: Rows, size: int, start: int = 0) -> Iterator[Rows]:
    """Consecutive batches of `order` from batch number `start`; what does not fill one is left out.

    A smaller last batch would weigh its sites more and spoil BatchNorm; an order shorter than one batch is
    one batch. `batches_in` is their number.
    """
    for number in range(start, batches_in(len(order), size)):
        yield order[number * size : (number + 1) * size]


def batches_in(n: int, size: int) -> int:
    """Number of batches that `batches` makes of `n` sites."""
    return max(1, n // size)


def plate_batches(plate: NDArray[np.int64], size: int, seed: int, epoch: int, start: int = 0) -> Iterator[Rows]:
    """Batches of an epoch, each of one plate, from batch number `start`: sites and batches in random order.

    `plate` (n,) is the plate of each site. What does not fill a batch of `size` is left out, another part in
    every epoch; a plate of fewer sites is one batch. `plate_batches_in` is their number.
    """
    random = np.random.default_rng([seed, epoch, PLATES])
    every = [
        batch for name in np.unique(plate) for batch in batches(random.permutation(np.flatnonzero(plate == name)), size)
    ]
    for number in random.permutation(len(every))[start:]:
        yield every[number]


def plate_batches_in(plate: NDArray[np.int64], size: int) -> int:
    """Number of batches that `plate_batches` makes."""
    return sum(batches_in(int(count), size) for count in np.unique(plate, return_counts=True)[1])


def endless_batch(n: int, size: int, step: int, seed: int) -> Rows:
    """Batch number `step` of an endless walk through 0 … n-1, one permutation after the other.

    Computed from the step alone, so that a resumed run continues where it stopped.
    """
    positions = np.arange(step * size, (step + 1) * size)
    laps = range(positions[0] // n, positions[-1] // n + 1)
    walk: Rows = np.concatenate([np.random.default_rng([seed, lap, UNLABELLED]).permutation(n) for lap in laps])
    return np.asarray(walk[positions - positions[0] // n * n])


def prefetch(
    read: Callable[[Item], NDArray[Any]], wanted: Iterable[Item], ahead: int = 2
) -> Iterator[tuple[Item, NDArray[Any]]]:
    """Each of `wanted` with what `read` makes of it, read by a thread up to `ahead` batches early.

    Whatever ends the thread is raised here. Leaving the loop early stops the thread.
    """
    ready: queue.Queue[tuple[Item, NDArray[Any]] | BaseException | None] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: tuple[Item, NDArray[Any]] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for rows in wanted:
                if stopped.is_set():
                    return
                put((rows, read(rows)))
            put(None)
        except BaseException as error:  # all of them: the consumer would wait for ever for a thread that is gone
            put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, BaseException):
                raise RuntimeError(f"the thread that reads sites was ended by {item!r}") from item
            yield item
    finally:
        stopped.set()
        thread.join()
