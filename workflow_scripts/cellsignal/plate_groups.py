"""Plate groups: classes that always share a plate, and where a test experiment has put them.

In RxRx1 the 1,108 siRNAs fall into four fixed groups of 277. The plates of an experiment hold the groups in
one cyclic order that starts anywhere: in rotation r, plate number j holds group (j + r) mod 4. Groups and
order are read off the train wells; the rotation of a test experiment follows from its predictions. The
published results of DeepNoise and of the first place use this prior.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp

from cellsignal.errors import BadInput
from cellsignal.predictions import some

FLOOR = np.log(1e-6)  # least log mass of a group in a well: one sure and wrong well must not decide alone


@dataclass(frozen=True)
class PlateGroups:
    """The groups of a screen.

    Attributes:
        plates: plate names within an experiment, in order; there are as many groups.
        group_of: class → group. Group j is on plate number j in rotation 0, the most frequent one.
        rotation: train experiment → rotation.
    """

    plates: tuple[str, ...]
    group_of: Mapping[int, int]
    rotation: Mapping[str, int]

    def group_on(self, plate: str, rotation: int) -> int:
        """The group that `plate` holds in `rotation`."""
        return (self.plates.index(plate) + rotation) % len(self.plates)

    def masks(self, n_classes: int) -> NDArray[np.bool_]:
        """Which classes each group holds: (groups, classes). A class that train lacks may be in any."""
        masks = np.ones((len(self.plates), n_classes), dtype=bool)
        for label, group in self.group_of.items():
            masks[:, label] = False
            masks[group, label] = True
        return masks


class Rotation(NamedTuple):
    """The rotation that fits the predictions of an experiment best, and how sure that is.

    Attributes:
        rotation: the rotation.
        margin: by how much its score exceeds the second best, in nats (0: undecided).
        z: the same in standard errors, from the spread of the wells. It does not depend on how sure of
            themselves the probabilities are, as the margin does.
    """

    rotation: int
    margin: float
    z: float


def treatment_wells(wells: pd.DataFrame) -> pd.DataFrame:
    """The treatment wells of any data set; all wells, where no column `well_type` tells."""
    return wells[wells["well_type"] == "treatment"] if "well_type" in wells else wells


def _known_in_train(wells: pd.DataFrame) -> pd.DataFrame:
    """The treatment wells of train; wells of test and of unknown class are left out."""
    chosen = treatment_wells(wells)
    chosen = chosen[chosen["sirna"] >= 0]
    return chosen[chosen["dataset"] == "train"] if "dataset" in chosen else chosen


def repeated_classes(train_wells: pd.DataFrame) -> str:
    """Why classes do not occur at most once per experiment in train, or "" if they do.

    Args:
        train_wells: columns `experiment`, `sirna`; other data sets and controls are left out where the
            columns `dataset` and `well_type` tell.
    """
    train = _known_in_train(train_wells)
    if train.empty:
        return "train has no treatment wells"
    again = train.duplicated(["experiment", "sirna"])
    if not again.any():
        return ""
    first = train[again].iloc[0]
    return (
        f"classes occur more than once in {train.loc[again, 'experiment'].nunique()} of "
        f"{train['experiment'].nunique()} train experiments, for example class {first['sirna']} in "
        f"{first['experiment']}"
    )


def derive_groups(train_wells: pd.DataFrame) -> tuple[PlateGroups | None, str]:
    """The plate groups that train shows, or None and the reason why it shows none.

    Two classes are in one group if they share a plate in every experiment that has both. Missing wells do
    no harm.

    Args:
        train_wells: columns `experiment`, `plate` (its name within the experiment), `sirna`; other data sets
            and controls are left out where the columns `dataset` and `well_type` tell.
    """
    if reason := repeated_classes(train_wells):
        return None, reason
    train = _known_in_train(train_wells)
    plates = tuple(sorted(train["plate"].astype(str).unique(), key=_natural))
    experiments, experiment = np.unique(train["experiment"].to_numpy(dtype=str), return_inverse=True)
    classes, label = np.unique(train["sirna"].to_numpy(np.int64), return_inverse=True)
    plate = np.array([plates.index(name) for name in train["plate"].astype(str)])
    if len(plates) < 2 or len(experiments) < 2:
        return None, (f"train has {len(experiments)} experiments of {len(plates)} plates; at least 2 of 2 are needed")
    where = np.full((len(classes), len(experiments)), -1)  # number of the plate of a class, -1: no such well
    where[label, experiment] = plate
    group = _share_plates(where)
    sequences = [_sequence(where[:, e], group, len(plates)) for e in range(len(experiments))]
    complete = Counter(sequence for sequence in sequences if sequence and -1 not in sequence)
    if group.max() + 1 != len(plates) or not all(sequences) or not complete:
        return None, (
            f"the {len(classes)} classes form {group.max() + 1} groups that share their plates in every "
            f"train experiment, and experiments have {len(plates)} plates: not one group per plate"
        )
    reference = complete.most_common(1)[0][0]
    number = {old: new for new, old in enumerate(reference)}
    rotations = {}
    for name, sequence in zip(experiments.tolist(), sequences, strict=True):
        shifts = {(number[g] - j) % len(plates) for j, g in enumerate(sequence or ()) if g >= 0}
        if len(shifts) != 1:
            return (
                None,
                f"the plates of {name} hold the groups in another cyclic order than other experiments",
            )
        rotations[name] = shifts.pop()
    group_of = {int(c): number[int(g)] for c, g in zip(classes, group, strict=True)}
    return PlateGroups(plates, group_of, rotations), ""


def _natural(name: str) -> tuple[int, int, str]:
    """Sorts `2` before `10`."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _share_plates(where: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups (classes,) of classes never found on different plates; `where` is (classes, experiments)."""
    together = np.zeros((len(where), len(where)), dtype=np.int64)
    for plate in range(where.max() + 1):
        on = (where == plate).astype(np.int64)
        together += on @ on.T
    there = (where >= 0).astype(np.int64)
    linked = (together > 0) & (together == there @ there.T)
    return np.asarray(connected_components(linked, directed=False)[1], dtype=np.int64)


