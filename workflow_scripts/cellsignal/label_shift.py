"""Plates hold classes in other shares than train: probabilities for the shares that each plate itself shows.

A classifier's probabilities hold for the class shares that it was trained on. Where a plate shows mostly one
phenotype, an unsure cell of it is likelier of that one. The shares are estimated from the plate's own
probabilities, without any label: Saerens, Latinne & Decaestecker (2002), Adjusting the outputs of a classifier to new
a priori probabilities, equations 2.2 and 2.9 (EM), here with a Dirichlet prior around train's shares, without which a
plate of three cells would hold one class for sure.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cellsignal.calibration import FLOOR
from cellsignal.ensemble import WellProbabilities
from cellsignal.folds import fold_of

TOLERANCE = 1e-6  # largest change of a share in a step, at which the iteration ends
STEPS = 1000


def shifted(
    probability: ArrayLike, train_shares: ArrayLike, pseudo_wells: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Class probabilities of one plate's wells for the plate's own class shares, and these shares.

    Args:
        probability: (wells, classes), for train's shares.
        train_shares: (classes,), what the models were trained on, sum 1; 0: a class that they never saw, and which no
            well of the plate gets.
        pseudo_wells: how many wells' worth train's shares count beside the plate's own wells, > 0.

    Returns:
        float64 (wells, classes), rows sum to 1, and float64 (classes,), which sum to 1.
    """
    train = np.asarray(train_shares, dtype=np.float64)
    seen = train > 0
    p = np.maximum(np.asarray(probability, dtype=np.float64), FLOOR)
    likelihood = np.where(seen, p / np.where(seen, train, 1.0), 0.0)
    shares = train
    for _ in range(STEPS):
        joint = likelihood * shares
        posterior = joint / joint.sum(axis=1, keepdims=True)
        before, shares = shares, (posterior.sum(axis=0) + pseudo_wells * train) / (len(posterior) + pseudo_wells)
        if np.abs(shares - before).max() < TOLERANCE:
            break
    return posterior, shares


def class_shares(sites: pd.DataFrame, held_out: NDArray[np.bool_], n_classes: int) -> NDArray[np.float64]:
    """Shares of the treatment classes (classes,) among the labelled train sites that are not held out."""
    chosen = (sites["dataset"] == "train") & (sites["well_type"] == "treatment") & (sites["sirna"] >= 0) & ~held_out
    count = np.bincount(sites.loc[chosen, "sirna"].to_numpy(np.int64), minlength=n_classes)
    return np.asarray(count / count.sum(), dtype=np.float64)


def shift_wells(
    wells: WellProbabilities, sites: pd.DataFrame, pseudo_wells: float, folds: pd.DataFrame | None = None
) -> WellProbabilities:
    """`wells` with the probabilities of each plate for its own class shares.

    Args:
        wells: class probabilities of treatment wells.
        sites: site table.
        pseudo_wells: as in `shifted`.
        folds: fold table, for out-of-fold wells: their models saw the shares of the other folds. None: test wells,
            whose models saw all of train between them.
    """
    fold = np.full(len(sites), -1) if folds is None else fold_of(sites, folds)
    of_well = sites.assign(fold=fold).drop_duplicates("well_id").set_index("well_id")[["plate_id", "fold"]]
    plates = of_well.loc[wells.well_id, "plate_id"].to_numpy(dtype=str)
    folds_of_wells = of_well.loc[wells.well_id, "fold"].to_numpy(dtype=np.int64)
    found = wells.probability.copy()
    for number in np.unique(folds_of_wells):
        train = class_shares(sites, (fold == number) & (number >= 0), found.shape[1])
        for plate in np.unique(plates[folds_of_wells == number]):
            rows = np.flatnonzero((plates == plate) & (folds_of_wells == number))
            found[rows] = shifted(found[rows], train, pseudo_wells)[0]
    return WellProbabilities(wells.well_id, found, wells.role)
