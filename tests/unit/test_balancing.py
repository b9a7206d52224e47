"""Balancing a whole screen: what it may look at, and that every test well gets a class."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from layout_screen import CLASSES, PLATES, TEST, TRAIN, layout_screen, predicted
from small_screens import public_rows, screen_of

from cellsignal.balancing import balance_screen
from cellsignal.calibration import fit_temperature
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import WellProbabilities, add_unseen
from cellsignal.errors import BadInput
from cellsignal.files import canonical_json
from cellsignal.plate_groups import derive_groups
from cellsignal.sites import Screen, well_table

METHODS = ["none", "uniqueness", "iterative", "assignment"]


@pytest.fixture(scope="module")
def screen() -> Screen:
    return layout_screen()


@pytest.fixture(scope="module")
def probabilities(screen: Screen) -> WellProbabilities:
    return predicted(screen)


def truth_of(screen: Screen) -> dict[str, int]:
    return dict(zip(screen.answers["well_id"], screen.answers["sirna"], strict=True))


def changed(wells: WellProbabilities, *roles: str) -> WellProbabilities:
    """Other probabilities for the wells of `roles`."""
    other = wells.probability.copy()
    rows = np.isin(wells.role, roles)
    other[rows] = np.random.default_rng(9).dirichlet(np.ones(other.shape[1]), rows.sum())
    return WellProbabilities(wells.well_id, other, wells.role)


def test_every_test_treatment_well_gets_a_treatment_class(screen: Screen, probabilities: WellProbabilities) -> None:
    for method in METHODS:
        balanced = balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings(method=method))
        assert balanced.wells["well_id"].tolist() == screen.answers["well_id"].tolist()  # and no control
        assert balanced.probabilities.well_id.tolist() == screen.answers["well_id"].tolist()
        assert set(balanced.probabilities.role) == {"test"}
        assert balanced.result.assigned.min() >= 0 and balanced.result.assigned.max() < CLASSES


def test_the_temperature_is_fitted_on_out_of_fold_wells_alone(screen: Screen, probabilities: WellProbabilities) -> None:
    def temperature(wells: WellProbabilities) -> float:
        priors = balance_screen(wells, screen.sites, screen.classes, BalanceSettings()).priors
        assert priors["temperature_fitted_on"] == "out-of-fold wells"
        return float(priors["temperature"])

    assert temperature(changed(probabilities, "test", "control")) == temperature(probabilities)
    assert temperature(changed(probabilities, "out_of_fold")) != temperature(probabilities)


def test_the_temperature_is_the_likeliest_of_a_grid(screen: Screen, probabilities: WellProbabilities) -> None:
    truth = well_table(screen.sites).set_index("well_id")["sirna"]
    grid = np.geomspace(0.05, 20, 400)
    loss = []
    for temperature in grid:
        total = 0.0
        for well, role, row in zip(
            probabilities.well_id, probabilities.role, probabilities.probability.astype(float), strict=True
        ):
            if role == "out_of_fold":
                powers = row ** (1 / temperature)
                total -= np.log(powers[truth[well]] / powers.sum())
        loss.append(total)
    found = balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings()).priors["temperature"]
    assert found == pytest.approx(grid[int(np.argmin(loss))], rel=0.02)


def test_a_given_temperature_is_used_and_needs_no_out_of_fold_wells(
    screen: Screen, probabilities: WellProbabilities
) -> None:
    only_test = probabilities.of_role("test")
    balanced = balance_screen(only_test, screen.sites, screen.classes, BalanceSettings(temperature=2.0))
    powers = only_test.probability.astype(float) ** 0.5
    np.testing.assert_allclose(
        balanced.probabilities.probability, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert balanced.priors["temperature"] == 2.0
    assert balanced.priors["temperature_fitted_on"] == "given in the settings"
    with pytest.raises(BadInput, match=r"no out-of-fold wells .* set balance.temperature"):
        balance_screen(only_test, screen.sites, screen.classes, BalanceSettings())


def test_plate_groups_come_from_train_alone(screen: Screen, probabilities: WellProbabilities) -> None:
    groups = balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings()).groups
    assert groups is not None
    assert groups.group_of == {c: c % PLATES for c in range(CLASSES)}  # as the screen was made
    assert groups.rotation == TRAIN
    # other test wells, other predictions, the same groups
    other = layout_screen(test={"HUVEC-09": 2, "RPE-09": 0}, seed=0)
    again = balance_screen(predicted(other, seed=5), other.sites, other.classes, BalanceSettings()).groups
    assert again == groups
    wells = well_table(screen.sites)
    assert derive_groups(wells[wells["dataset"] == "train"])[0] == groups


def test_a_plate_holds_the_group_of_its_rotation(screen: Screen, probabilities: WellProbabilities) -> None:
    balanced = balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings())
    for experiment, plate, assigned in zip(
        balanced.wells["experiment"], balanced.wells["plate"], balanced.result.assigned, strict=True
    ):
        assert assigned % PLATES == (int(plate) - 1 + TEST[experiment]) % PLATES
    rotations = balanced.priors["rotations"]
    assert {name: row["rotation"] for name, row in rotations.items()} == TEST
    assert all(row["used"] for row in rotations.values())
    assert balanced.priors["plate_groups"] == "used"


def test_plate_groups_can_be_switched_off(screen: Screen, probabilities: WellProbabilities) -> None:
    settings = BalanceSettings(plate_groups=False)
    balanced = balance_screen(probabilities, screen.sites, screen.classes, settings)
    assert balanced.groups is None
    assert balanced.priors["plate_groups"] == "not used: switched off"
    assert balanced.priors["rotations"] == {}
    wells = balanced.wells.assign(sirna=balanced.result.assigned)
    assert not wells.duplicated(["experiment", "sirna"]).any()


@pytest.mark.parametrize("method", METHODS)
def test_wells_without_images_get_a_class_too(screen: Screen, method: str) -> None:
    sure = predicted(screen, strength=14.0)
    truth = truth_of(screen)
    unseen = [screen.answers["well_id"][0], screen.answers["well_id"][25]]  # on two plates
    kept = ~np.isin(sure.well_id, unseen)
    wells = WellProbabilities(sure.well_id[kept], sure.probability[kept], sure.role[kept])
    settings = BalanceSettings(method=method)
    balanced = balance_screen(add_unseen(wells, screen.answers["well_id"]), screen.sites, screen.classes, settings)
    chosen = dict(zip(balanced.wells["well_id"], balanced.result.assigned.tolist(), strict=True))
    assert {well: label for well, label in chosen.items() if well not in unseen} == {
        well: label for well, label in truth.items() if well not in unseen
    }
    assert all(0 <= chosen[well] < CLASSES for well in unseen)
    roles = dict(zip(balanced.probabilities.well_id, balanced.probabilities.role, strict=True))
    assert [roles[well] for well in unseen] == ["unseen", "unseen"]
    if method == "assignment":  # the class that its plate has left over
        assert [chosen[well] for well in unseen] == [truth[well] for well in unseen]


def test_a_test_well_without_probabilities_is_an_error_that_names_it(
    screen: Screen, probabilities: WellProbabilities
) -> None:
    lost = screen.answers["well_id"][7]
    kept = probabilities.well_id != lost
    wells = WellProbabilities(probabilities.well_id[kept], probabilities.probability[kept], probabilities.role[kept])
    with pytest.raises(BadInput, match=f"no probabilities for 1 wells: {lost}"):
        balance_screen(wells, screen.sites, screen.classes, BalanceSettings())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("plate_groups", [True, False])
def test_the_priors_are_plain_values_for_people_and_the_audit(
    screen: Screen, probabilities: WellProbabilities, method: str, plate_groups: bool
) -> None:
    settings = BalanceSettings(method=method, plate_groups=plate_groups)
    priors = balance_screen(probabilities, screen.sites, screen.classes, settings).priors
    assert canonical_json(priors)
    assert (priors["method"], priors["uniqueness"]) == (method, method != "none")
    assert set(priors["rotations"]) == (set(TEST) if plate_groups else set())


def test_no_evidence_at_all_still_gives_a_table(screen: Screen, probabilities: WellProbabilities) -> None:
    uniform = np.full_like(probabilities.probability, 1 / (CLASSES + 2))
    flat = WellProbabilities(probabilities.well_id, uniform, probabilities.role)
    balanced = balance_screen(flat, screen.sites, screen.classes, BalanceSettings())
    assert canonical_json(balanced.priors)
    assert not any(row["used"] for row in balanced.priors["rotations"].values())
    assert "rotation unsure" in balanced.priors["notes"][0]


@pytest.fixture(scope="module")
def repeating() -> tuple[Screen, WellProbabilities]:
    """A screen whose second plates repeat the classes of the first."""
    rows = public_rows({"A-01": "train", "A-02": "train", "A-03": "test"})
    for row in rows:
        number = int(row["sirna_id"])
        if row["well_type"] == "treatment":
            row["sirna_id"], row["sirna"] = str(number % 4), f"s{number % 4}"
        else:  # no gaps between the class numbers
            row["sirna_id"] = str(number - 4)
    screen = screen_of(rows)
    wells: Any = well_table(screen.sites)
    wells = wells[wells["well_type"] == "treatment"]
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(6), len(wells)).astype(np.float32)
    role = np.where(wells["dataset"] == "test", "test", "out_of_fold")
    return screen, WellProbabilities(wells["well_id"].to_numpy(dtype=str), p, role)


def test_repeated_classes_leave_the_likeliest_class_of_each_well(repeating: tuple[Screen, WellProbabilities]) -> None:
    screen, probabilities = repeating
    balanced = balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings(method="none"))
    expected = [max(range(4), key=lambda c: row[c]) for row in probabilities.of_wells(balanced.wells["well_id"])]
    assert balanced.result.assigned.tolist() == expected
    assert balanced.groups is None
    assert balanced.priors["plate_groups"].startswith("not used: classes occur more than once in 2 of 2")


@pytest.mark.parametrize("method", METHODS[1:])
def test_methods_that_need_uniqueness_refuse_repeated_classes(
    repeating: tuple[Screen, WellProbabilities], method: str
) -> None:
    screen, probabilities = repeating
    with pytest.raises(BadInput, match=rf"(?s)balance.method {method} needs .*set it to none.*more than once"):
        balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings(method=method))


def test_the_tables_given_stay_as_they_were(screen: Screen, probabilities: WellProbabilities) -> None:
    before = screen.sites.copy(), probabilities.probability.copy()
    balance_screen(probabilities, screen.sites, screen.classes, BalanceSettings())
    pd.testing.assert_frame_equal(screen.sites, before[0])
    np.testing.assert_array_equal(probabilities.probability, before[1])


def test_the_temperature_is_that_of_the_strictly_out_of_fold_wells(screen: Screen) -> None:
    """Not of the wells whose labels were behind the pseudo-labels that the models learned from."""
    strict, later = predicted(screen, 1.0, seed=3), predicted(screen, 4.0, seed=4)
    train = well_table(screen.sites).query("dataset == 'train' and well_type == 'treatment'")
    truth = dict(zip(train["well_id"], train["sirna"], strict=True))
    expected = fit_temperature(strict, truth).temperature
    priors = balance_screen(later, screen.sites, screen.classes, BalanceSettings(), strict, "round0").priors
    assert priors["temperature"] == pytest.approx(expected, abs=1e-5)
    assert priors["temperature_fitted_on"] == "out-of-fold wells of round0"
    own = balance_screen(later, screen.sites, screen.classes, BalanceSettings()).priors
    assert own["temperature"] != priors["temperature"] and own["temperature_fitted_on"] == "out-of-fold wells"