def _sequence(where: NDArray[np.int64], group: NDArray[np.int64], n_plates: int) -> tuple[int, ...] | None:
    """The group on each plate of one experiment (-1: an absent plate), or None if a plate holds several."""
    found = []
    for plate in range(n_plates):
        groups = np.unique(group[where == plate])
        if len(groups) > 1:
            return None
        found.append(int(groups[0]) if len(groups) else -1)
    return tuple(found)


def infer_rotation(log_probability: ArrayLike, plates: Sequence[str], groups: PlateGroups) -> Rotation:
    """The rotation that explains the predictions of one experiment best.

    The score of a rotation is the sum over wells of the log probability that the well's class is in the
    group of its plate.

    Args:
        log_probability: (wells, classes), natural log; columns are class indices.
        plates: plate name of each well, (wells,).
        groups: from `derive_groups`.

    Raises:
        BadInput: a plate that train lacks.
    """
    log_p = np.asarray(log_probability, dtype=np.float64)
    names = np.asarray(plates, dtype=str)
    if unknown := sorted(set(names.tolist()) - set(groups.plates)):
        raise BadInput(f"plates: found {some(unknown)}, train has {', '.join(groups.plates)}")
    masks = groups.masks(log_p.shape[1])
    mass = np.stack([logsumexp(log_p[:, mask], axis=1) for mask in masks], axis=1)  # (wells, groups)
    mass = np.maximum(mass, FLOOR)
    held = [[groups.group_on(plate, r) for plate in names] for r in range(len(groups.plates))]
    scores = np.stack([mass[np.arange(len(names)), group] for group in held])  # (rotations, wells)
    best, second = np.argsort(-scores.sum(axis=1), kind="stable")[:2]
    lead = scores[best] - scores[second]
    margin, spread = float(lead.sum()), float(np.sqrt((lead**2).sum()))
    return Rotation(int(best), margin, margin / spread if spread > 0 else 0.0)


def infer_rotations(log_probability: ArrayLike, wells: pd.DataFrame, groups: PlateGroups) -> pd.DataFrame:
    """`infer_rotation` of every experiment: a table `experiment`, `wells`, `rotation`, `margin`, `z`.

    `wells` has `experiment` and `plate`, rows as in `log_probability` (wells, classes).
    """
    log_p = np.asarray(log_probability, dtype=np.float64)
    rows: list[dict[str, Any]] = []
    for experiment in sorted(wells["experiment"].unique()):
        chosen = (wells["experiment"] == experiment).to_numpy()
        plates = wells.loc[chosen, "plate"].astype(str).tolist()
        found = infer_rotation(log_p[chosen], plates, groups)
        rows.append({"experiment": experiment, "wells": int(chosen.sum()), **found._asdict()})
    return pd.DataFrame(rows, columns=["experiment", "wells", *Rotation._fields])
