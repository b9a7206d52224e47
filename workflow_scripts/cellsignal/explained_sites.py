"""The sites that are looked at closely: chosen classes in all held-out experiments, and their Grad-CAM."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.predictions import read_arrays, write_arrays
from cellsignal.sites import class_numbers


def choose_sites(
    candidates: pd.DataFrame, classes: pd.DataFrame, named: Sequence[str] | None, most: int, seed: int
) -> pd.DataFrame:
    """One site per well of the chosen classes, in every experiment, at most `most`; sorted by class and experiment.

    Args:
        candidates: rows of the site table of known class, by models that did not see them.
        classes: the class table.
        named: names of classes; default: as many treatments, drawn, as fit into `most` with all experiments.
        most: largest number of sites. Where there are more, experiments and classes get equal shares.
        seed: of the draws.

    Raises:
        BadInput: a named class is not in the screen.
    """
    random = np.random.default_rng(seed)
    if named is not None:
        chosen = class_numbers(classes, named, "report.explained_classes")
    else:
        treatments = classes.loc[classes["well_type"] == "treatment", "sirna"]
        present = np.intersect1d(treatments, candidates["sirna"])
        count = min(len(present), max(1, most // max(1, candidates["experiment"].nunique())))
        chosen = random.choice(present, count, replace=False).tolist()
    sites = candidates[candidates["sirna"].isin(chosen)].sort_values("site_id").drop_duplicates("well_id")
    # In turn one site of every (experiment, class), so that what is cut off is a second or third of them.
    sites = sites.iloc[random.permutation(len(sites))]
    turn = sites.groupby(["experiment", "sirna"]).cumcount()
    sites = sites.iloc[np.argsort(turn, kind="stable")[:most]]
    return sites.sort_values(["cell_type", "sirna", "experiment", "site_id"], ignore_index=True)


@dataclass(frozen=True)
class Explanations:
    """Grad-CAM of sites, in the order of `choose_sites`.

    Attributes:
        site_id: str (sites,).
        called: int64 (sites,), the class that the map speaks for: the one that the model calls.
        probability: float32 (sites,), what the model gives it.
        cam: uint8 (sites, h, w), 255 where the evidence is strongest; empty where nothing speaks for the class.
        correlation, distance: float32 (sites, channels), of `attention.concordance`; NaN for an empty map.
        layer: the module whose feature map was read.
    """

    site_id: NDArray[Any]
    called: NDArray[np.int64]
    probability: NDArray[np.float32]
    cam: NDArray[np.uint8]
    correlation: NDArray[np.float32]
    distance: NDArray[np.float32]
    layer: str


ARRAYS = ("site_id", "called", "probability", "cam", "correlation", "distance")


def write_explanations(path: str | Path, found: Explanations) -> None:
    """Write an HDF5 file, atomically; equal content gives equal bytes."""
    write_arrays(path, {name: getattr(found, name) for name in ARRAYS} | {"layer": np.array([found.layer])})


def read_explanations(path: str | Path) -> Explanations:
    """Read what `write_explanations` wrote. Raises `BadInput` if `path` holds something else."""
    arrays = read_arrays(path, (*ARRAYS, "layer"))
    return Explanations(**{name: arrays[name] for name in ARRAYS}, layer=str(arrays["layer"][0]))


def neighbour_table(
    queries: pd.DataFrame,
    wells: pd.DataFrame,
    rows: NDArray[np.int64],
    cosines: NDArray[np.float64],
    names: pd.Series,
) -> pd.DataFrame:
    """One row per query and neighbour, nearest first.

    Args:
        queries: the explained sites.
        wells: one row per well that could be a neighbour: `site_id` (one of its sites), `well_id`, `experiment`,
            `sirna` (−1: withheld), `called` (class index, −1: not called).
        rows, cosines: (queries, k), of `embedding.nearest_rows`; rows of `wells`, −1 for none.
        names: class index → name.
    """
    found = []
    for query, near, cosine in zip(queries.to_dict("records"), rows, cosines, strict=True):
        for rank, (row, value) in enumerate(zip(near, cosine, strict=True), start=1):
            if row < 0:
                continue
            well = wells.iloc[row]
            found.append(
                {
                    "site_id": query["site_id"],
                    "well_id": query["well_id"],
                    "cell_type": query["cell_type"],
                    "experiment": query["experiment"],
                    "class_name": names[query["sirna"]],
                    "rank": rank,
                    "neighbour_site_id": well["site_id"],
                    "neighbour_well_id": well["well_id"],
                    "neighbour_experiment": well["experiment"],
                    "neighbour_class_name": names.get(well["sirna"], ""),
                    "neighbour_called": names.get(well["called"], ""),
                    "cosine": value,
                }
            )
    columns = ["site_id", "well_id", "cell_type", "experiment", "class_name", "rank"]
    columns += [f"neighbour_{key}" for key in ("site_id", "well_id", "experiment", "class_name", "called")]
    return pd.DataFrame(found, columns=[*columns, "cosine"])
