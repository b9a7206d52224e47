"""Class shares of each plate: the EM against a loop, a likelihood, and plates whose shares are known."""

import numpy as np
import pandas as pd
import pytest
from layout_screen import fold_table, layout_screen, predicted
from scipy.optimize import minimize
from scipy.special import softmax

from cellsignal.balancing import balance_screen
from cellsignal.calibration import apply_temperature, expected_calibration_error
from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.ensemble import WellProbabilities
from cellsignal.label_shift import class_shares, shift_held_out, shifted
from cellsignal.scoring import score_screen
from cellsignal.sites import answer_table

TRAIN = np.array([0.5, 0.3, 0.2])
GRID = np.geomspace(0.5, 20, 400)  # temperatures


def mixture(shares: np.ndarray, wells: int, seed: int, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Truth and exact posteriors under TRAIN of wells drawn from `shares`: three unit Gaussians in a plane."""
    random = np.random.default_rng(seed)
    centre = apart * np.array([[0.0, 1.0], [0.9, -0.5], [-0.9, -0.5]])
    truth = random.choice(3, wells, p=shares)
    x = centre[truth] + random.normal(size=(wells, 2))
    joint = np.exp(-((x[:, None] - centre) ** 2).sum(axis=2) / 2) * TRAIN
    return truth, joint / joint.sum(axis=1, keepdims=True)


def by_loop(p: np.ndarray, train: np.ndarray, pseudo: float) -> tuple[np.ndarray, list[float]]:
    """Saerens et al. 2002, equations 2.2 and 2.9, a well and a class at a time."""
    shares = list(train)
    for _ in range(3000):
        found = np.zeros_like(p)
        for i in range(len(p)):
            weights = [shares[c] / train[c] * p[i, c] for c in range(len(train))]
            for c in range(len(train)):
                found[i, c] = weights[c] / sum(weights)
        shares = [(found[:, c].sum() + pseudo * train[c]) / (len(p) + pseudo) for c in range(len(train))]
    return found, shares


def test_the_iteration_equals_a_loop() -> None:
    _, p = mixture(np.array([0.1, 0.1, 0.8]), 25, seed=1)
    found, shares = shifted(p, TRAIN, 4.0)
    slow, slow_shares = by_loop(p, TRAIN, 4.0)
    np.testing.assert_allclose(shares, slow_shares, atol=1e-4)
    np.testing.assert_allclose(found, slow, atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert shares.sum() == pytest.approx(1.0)


def test_the_shares_are_the_likeliest_ones() -> None:
    """Against a general optimizer of the posterior of the shares."""
    _, p = mixture(np.array([0.1, 0.6, 0.3]), 60, seed=2)
    pseudo = 5.0

    def loss(free: np.ndarray) -> float:
        shares = np.exp(np.append(free, 0.0))
        shares /= shares.sum()
        return -float(np.log(p @ (shares / TRAIN)).sum() + pseudo * (TRAIN * np.log(shares)).sum())

    free = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    best = np.exp(np.append(free, 0.0))
    np.testing.assert_allclose(shifted(p, TRAIN, pseudo)[1], best / best.sum(), atol=1e-3)


def test_known_shares_are_found_and_help() -> None:
    shares = np.array([0.05, 0.05, 0.9])
    truth, p = mixture(shares, 4000, seed=3)
    found, estimated = shifted(p, TRAIN, 1.0)
    np.testing.assert_allclose(estimated, shares, atol=0.03)
    assert (found.argmax(axis=1) == truth).mean() > (p.argmax(axis=1) == truth).mean() + 0.03


def test_many_pseudo_wells_leave_the_probabilities() -> None:
    _, p = mixture(np.array([0.1, 0.1, 0.8]), 10, seed=4)
    found, shares = shifted(p, TRAIN, 1e9)
    np.testing.assert_allclose(found, p, atol=1e-6)
    np.testing.assert_allclose(shares, TRAIN, atol=1e-6)


def test_a_class_that_no_model_saw_gets_no_well() -> None:
    found, shares = shifted([[0.2, 0.3, 0.5]], [0.5, 0.5, 0.0], 1.0)
    assert found[0, 2] == shares[2] == 0.0
    assert found[0].sum() == pytest.approx(1.0)


def table_of(plates: dict[str, list[int]]) -> pd.DataFrame:
    """A site table of train: plates with a cell of each class named."""
    rows = [(f"{plate}_{i}", plate, label) for plate, labels in plates.items() for i, label in enumerate(labels)]
    table = pd.DataFrame(rows, columns=["well_id", "plate_id", "sirna"])
    return table.assign(site_id=table["well_id"], dataset="train", well_type="treatment", experiment="A")


def test_a_held_out_plate_does_not_tell_its_own_shares() -> None:
    sites = table_of({"a": [0, 0, 0, 1], "b": [1, 2, 2, 2]})
    folds = pd.DataFrame({"group": ["a", "b"], "fold": [0, 1]})
    held_out = (sites["plate_id"] == "a").to_numpy()
    np.testing.assert_allclose(class_shares(sites, held_out, 3), [0.0, 0.25, 0.75])
    p = np.full((8, 3), 1 / 3, np.float32)
    wells = WellProbabilities(sites["well_id"].to_numpy(str), p, np.full(8, "out_of_fold"))
    found = shift_held_out(wells, sites, folds, 2.0).probability
    assert (found[held_out, 0] == 0).all(), "class 0 is on plate a alone, which the models of fold 0 did not see"
    assert (found[~held_out, 2] == 0).all()
    relabelled = sites.assign(sirna=sites["sirna"].where(~held_out, 2))
    np.testing.assert_array_equal(
        shift_held_out(wells, relabelled, folds, 2.0).probability[held_out],
        found[held_out],
        err_msg="labels of a held-out plate changed its predictions",
    )


def test_held_out_plates_are_calibrated_on_the_other_folds() -> None:
    rng = np.random.default_rng(0)
    labels = {plate: rng.integers(0, 3, 60).tolist() for plate in "abcd"}
    sites, folds = table_of(labels), pd.DataFrame({"group": list("abcd"), "fold": [0, 0, 1, 2]})
    logits = 2.0 * np.eye(3)[sites["sirna"]] + rng.normal(size=(240, 3))
    p = softmax(5 * logits, axis=1).astype(np.float32)  # five times too sure
    wells = WellProbabilities(sites["well_id"].to_numpy(str), p, np.full(240, "out_of_fold"))
    found = shift_held_out(wells, sites, folds, 5.0)
    for fold, plates in enumerate(["ab", "c", "d"]):
        own = sites["plate_id"].isin(list(plates)).to_numpy()
        truth = sites["sirna"].to_numpy()[~own]
        nll = [-np.log(apply_temperature(p[~own], t)[np.arange(len(truth)), truth]).mean() for t in GRID]
        shares = np.bincount(truth, minlength=3) / len(truth)
        for plate in plates:
            rows = (sites["plate_id"] == plate).to_numpy()
            expected, _ = shifted(apply_temperature(p[rows], GRID[int(np.argmin(nll))]), shares, 5.0)
            np.testing.assert_allclose(found.probability[rows], expected, atol=0.02, err_msg=f"fold {fold}")
    given = shift_held_out(wells, sites, folds, 5.0, temperature=1.0).probability
    own = (sites["plate_id"] == "d").to_numpy()
    shares = np.bincount(sites["sirna"][~own], minlength=3) / (~own).sum()
    np.testing.assert_allclose(given[own], shifted(p[own], shares, 5.0)[0], atol=1e-6)
    assert expected_calibration_error(found.probability, sites["sirna"]) < expected_calibration_error(
        given, sites["sirna"]
    )


def test_scores_tell_the_rung_and_keep_the_raw_one() -> None:
    screen = layout_screen()
    ensembles = {"round0": predicted(screen)}
    settings = BalanceSettings(method="none", plate_groups=False, label_shift=2.0)
    arguments = (ScoreSettings(), fold_table(screen))
    none = answer_table([], [])
    raw, _ = score_screen(ensembles, screen.sites, screen.classes, none, None, BalanceSettings(), *arguments)
    scores, wells = score_screen(ensembles, screen.sites, screen.classes, none, None, settings, *arguments)
    names = [rung["name"] for rung in scores["ladder"]["rungs"]]
    assert names == ["ensemble, round 0", "+ class shares of each plate"]
    held_out = wells[wells["role"] == "out_of_fold"]
    reached = (held_out["predicted"] == held_out["sirna"]).mean()
    assert scores["out_of_fold"]["accuracy"] == scores["ladder"]["rungs"][1]["accuracy"] == reached
    assert raw["out_of_fold"]["accuracy"] == scores["ladder"]["rungs"][0]["accuracy"] != reached
    balanced = balance_screen(ensembles["round0"], screen.sites, screen.classes, settings)
    assert balanced.priors["label_shift"] == 2.0


def test_a_layout_fixes_the_shares() -> None:
    with pytest.raises(ValueError, match="label_shift: set with method assignment"):
        BalanceSettings(label_shift=3.0)
