"""Plates hold classes in other shares than train: probabilities for the shares that each plate itself shows.

A classifier's probabilities hold for the class shares that it was trained on. Where a plate shows mostly one
phenotype, an unsure cell of it is likelier of that one. The shares are estimated from the plate's own
probabilities, without any label: Saerens, Latinne & Decaestecker (2002), Adjusting the outputs of a classifier to new
a priori probabilities, equations 2.2 and 2.9 (EM), here with a Dirichlet prior around train's shares, without which a
plate of three cells would hold one class for sure.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cellsignal.calibration import FLOOR, apply_temperature, fit_temperature
from cellsignal.ensemble import WellProbabilities
from cellsignal.folds import folds_of_wells, held_out

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


def shift_wells(wells: WellProbabilities, sites: pd.DataFrame, pseudo_wells: float) -> WellProbabilities:
    """Test wells with the probabilities of each plate for its own class shares.

    Args:
        wells: calibrated class probabilities of treatment wells, whose models saw all of train between them.
        sites: site table.
        pseudo_wells: as in `shifted`.
    """
    train = class_shares(sites, np.zeros(len(sites), dtype=np.bool_), wells.probability.shape[1])
    plates = _column(wells, sites, "plate_id")
    return WellProbabilities(wells.well_id, _by_plate(wells.probability, plates, train, pseudo_wells), wells.role)


def shift_held_out(
    wells: WellProbabilities,
    sites: pd.DataFrame,
    folds: pd.DataFrame,
    pseudo_wells: float,
    temperature: float | None = None,
    calibration: WellProbabilities | None = None,
) -> WellProbabilities:
    """Out-of-fold wells with the probabilities of each plate for its own class shares; all others as they are.

    What depends on labels is taken from other folds, as a fold's models saw nothing else: train's shares, and the
    temperature that makes probabilities what they say, which the method takes for granted (Alexandari, Kundaje &
    Shrikumar 2020, Maximum likelihood with bias-corrected calibration is hard to beat at label shift adaptation).

    Args:
        wells: class probabilities, of any role.
        sites: site table.
        folds: fold table.
        pseudo_wells: as in `shifted`.
        temperature: None: fitted on the out-of-fold wells of the other folds; 1 where there are none.
        calibration: the ensemble whose out-of-fold wells it is fitted on; default: `wells`.
    """
    known = sites[(sites["well_type"] == "treatment") & (sites["sirna"] >= 0)]
    truth = dict(zip(known["well_id"], known["sirna"].astype(int), strict=True))
    out, fit_on = wells.of_role("out_of_fold"), (calibration or wells).of_role("out_of_fold")
    plates, of_well = _column(out, sites, "plate_id"), folds_of_wells(sites, folds)
    # A well that several folds hold out was seen by none of their models: what those held out is left aside together.
    voters = np.array([of_well[str(well)] for well in out.well_id] + [()], dtype=object)[:-1]
    found = out.probability.copy()
    for numbers in sorted(set(voters)):
        own = np.array([v == numbers for v in voters])
        apart = np.array([not set(v) & set(numbers) for v in voters])
        others = WellProbabilities(fit_on.well_id[apart], fit_on.probability[apart], fit_on.role[apart])
        fitted = fit_temperature(others, truth).temperature if len(others.well_id) else 1.0
        calibrated = apply_temperature(found[own], fitted if temperature is None else temperature)
        unseen = np.any([held_out(sites, folds, number) for number in numbers], axis=0)
        train = class_shares(sites, unseen, found.shape[1])
        found[own] = _by_plate(calibrated, plates[own], train, pseudo_wells)
    probability = wells.probability.copy()
    probability[wells.role == "out_of_fold"] = found
    return WellProbabilities(wells.well_id, probability, wells.role)


def _by_plate(
    probability: NDArray[np.float32], plates: NDArray[Any], train_shares: NDArray[np.float64], pseudo_wells: float
) -> NDArray[np.float32]:
    found = probability.copy()
    for plate in np.unique(plates):
        found[plates == plate] = shifted(probability[plates == plate], train_shares, pseudo_wells)[0]
    return found


def _column(wells: WellProbabilities, sites: pd.DataFrame, name: str) -> NDArray[Any]:
    """A column of the site table for each of `wells`."""
    return np.asarray(sites.drop_duplicates("well_id").set_index("well_id").loc[wells.well_id, name])
