"""Are probabilities what they say? One temperature, fitted on out-of-fold wells only, and reliability.

Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from cellsignal.ensemble import WellProbabilities
from cellsignal.errors import BadInput

FLOOR = 1e-12  # least probability under a logarithm
RANGE = (0.02, 50.0)  # temperatures that are searched


@dataclass(frozen=True)
class Temperature:
    """A fitted softmax temperature T: probabilities become p^(1/T), normalized. T > 1 makes less sure.

    Attributes:
        temperature: T.
        nll_before: mean negative log-likelihood (nats per well) of the wells fitted on, with T = 1.
        nll_after: the same with T.
        wells: how many wells it was fitted on.
    """

    temperature: float
    nll_before: float
    nll_after: float
    wells: int


def apply_temperature(probability: ArrayLike, temperature: float) -> NDArray[np.float32]:
    """p^(1/T) with rows normalized: float32 (wells, classes). Order of classes within a row is kept."""
    logits = np.log(np.maximum(np.asarray(probability, dtype=np.float64), FLOOR))
    return np.asarray(softmax(logits / temperature, axis=1), dtype=np.float32)


def fit_temperature(wells: WellProbabilities, truth: Mapping[str, int]) -> Temperature:
    """The temperature that maximizes the likelihood of the out-of-fold wells; all other wells are ignored.

    A test well is the mean over all folds and so a little less sure than an out-of-fold well, which only the
    models of its own fold predict; the temperature does not correct for this.

    Args:
        wells: class probabilities, of any role.
        truth: well → class of train wells; wells without an entry are left out.

    Raises:
        BadInput: no out-of-fold well with a known class.
    """
    held_out = wells.of_role("out_of_fold")
    known = np.array([well in truth for well in held_out.well_id], dtype=bool)
    if not known.any():
        raise BadInput(
            "temperature: there are no out-of-fold wells to fit it on; predict the held-out experiments, or "
            "set balance.temperature"
        )
    label = np.array([truth[well] for well in held_out.well_id[known]])
    logits = np.log(np.maximum(held_out.probability[known].astype(np.float64), FLOOR))

    def nll(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-log_p[np.arange(len(label)), label].mean())

    # In 1/T the function is convex, so it has one minimum in log T too.
    found = minimize_scalar(nll, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-5})
    return Temperature(float(np.exp(found.x)), nll(0.0), float(found.fun), len(label))


def reliability(probability: ArrayLike, truth: ArrayLike, bins: int = 15) -> pd.DataFrame:
    """How often wells are right, by how sure they are.

    Args:
        probability: (wells, classes).
        truth: class (wells,).
        bins: equal intervals of confidence over [0, 1].

    Returns:
        One row per interval: `low`, `high`, `wells`, `confidence` and `accuracy` (means; NaN if empty).
    """
    p = np.asarray(probability, dtype=np.float64)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == np.asarray(truth)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # intervals are (low, high]
    wells = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": np.arange(bins) / bins,
                "high": np.arange(1, bins + 1) / bins,
                "wells": wells,
                "confidence": np.bincount(place, confidence, bins) / wells,
                "accuracy": np.bincount(place, right, bins) / wells,
            }
        )


def expected_calibration_error(probability: ArrayLike, truth: ArrayLike, bins: int = 15) -> float:
    """Mean over wells of |confidence − accuracy| of their interval, in [0, 1]."""
    table = reliability(probability, truth, bins)
    gap = (table["confidence"] - table["accuracy"]).abs().fillna(0.0)
    return float((gap * table["wells"]).sum() / table["wells"].sum())


def entropy(probability: ArrayLike) -> NDArray[np.float64]:
    """Entropy of each row of (wells, classes), in nats: 0 if sure, log(classes) if at a loss."""
    p = np.asarray(probability, dtype=np.float64)
    return np.asarray(-(p * np.log(np.maximum(p, FLOOR))).sum(axis=1))
