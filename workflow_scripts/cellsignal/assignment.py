"""Balancing: one class per test well, under the rules of the plate layout.

A treatment occurs exactly once per experiment, and so at most once on a plate. With plate groups it is known
on which plate. Methods: `none` (best class of each well), `uniqueness` (at most once per plate, surest well
first), `iterative` (DeepNoise's step halving), `assignment` (exact maximum-weight assignment).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cellsignal.config.labelling import Method
from cellsignal.errors import raise_all
from cellsignal.matching import FLOOR, assign_classes, level_classes, part_doubles, sinkhorn, unique_classes
from cellsignal.plate_groups import PlateGroups, Rotation, infer_rotations, repeated_classes

LEAST_Z = 2.0  # standard errors; a rotation that leads by less is not used: a wrong one spoils every well


@dataclass(frozen=True)
class BalanceResult:
    """The class of every well, and how it came about. Rows are those of the wells given.

    Attributes:
        assigned: int64 (wells,), class index.
        probability: float32 (wells, classes), under the priors: rows sum to 1, and 0 for classes that the
            prior rules out. `iterative` and `assignment` also scale them so that no class expects more
            than one well. `none` and `uniqueness` do not.
        rotations: `experiment`, `wells`, `rotation`, `margin`, `z`, `used`. Empty without plate groups.
        log: what happened, a sentence each.
    """

    assigned: NDArray[np.int64]
    probability: NDArray[np.float32]
    rotations: pd.DataFrame
    log: list[str] = field(default_factory=list)


def balance(
    probability: ArrayLike,
    wells: pd.DataFrame,
    method: Method,
    groups: PlateGroups | None = None,
    *,
    treatments: ArrayLike | None = None,
    train_wells: pd.DataFrame | None = None,
    step: float = 0.001,
) -> BalanceResult:
    """Choose a class for each test treatment well.

    Args:
        probability: (wells, classes), class probabilities, calibrated if they can be.
        wells: `experiment`, `plate`, `plate_id`, rows as in `probability`; test treatment wells only.
        method: see the module; `none` with `groups` keeps to the plate's group.
        groups: plate groups; None: not used. An experiment whose rotation stays unsure does not use them.
        treatments: indices of the treatment classes, the only ones that are assigned; None: all classes.
        train_wells: well table of train; it is checked that classes do occur once per experiment there.
        step: `iterative`: first step of the score correction.

    Raises:
        BadInput: a method other than `none` on a screen without that rule: classes occur twice in train
            experiments, or an experiment or plate has more wells than classes.
    """
    p = np.asarray(probability, dtype=np.float64)
    allowed = np.zeros(p.shape, dtype=bool)
    allowed[:, slice(None) if treatments is None else np.asarray(treatments)] = True
    p = _restrict(p, allowed)
    rotations = pd.DataFrame(columns=["experiment", "wells", *Rotation._fields, "used"])
    log: list[str] = []
    if groups is not None and len(wells):
        rotations = infer_rotations(np.log(np.maximum(p, FLOOR)), wells, groups)
        rotations["used"] = rotations["z"] >= LEAST_Z
        allowed &= _group_masks(wells, rotations, groups, p.shape[1])
        p = _restrict(p, allowed)
        log += [
            f"{row.experiment}: plate groups not used, rotation unsure (leads by {row.z:.1f} standard errors)"
            for row in rotations[~rotations["used"]].itertuples()
        ]
    if method == "none":
        return BalanceResult(p.argmax(axis=1), p.astype(np.float32), rotations, log)
    check_rule(wells, allowed, method, train_wells)
    unit = "plate_id" if method == "uniqueness" else "experiment"
    assigned = np.full(len(p), -1, dtype=np.int64)
    for name, rows, columns in _blocks(wells, allowed, unit):
        part = p[np.ix_(rows, columns)]
        if method == "uniqueness":
            chosen = unique_classes(part)
        else:
            p[np.ix_(rows, columns)] = scaled = sinkhorn(part)
            if method == "assignment":
                chosen = assign_classes(scaled)
            else:
                chosen, doubles = level_classes(part, step)
                if doubles:
                    chosen = part_doubles(part, chosen)
                    log.append(f"{name}: the iteration gave {doubles} wells another's class; they got those left over")
        assigned[rows] = columns[chosen]
    return BalanceResult(assigned, p.astype(np.float32), rotations, log)


def _restrict(p: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities given that the class is an allowed one; wells that rule all those out become uniform."""
    kept = np.where(allowed, np.maximum(p, FLOOR), 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True), dtype=np.float64)


def _group_masks(
    wells: pd.DataFrame, rotations: pd.DataFrame, groups: PlateGroups, n_classes: int
) -> NDArray[np.bool_]:
    """Classes (wells, classes) that the plate of each well may hold."""
    masks = groups.masks(n_classes)
    allowed = np.ones((len(wells), n_classes), dtype=bool)
    rotation = rotations[rotations["used"]].set_index("experiment")["rotation"].to_dict()
    for row, (experiment, plate) in enumerate(zip(wells["experiment"], wells["plate"].astype(str), strict=True)):
        if experiment in rotation:
            allowed[row] = masks[groups.group_on(plate, rotation[experiment])]
    return allowed


def _blocks(
    wells: pd.DataFrame, allowed: NDArray[np.bool_], unit: str
) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp]]]:
    """Wells among which a class occurs once: name, rows, and columns of the classes that they may have.

    `unit` is `experiment` or `plate_id`. Experiments fall into plates where plate groups tell them apart.
    """
    names = wells[unit].to_numpy(dtype=str)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        plates = wells["plate_id"].to_numpy(dtype=str)[rows]
        if (allowed[rows] == allowed[rows[0]]).all():
            yield name, rows, np.flatnonzero(allowed[rows[0]])
        else:
            for plate in np.unique(plates):
                part = rows[plates == plate]
                yield plate, part, np.flatnonzero(allowed[part[0]])


def check_rule(wells: pd.DataFrame, allowed: NDArray[np.bool_], method: str, train_wells: pd.DataFrame | None) -> None:
    """Raise BadInput if a class cannot occur once per experiment (`uniqueness`: per plate).

    `allowed` (wells, classes) says which classes each well may hold; the other arguments are those of `balance`.
    """
    problems: list[str] = []
    if train_wells is not None and (reason := repeated_classes(train_wells)):
        problems.append(reason)
    for name, rows, columns in _blocks(wells, allowed, "plate_id" if method == "uniqueness" else "experiment"):
        if len(rows) > len(columns):
            problems.append(f"{name} has {len(rows)} treatment wells for {len(columns)} classes")
    raise_all(
        problems,
        f"balance.method {method} needs a screen in which a class occurs once per experiment; set it to none",
    )


def assignment_table(wells: pd.DataFrame, result: BalanceResult) -> pd.DataFrame:
    """`well_id`, `experiment`, `plate_id`, `sirna` and its `probability` under the priors, sorted by well."""
    columns: dict[str, Any] = {name: wells[name].to_numpy() for name in ("well_id", "experiment", "plate_id")}
    columns["sirna"] = result.assigned
    columns["probability"] = result.probability[np.arange(len(result.assigned)), result.assigned]
    return pd.DataFrame(columns).sort_values("well_id", ignore_index=True)
