"""Which sites a training sees, and in what role. Every leak would start here, so it is one small function.

The rows are written beside the weights (`rows.parquet`), and the audit checks them against the folds.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.config.learning import ALL_CELL_TYPES
from cellsignal.errors import BadInput
from cellsignal.folds import held_out
from cellsignal.loader import TrainingSites
from cellsignal.normalization import Scheme, lookup
from cellsignal.plates import SiteReader

ROLES = ["train", "pseudo", "unlabelled", "validation"]


def training_rows(
    sites: pd.DataFrame,
    folds: pd.DataFrame,
    fold: int,
    packed: Collection[str] | None,
    controls: bool,
    cell_type: str | None = None,
    pseudo_labels: pd.DataFrame | None = None,
    unlabelled: bool = False,
    validated: bool = True,
) -> pd.DataFrame:
    """The rows of one training, `site_id`, `role`, `sirna`, `weight`: role by role, each sorted by site.

    `train`: labelled sites of the other folds, and controls of test experiments (their classes are
    published) if `controls`. `validation`: treatment sites of the held-out fold. `pseudo`: test sites with a
    pseudo-label. `unlabelled`: all test treatment sites, with sirna −1.

    Args:
        sites: site table. folds: fold table. fold: the fold that is held out.
        packed: ids of the sites whose images could be read; None: all of them, as planning has to suppose.
        cell_type: only sites of this cell type; None or `ALL_CELL_TYPES`: all.
        pseudo_labels: well_id, sirna, weight (relative to a labelled site's 1); None: no pseudo-labels.
        validated: whether the result hangs on validation, as it does where the best epoch is chosen.

    Raises:
        BadInput: nothing to train on, or nothing to validate on although the result hangs on it.
    """
    chosen = _there(sites, packed)
    if cell_type not in (None, ALL_CELL_TYPES):
        chosen &= sites["cell_type"] == cell_type
    sites = sites[chosen]
    held = held_out(sites, folds, fold)
    control = (sites["well_type"] != "treatment").to_numpy()
    test = (sites["dataset"] == "test").to_numpy()
    unknown = test & ~control
    labelled = ~held & ~unknown & (controls | ~control)
    parts = [
        _rows(sites[labelled], "train", 1.0),
        _rows(sites[held & ~control], "validation", 1.0),
    ]
    if unlabelled:
        parts.append(_rows(sites[unknown], "unlabelled", 0.0))
    if pseudo_labels is not None:
        given = pseudo_labels.set_index("well_id")
        told = sites[unknown & sites["well_id"].isin(given.index).to_numpy()]
        told = told.assign(sirna=told["well_id"].map(given["sirna"]).astype(np.int64))
        parts.append(_rows(told, "pseudo", told["well_id"].map(given["weight"])))
    where = f"fold {fold}" + (f", {cell_type}" if cell_type else "")
    if parts[0].empty:
        raise BadInput(f"{where}: no sites to train on; expected some, check folds and the screen's tables")
    if validated and parts[1].empty:
        raise BadInput(
            f"{where}: no sites to validate on, but select: best or patience asks for them; expected a fold that holds "
            "some out (folds.count, folds.held_out), or select: last and no patience"
        )
    return pd.concat(parts, ignore_index=True)


def prediction_roles(sites: pd.DataFrame, folds: pd.DataFrame, fold: int) -> NDArray[np.str_]:
    """The role of each site (sites,) for a model whose fold `fold` was held out; empty: not predicted.

    `test`: treatment wells of test experiments; `out_of_fold`: treatment wells of the held-out groups;
    `control`: their control wells, none of which the model was trained on.
    """
    held = held_out(sites, folds, fold)
    treatment = (sites["well_type"] == "treatment").to_numpy()
    test = (sites["dataset"] == "test").to_numpy() & treatment
    names = np.where(test, "test", np.where(held, np.where(treatment, "out_of_fold", "control"), ""))
    return names.astype(np.str_)


def prediction_rows(
    sites: pd.DataFrame,
    folds: pd.DataFrame,
    fold: int,
    packed: Collection[str] | None,
    cell_type: str,
    whole_plates: bool = False,
) -> pd.DataFrame:
    """The sites of one prediction as rows like those of a training, without labels, sorted by site.

    Roles are those of `prediction_roles`. With `whole_plates`, the other sites of those plates join with an
    empty role: they are looked at, for the plate's statistics, but no prediction of them is kept.
    """
    role = pd.Series(prediction_roles(sites, folds, fold), sites.index)
    there = _there(sites, packed) & (sites["cell_type"] == cell_type)
    asked = there & (role != "")
    if whole_plates:
        asked = there & sites["plate_id"].isin(sites.loc[asked, "plate_id"])
    rows = _rows(sites[asked].assign(sirna=-1), "", 0.0)
    return rows.assign(role=role.set_axis(sites["site_id"]).loc[rows["site_id"]].to_numpy())


def _there(sites: pd.DataFrame, packed: Collection[str] | None) -> pd.Series:
    """Which sites have images."""
    return pd.Series(True, sites.index) if packed is None else sites["site_id"].isin(packed)


def _rows(sites: pd.DataFrame, role: str, weight: float | pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "site_id": sites["site_id"].array,  # keeps its type where there is no site
            "role": role,
            "sirna": sites["sirna"].to_numpy(np.int64),
            "weight": np.full(len(sites), weight, np.float32),
        }
    ).sort_values("site_id", ignore_index=True)


def sites_of_role(
    rows: pd.DataFrame,
    roles: Collection[str],
    reader: SiteReader,
    sites: pd.DataFrame,
    statistics: pd.DataFrame,
    scheme: Scheme,
) -> TrainingSites:
    """The rows of some roles with what a batch of them needs: reader rows, targets, weights, statistics, groups.

    `statistics` is the normalization table of `scheme`; `sites` the whole site table.
    """
    chosen = rows[rows["role"].isin(roles)]
    known = sites.set_index("site_id", drop=False).loc[chosen["site_id"]]
    mean, std = lookup(statistics, known, scheme)
    return TrainingSites(
        rows=reader.index(chosen["site_id"]),
        target=chosen["sirna"].to_numpy(np.int64),
        weight=chosen["weight"].to_numpy(np.float32),
        mean=mean,
        std=std,
        cell_type=numbered(known["cell_type"], sites["cell_type"]),
        plate=numbered(known["plate_id"], sites["plate_id"]),
        pseudo=(chosen["role"] == "pseudo").to_numpy(np.int64),
    )


def numbered(values: pd.Series, of: pd.Series) -> NDArray[np.int64]:
    """The number of each value among the sorted different values of `of`, such as all cell types of a screen."""
    numbers: NDArray[np.int64] = np.searchsorted(np.unique(of.to_numpy(dtype=str)), values.to_numpy(dtype=str))
    return numbers
