"""Balancing a whole screen: temperature, plate groups, and the chosen method, on its test wells."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellsignal.assignment import BalanceResult, balance
from cellsignal.calibration import apply_temperature, fit_temperature
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import WellProbabilities
from cellsignal.label_shift import shift_wells
from cellsignal.plate_groups import PlateGroups, derive_groups, treatment_wells
from cellsignal.sites import well_table


@dataclass(frozen=True)
class Balanced:
    """Test treatment wells with their class, and the priors that chose it.

    Attributes:
        wells: well table of the test treatment wells.
        probabilities: of those wells in that order, after the temperature (and the plates' own class shares, if the
            settings ask for them) and before any prior of the layout.
        groups: plate groups that train shows; None: none, or switched off.
        result: the choice, from `assignment.balance`.
        priors: what was used and how it was derived, for people and the audit (JSON values only).
    """

    wells: pd.DataFrame
    probabilities: WellProbabilities
    groups: PlateGroups | None
    result: BalanceResult
    priors: dict[str, Any]


def balance_screen(
    probabilities: WellProbabilities,
    sites: pd.DataFrame,
    classes: pd.DataFrame,
    settings: BalanceSettings,
    calibration: WellProbabilities | None = None,
    calibrated_on: str = "",
) -> Balanced:
    """Choose a class for every test treatment well of a screen.

    The temperature is fitted on out-of-fold wells unless the settings give one; plate groups are derived
    from train alone. If the models behind `probabilities` learned from labels that teachers of all folds gave, their
    out-of-fold wells are not strictly so: `calibration` is then the ensemble of a round before any pseudo-labels, which
    is a little less sure, so that its temperature is an approximation.

    Args:
        calibration: the ensemble whose out-of-fold wells the temperature is fitted on; default: `probabilities`.
        calibrated_on: its name, for the record.

    Raises:
        BadInput: the method needs a rule that the screen does not keep, or there is nothing to fit on.
    """
    table = well_table(sites)
    train = treatment_wells(table[table["dataset"] == "train"])
    wells = table[(table["dataset"] == "test") & (table["well_type"] == "treatment")].reset_index(drop=True)
    fitted = settings.temperature is None
    truth = dict(zip(train["well_id"], train["sirna"].astype(int), strict=True))
    fit_on = probabilities if calibration is None else calibration
    temperature = fit_temperature(fit_on, truth).temperature if fitted else settings.temperature
    assert temperature is not None
    groups, reason = derive_groups(train) if settings.plate_groups else (None, "switched off")
    calibrated = apply_temperature(probabilities.of_wells(wells["well_id"]), temperature)
    role = pd.Series(probabilities.role, index=probabilities.well_id).loc[wells["well_id"]].to_numpy(dtype=str)
    voted = WellProbabilities(wells["well_id"].to_numpy(dtype=str), calibrated, role)
    if settings.label_shift is not None:
        voted = shift_wells(voted, sites, settings.label_shift)
    result = balance(
        voted.probability,
        wells,
        settings.method,
        groups,
        treatments=classes.loc[classes["well_type"] == "treatment", "sirna"],
        train_wells=train if settings.method != "none" else None,
        step=settings.step,
    )
    priors = {
        "method": settings.method,
        "uniqueness": settings.method != "none",
        "plate_groups": "used" if groups is not None else f"not used: {reason}",
        "temperature": round(float(temperature), 6),
        "temperature_fitted_on": f"out-of-fold wells{f' of {calibrated_on}' if calibrated_on else ''}"
        if fitted
        else "given in the settings",
        "label_shift": settings.label_shift,
        "rotations": {
            str(row["experiment"]): {
                "rotation": int(row["rotation"]),
                "margin_nats": round(float(row["margin"]), 3),
                "margin_standard_errors": round(float(row["z"]), 3),
                "used": bool(row["used"]),
            }
            for row in result.rotations.to_dict("records")
        },
        "notes": result.log,
    }
    return Balanced(wells, voted, groups, result, priors)
