"""One class per well, no class twice: the solvers behind balancing, on plain (wells, classes) matrices."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

FLOOR = 1e-9  # least probability: a well judged impossible may still have to take what is left
PATIENCE = 200  # `level_classes`: corrections without improvement before the next halving
LONGEST = 10_000  # `level_classes`: the most such corrections before the first halving
HALVINGS = 16  # `level_classes`: the most halvings of the step


def unique_classes(probability: ArrayLike) -> NDArray[np.int64]:
    """A class for each well, none twice: the surest free well with its best free class first.

    `probability` is (wells, classes) with wells ≤ classes; returns int64 (wells,).
    """
    score = np.array(probability, dtype=np.float64)
    chosen = np.full(len(score), -1, dtype=np.int64)
    best = score.argmax(axis=1)
    value = score[np.arange(len(score)), best]
    for _ in range(len(score)):
        row = int(value.argmax())
        chosen[row] = taken = best[row]
        score[:, taken] = -1.0
        value[row] = -np.inf
        again = np.flatnonzero((best == taken) & (value > -np.inf))
        best[again] = score[again].argmax(axis=1)
        value[again] = score[again, best[again]]
    return chosen


def sinkhorn(probability: ArrayLike, iterations: int = 200, tolerance: float = 1e-6) -> NDArray[np.float64]:
    """Scale rows and columns until every well has one class and every class one well, in expectation.

    Missing wells stand in as rows that know nothing, so that columns sum to 1 with them and to at most 1
    without (Sinkhorn & Knopp 1967).

    Args:
        probability: (wells, classes), positive, wells ≤ classes.
        iterations: the most that are done.
        tolerance: largest deviation of a row sum from 1 at which it ends.

    Returns:
        float64 (wells, classes), rows sum to 1.
    """
    p = np.maximum(np.asarray(probability, dtype=np.float64), FLOOR)
    n_wells, n_classes = p.shape
    p = np.vstack([p, np.ones(n_classes)])
    weight = np.append(np.ones(n_wells), n_classes - n_wells)  # rows that the last one stands for
    p /= p.sum(axis=1, keepdims=True)
    for _ in range(iterations):
        p /= weight @ p
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        if np.abs(sums[weight > 0] - 1).max() < tolerance:
            break
    return p[:n_wells]


def assign_classes(weight: ArrayLike) -> NDArray[np.int64]:
    """The class of each well, none twice, that has the largest sum of weights; wells ≤ classes.

    With Sinkhorn-scaled probabilities as `weight` (wells, classes), that is the largest expected number of
    right wells.
    """
    rows, columns = linear_sum_assignment(np.asarray(weight, dtype=np.float64), maximize=True)
    return np.asarray(columns[np.argsort(rows)], dtype=np.int64)


def level_classes(probability: ArrayLike, step: float = 0.001) -> tuple[NDArray[np.int64], int]:
    """DeepNoise's balancing: lower the scores of over-predicted classes until each is predicted once.

    A class that several wells choose loses as many steps as it takes for one of them to leave (single steps
    that move nothing are done at once). When corrections bring no improvement for a while (1/step of them
    at first, time for two classes to fall by 1 side by side), the step is halved; it ends when no class is
    chosen twice, or after `HALVINGS` with the best choice met.

    Args:
        probability: (wells, classes), wells ≤ classes.
        step: first step.

    Returns:
        The class of each well, int64 (wells,), and how many wells are one too many for their class (0 where
        it succeeded; two wells with equal rows can never be told apart by it).
    """
    score = np.asarray(probability, dtype=np.float64)
    n_wells, n_classes = score.shape
    price = np.zeros(n_classes)
    leaders = _Leaders(score)
    chosen = score.argmax(axis=1)
    best, fewest = chosen.copy(), n_wells + 1
    for halving in range(HALVINGS + 1):
        idle, size = 0, step / 2**halving
        patience = PATIENCE if halving else int(min(max(1 / step, PATIENCE), LONGEST))
        while idle < patience:
            count = np.bincount(chosen, minlength=n_classes)
            over = np.flatnonzero(count > 1)
            doubles = int((count[over] - 1).sum())
            idle += 1
            if doubles < fewest:
                best, fewest, idle = chosen.copy(), doubles, 0
            if doubles == 0:
                return best, 0
            crowd = np.flatnonzero(count[chosen] > 1)  # only these wells can change their choice
            own = score[crowd, chosen[crowd]] - price[chosen[crowd]]
            _, other = leaders.best(crowd, price, without=chosen[crowd])
            lead = np.full(n_classes, np.inf)  # of the well that leaves its class first
            np.minimum.at(lead, chosen[crowd], own - other)
            price[over] += size * (np.floor(lead[over] / size) + 1)
            chosen[crowd], _ = leaders.best(crowd, price)
    return best, fewest


class _Leaders:
    """The best class of wells under prices that only rise, without looking at every class each time.

    Of each well some leading classes are kept, and the most that any other class was worth when they were chosen: as
    prices rise, no other is worth more since. Where the leaders fall to that, they are chosen anew. The answers are
    those of the whole matrix, to the bit.
    """

    KEPT = 24

    def __init__(self, score: NDArray[np.float64]) -> None:
        n_wells, n_classes = score.shape
        self.score, self.kept = score, min(self.KEPT, n_classes)
        self.classes = np.empty((n_wells, self.kept), dtype=np.int64)  # ascending, so that the first of equals is found
        self.scores = np.empty((n_wells, self.kept))
        self.bound = np.empty(n_wells)
        self._choose(np.arange(n_wells), np.zeros(n_classes))

    def best(
        self, wells: NDArray[np.int64], price: NDArray[np.float64], without: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The class (wells,) of the highest score less price, and that value.

        With `without` (wells,), that class is left out, and of equals any class is given.
        """
        best, value = self._of_leaders(wells, price, without)
        # If a leader is worth just as much as another class may be, that one may be the first of equals.
        fallen = np.flatnonzero(value <= self.bound[wells] if without is None else value < self.bound[wells])
        if len(fallen):
            self._choose(wells[fallen], price)
            again = self._of_leaders(wells[fallen], price, None if without is None else without[fallen])
            best[fallen], value[fallen] = again
        return best, value

    def _of_leaders(
        self, wells: NDArray[np.int64], price: NDArray[np.float64], without: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        classes = self.classes[wells]
        net = self.scores[wells] - price[classes]
        if without is not None:
            net[classes == without[:, None]] = -np.inf
        place = net.argmax(axis=1)
        rows = np.arange(len(wells))
        return classes[rows, place], net[rows, place]

    def _choose(self, wells: NDArray[np.int64], price: NDArray[np.float64]) -> None:
        net = self.score[wells] - price
        leading = np.argpartition(-net, self.kept - 1, axis=1)[:, : self.kept]
        leading.sort(axis=1)
        self.classes[wells] = leading
        self.scores[wells] = np.take_along_axis(self.score[wells], leading, axis=1)
        np.put_along_axis(net, leading, -np.inf, axis=1)
        self.bound[wells] = net.max(axis=1)


def part_doubles(probability: ArrayLike, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """`chosen` (wells,) with no class twice: each keeps its surest well, the others get the best free classes.

    `probability` is (wells, classes) with wells ≤ classes; the free classes are assigned as `assign_classes` does.
    """
    score, parted = np.asarray(probability, dtype=np.float64), chosen.copy()
    sure_first = np.argsort(-score[np.arange(len(chosen)), chosen], kind="stable")
    _, first = np.unique(chosen[sure_first], return_index=True)
    rest = np.setdiff1d(np.arange(len(chosen)), sure_first[first])
    free = np.setdiff1d(np.arange(score.shape[1]), chosen)
    if len(rest):
        parted[rest] = free[assign_classes(score[np.ix_(rest, free)])]
    return parted
