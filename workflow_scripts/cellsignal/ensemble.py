"""Class probabilities of wells: the mean over their sites, and over models and folds.

The softmax is over classes. (The code released with DeepNoise takes it over the wells.) A train well is
voted on only by the models whose folds held it out: the predictions file says so in its role.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cellsignal.errors import BadInput, raise_all
from cellsignal.predictions import iterate_logits, read_arrays, some, write_arrays

UNSEEN = "unseen"  # role of a test well that no model could look at: its images are missing


class PredictionFile(NamedTuple):
    """Predictions of one model of one fold; there may be several files of them, as one per cell type."""

    model: str
    fold: int
    path: Path


@dataclass(frozen=True)
class WellProbabilities:
    """Class probabilities of wells, sorted by `well_id`.

    Attributes:
        well_id: str (wells,), each once.
        probability: float32 (wells, classes), rows sum to 1.
        role: str (wells,), `test`, `out_of_fold`, `control` or `unseen`.
    """

    well_id: NDArray[Any]
    probability: NDArray[np.float32]
    role: NDArray[Any]

    def of_role(self, *roles: str) -> "WellProbabilities":
        """The wells that have one of `roles`."""
        chosen = np.isin(self.role, roles)
        return WellProbabilities(self.well_id[chosen], self.probability[chosen], self.role[chosen])

    def of_wells(self, wells: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities (wells, classes) of `wells`, in their order. Raises BadInput if one is missing."""
        wanted = np.asarray(list(wells), dtype=str)
        rows = pd.Index(self.well_id).get_indexer(wanted)
        if (rows < 0).any():
            raise BadInput(f"no probabilities for {(rows < 0).sum()} wells: {some(wanted[rows < 0])}")
        found: NDArray[np.float32] = self.probability[rows]
        return found


def ensemble(files: Sequence[PredictionFile], sites: pd.DataFrame) -> WellProbabilities:
    """Mean class probabilities per well over its sites, the models and their folds.

    Every (site, model, fold) counts the same; a well with one site is the mean over that one. The order of
    `files` does not matter.

    Args:
        files: prediction files.
        sites: site table, or at least its columns `site_id` and `well_id`.

    Raises:
        BadInput: no predictions; class counts differ; a site is unknown, or is predicted twice by one model and
            fold; a well has two roles.
    """
    wells = np.unique(sites["well_id"].to_numpy(dtype=str))
    site_ids = pd.Index(sites["site_id"].to_numpy(dtype=str))
    well_of_site = np.searchsorted(wells, sites["well_id"].to_numpy(dtype=str))
    roles = np.full(len(wells), "", dtype=object)
    votes = np.zeros(len(wells), dtype=np.int64)
    total: NDArray[np.float64] | None = None
    seen: dict[str, NDArray[np.bool_]] = {}  # the sites that a model of a fold predicted already
    problems: list[str] = []
    for file in sorted(files, key=lambda file: (file.model, file.fold, str(file.path))):
        for site_id, role, logits in iterate_logits(file.path):
            rows = site_ids.get_indexer(site_id)
            known = rows >= 0
            if not known.all():
                problems.append(f"{file.path}: sites that the site table lacks: {some(site_id[~known])}")
                continue
            total = np.zeros((len(wells), logits.shape[1])) if total is None else total
            if logits.shape[1] != total.shape[1]:
                problems.append(f"{file.path}: {logits.shape[1]} classes; the others have {total.shape[1]}")
                break
            problems += _votes_twice(file, site_id, rows, seen, len(site_ids))
            well = well_of_site[rows]
            other = (roles[well] != "") & (roles[well] != role)
            if other.any():
                problems.append(f"{file.path}: wells with two roles: {some(wells[well[other]])}")
            roles[well] = role
            np.add.at(votes, well, 1)
            np.add.at(total, well, softmax(logits.astype(np.float64), axis=1))
    raise_all(problems, "ensemble")
    if total is None:
        raise BadInput("ensemble: the prediction files hold no sites")
    voted = votes > 0
    mean = total[voted] / votes[voted, None]
    return WellProbabilities(wells[voted], mean.astype(np.float32), roles[voted].astype(str))


def _votes_twice(
    file: PredictionFile,
    site_id: NDArray[Any],
    rows: NDArray[np.intp],
    seen: dict[str, NDArray[np.bool_]],
    n_sites: int,
) -> list[str]:
    """Problems of sites that vote twice for one model and fold; notes the sites of this piece in `seen`."""
    who = f"{file.model}, fold {file.fold}"
    before = seen.setdefault(who, np.zeros(n_sites, dtype=bool))
    again = before[rows]
    before[rows] = True
    return [f"{file.path}: sites predicted twice by model {who}: {some(site_id[again])}"] if again.any() else []


def add_unseen(wells: WellProbabilities, test_wells: Iterable[str]) -> WellProbabilities:
    """Give every well of `test_wells` that has no probabilities a uniform row, with the role `unseen`.

    A submission needs a row for each test well, also for those whose images are missing; balancing gives
    such a well the class that its plate has left over.
    """
    missing = np.setdiff1d(np.asarray(list(test_wells), dtype=str), wells.well_id)
    n_classes = wells.probability.shape[1]
    well_id = np.concatenate([wells.well_id, missing])
    uniform = np.full((len(missing), n_classes), 1 / n_classes, dtype=np.float32)
    order = np.argsort(well_id)
    return WellProbabilities(
        well_id[order],
        np.concatenate([wells.probability, uniform])[order],
        np.concatenate([wells.role, np.full(len(missing), UNSEEN)])[order],
    )


def write_probabilities(path: str | Path, wells: WellProbabilities) -> None:
    """Write class probabilities as HDF5, atomically; equal probabilities give equal bytes."""
    write_arrays(path, {"well_id": wells.well_id, "probability": wells.probability, "role": wells.role})


def read_probabilities(path: str | Path) -> WellProbabilities:
    """Class probabilities from HDF5. Raises BadInput if `path` holds none."""
    return WellProbabilities(**read_arrays(path, ("well_id", "probability", "role")))
