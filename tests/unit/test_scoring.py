"""Scores are what loops and scikit-learn count, on wells that no voting model saw."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from layout_screen import CLASSES, TEST, fold_table, layout_screen, predicted
from scipy.stats import entropy
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from cellsignal.balancing import balance_screen
from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.ensemble import WellProbabilities, add_unseen
from cellsignal.files import canonical_json
from cellsignal.intervals import LINE, interval
from cellsignal.scoring import score_screen
from cellsignal.sites import Screen, answer_table, well_table

ENSEMBLES = ["round0", "round1", "reference-baseline"]  # in the order that the workflow gives them
NO_ANSWERS = answer_table([], [])


@pytest.fixture(scope="module")
def screen() -> Screen:
    return layout_screen()


@pytest.fixture(scope="module")
def ensembles(screen: Screen) -> dict[str, WellProbabilities]:
    strength = {"reference-baseline": 0.8, "round0": 1.6, "round1": 2.2}
    return {name: predicted(screen, strength[name], seed) for seed, name in enumerate(ENSEMBLES)}


@pytest.fixture(scope="module")
def submitted(screen: Screen, ensembles: dict[str, WellProbabilities]) -> pd.DataFrame:
    balanced = balance_screen(ensembles["round1"], screen.sites, screen.classes, BalanceSettings())
    return pd.DataFrame({"well_id": balanced.wells["well_id"], "sirna": balanced.result.assigned})


@pytest.fixture(scope="module")
def answers(screen: Screen) -> pd.DataFrame:
    """The truth of two test wells in three."""
    return screen.answers[np.arange(len(screen.answers)) % 3 > 0].reset_index(drop=True)


def scored(
    screen: Screen,
    ensembles: dict[str, WellProbabilities],
    answers: pd.DataFrame,
    submitted: pd.DataFrame | None,
    **score: Any,
) -> tuple[dict[str, Any], pd.DataFrame]:
    return score_screen(
        ensembles,
        screen.sites,
        screen.classes,
        answers,
        submitted,
        BalanceSettings(),
        ScoreSettings(**score),
        fold_table(screen),
    )


def rows_of(wells: WellProbabilities) -> dict[str, np.ndarray]:
    return dict(zip(wells.well_id, wells.probability, strict=True))


def likeliest(row: np.ndarray, classes: int = CLASSES) -> int:
    return max(range(classes), key=lambda c: row[c])


def calibration_error(pairs: list[tuple[np.ndarray, int]], bins: int = 15) -> float:
    """Guo et al. 2017, equation 3, by loops."""
    total = 0.0
    for number in range(bins):
        inside = [
            (max(row), likeliest(row, len(row)) == truth)
            for row, truth in pairs
            if number / bins < max(row) <= (number + 1) / bins
        ]
        if inside:
            total += abs(sum(sure for sure, _ in inside) - sum(right for _, right in inside))
    return total / len(pairs)


def test_out_of_fold_metrics_are_scikit_learn_s(screen: Screen, ensembles: dict[str, WellProbabilities]) -> None:
    scores, _ = scored(screen, ensembles, NO_ANSWERS, None)
    wells = well_table(screen.sites)
    wells = wells[(wells["dataset"] == "train") & (wells["well_type"] == "treatment")]
    final = rows_of(ensembles["round1"])
    truth = wells["sirna"].tolist()
    predicted_classes = [likeliest(final[well]) for well in wells["well_id"]]
    found = scores["out_of_fold"]
    assert found["wells"] == len(wells) == 80
    assert found["accuracy"] == accuracy_score(truth, predicted_classes)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted_classes))
    among = [final[well][:CLASSES].astype(float) for well in wells["well_id"]]  # a treatment well holds no control
    pairs = [(row / row.sum(), label) for row, label in zip(among, truth, strict=True)]
    assert found["calibration_error"] == pytest.approx(calibration_error(pairs), abs=1e-6)
    for key, column in (("by_cell_type", "cell_type"), ("by_experiment", "experiment")):
        expected = []
        for group in sorted(set(wells[column])):
            hits = [p == t for p, t, g in zip(predicted_classes, truth, wells[column], strict=True) if g == group]
            expected.append(
                {"group": group, "accuracy": sum(hits) / len(hits), "correct": sum(hits), "wells": len(hits)}
            )
        assert found[key] == expected


@pytest.mark.parametrize("chosen", [False, True])
def test_out_of_fold_numbers_say_what_they_are_and_stand_beside_strict_ones(
    screen: Screen, ensembles: dict[str, WellProbabilities], chosen: bool
) -> None:
    arguments = screen.sites, screen.classes, NO_ANSWERS, None, BalanceSettings(), ScoreSettings(), fold_table(screen)
    scores, wells = score_screen(ensembles, *arguments, strict="round0", epoch_chosen=chosen)
    last, strict = scores["out_of_fold"], scores["out_of_fold_strict"]
    assert (last["ensemble"], last["strictly_out_of_fold"]) == ("round1", False)
    assert "pseudo-labels that it learned from came from models that were" in last["caveat"]
    assert (strict["ensemble"], strict["strictly_out_of_fold"]) == ("round0", True)
    for part in (last, strict):
        assert part["epoch_chosen_by_held_out_fold"] == chosen == ("chose the epoch" in (part["caveat"] or ""))
    held_out = wells[wells["role"] == "out_of_fold"]
    best = ensembles["round0"].of_wells(held_out["well_id"])[:, :CLASSES].argmax(axis=1)
    assert strict["accuracy"] == (best == held_out["sirna"]).mean() != last["accuracy"]
    own, _ = score_screen(ensembles, *arguments, strict="round1")
    assert own["out_of_fold"]["strictly_out_of_fold"] and "out_of_fold_strict" not in own


def test_only_the_last_round_is_scored(screen: Screen, ensembles: dict[str, WellProbabilities]) -> None:
    alone = {"round1": ensembles["round1"]}
    assert (
        scored(screen, ensembles, NO_ANSWERS, None)[0]["out_of_fold"]
        == (scored(screen, alone, NO_ANSWERS, None)[0]["out_of_fold"])
    )


def test_a_control_class_is_never_predicted_for_a_treatment(screen: Screen) -> None:
    wells = predicted(screen)
    wells.probability[:, CLASSES:] += 5.0  # the controls' classes always win
    _, table = scored(screen, {"round0": wells}, NO_ANSWERS, None)
    treatment = table["well_type"] == "treatment"
    assert table.loc[treatment, "predicted"].between(0, CLASSES - 1).all()
    assert (table.loc[table["role"] == "control", "predicted"] >= CLASSES).all()


def test_without_answers_there_is_no_test_score(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame
) -> None:
    for given in (submitted, None):
        scores, wells = scored(screen, ensembles, NO_ANSWERS, given)
        assert scores["test"] is None
        assert scores["ladder"]["of"] == "out-of-fold wells" and scores["ladder"]["all"] == []
        assert set(
            wells.loc[wells["dataset"] == "test", "outcome"].where(wells["well_type"] == "treatment").dropna()
        ) == {"unknown"}


def test_test_metrics_count_the_submission_on_known_wells(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    scores, _ = scored(screen, ensembles, answers, submitted)
    sent = dict(submitted.itertuples(index=False))
    truth = answers["sirna"].tolist()
    guess = [sent[well] for well in answers["well_id"]]
    found = scores["test"]
    assert found["wells"] == len(answers)
    assert found["accuracy"] == accuracy_score(truth, guess)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, guess))
    assert {row["group"] for row in found["by_experiment"]} == set(TEST)
    hits = sum(g == t for g, t in zip(guess, truth, strict=True))
    expected = {"split": "all", "correct": hits, "wells": len(answers), "wells_in_split": len(submitted)}
    assert found["kaggle"] == [expected | {"accuracy": math.floor(hits / len(answers) * 1e5) / 1e5}]


def test_the_well_table_says_what_became_of_every_well(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    _, wells = scored(screen, ensembles, answers, submitted)
    final = ensembles["round1"]
    rows, role_of = rows_of(final), dict(zip(final.well_id, final.role, strict=True))
    sent, told = dict(submitted.itertuples(index=False)), dict(answers.itertuples(index=False))
    table = well_table(screen.sites)
    assert wells["well_id"].tolist() == table["well_id"].tolist()
    for given, found in zip(table.to_dict("records"), wells.to_dict("records"), strict=True):
        well = given["well_id"]
        row = rows.get(well)
        if row is None:  # a control of a test experiment: no model predicts it
            assert (found["role"], found["predicted"], found["outcome"]) == ("", -1, "unknown")
            assert math.isnan(found["probability"])
            continue
        truth = told.get(well, -1) if given["sirna"] < 0 else given["sirna"]
        guess = sent.get(well, likeliest(row, CLASSES if given["well_type"] == "treatment" else len(row)))
        outcome = "unknown" if truth < 0 else "correct" if guess == truth else "wrong"
        assert (found["role"], found["sirna"], found["predicted"], found["outcome"]) == (
            role_of[well], truth, guess, outcome,
        )  # fmt: skip
        assert found["probability"] == pytest.approx(row[guess])
    assert wells["outcome"].value_counts().loc[["correct", "wrong", "unknown"]].min() > 0


def test_controls_show_how_sure_the_models_are(screen: Screen, ensembles: dict[str, WellProbabilities]) -> None:
    scores, _ = scored(screen, ensembles, NO_ANSWERS, None)
    wells = well_table(screen.sites)
    rows = rows_of(ensembles["round1"])
    assert [row["well_type"] for row in scores["controls"]] == ["negative_control", "positive_control", "treatment"]
    for found in scores["controls"]:
        chosen = wells[(wells["well_type"] == found["well_type"]) & (wells["dataset"] == "train")]
        part = [rows[well].astype(float) for well in chosen["well_id"]]
        assert found["wells"] == len(part) == {"treatment": 80}.get(found["well_type"], 16)
        assert found["entropy_nats"] == pytest.approx(np.mean([entropy(row) for row in part]), rel=1e-5)
        assert found["mean_top_probability"] == pytest.approx(np.mean([row.max() for row in part]), rel=1e-6)
        pairs = list(zip(part, chosen["sirna"], strict=True))
        assert found["calibration_error"] == pytest.approx(calibration_error(pairs), abs=1e-6)
        right = [likeliest(row, CLASSES + 2) == label for row, label in zip(part, chosen["sirna"], strict=True)]
        assert found["accuracy"] == np.mean(right)


def test_the_ladder_starts_with_references_and_climbs_by_round_and_prior(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    scores, _ = scored(screen, ensembles, answers, submitted)
    ladder = scores["ladder"]
    assert ladder["of"] == "test wells"
    assert [(rung["name"], rung["reference"]) for rung in ladder["rungs"]] == [
        ("baseline", True),
        ("ensemble, round 0", False),
        ("ensemble, round 1", False),
        ("+ uniqueness", False),
        ("+ uniqueness + plate groups", False),
        ("+ assignment + plate groups", False),
    ]
    truth = dict(answers.itertuples(index=False))
    for rung, name in zip(ladder["rungs"], ("reference-baseline", "round0", "round1"), strict=False):
        rows = rows_of(ensembles[name])
        assert rung["accuracy"] == np.mean([likeliest(rows[well]) == label for well, label in truth.items()])
        assert rung["wells"] == len(truth)
    for rung, options in zip(
        ladder["rungs"][3:],
        (
            {"method": "uniqueness", "plate_groups": False},
            {"method": "uniqueness"},
            {"method": "assignment"},
        ),
        strict=True,
    ):
        balanced = balance_screen(ensembles["round1"], screen.sites, screen.classes, BalanceSettings(**options))
        chosen = dict(zip(balanced.wells["well_id"], balanced.result.assigned, strict=True))
        assert rung["accuracy"] == np.mean([chosen[well] == label for well, label in truth.items()])
    accuracy = [rung["accuracy"] for rung in ladder["rungs"]]
    assert accuracy[-1] == scores["test"]["accuracy"] > accuracy[2] > accuracy[0]


def test_every_method_is_told_with_and_without_plate_groups(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    settings = BalanceSettings(method="none", plate_groups=False)  # whatever the run itself uses
    scores, _ = score_screen(
        ensembles, screen.sites, screen.classes, answers, submitted, settings, ScoreSettings(), fold_table(screen)
    )
    found = {(row["method"], row["plate_groups"]) for row in scores["ladder"]["all"]}
    methods = ("none", "uniqueness", "iterative", "assignment")
    assert found == {(method, groups) for method in methods for groups in (False, True)}


def test_without_answers_the_ladder_is_of_out_of_fold_wells(
    screen: Screen, ensembles: dict[str, WellProbabilities]
) -> None:
    rungs = scored(screen, ensembles, NO_ANSWERS, None)[0]["ladder"]["rungs"]
    assert [rung["name"] for rung in rungs] == ["baseline", "ensemble, round 0", "ensemble, round 1"]
    wells = well_table(screen.sites)
    wells = wells[(wells["dataset"] == "train") & (wells["well_type"] == "treatment")]
    for rung, name in zip(rungs, ("reference-baseline", "round0", "round1"), strict=True):
        rows = rows_of(ensembles[name])
        assert rung["accuracy"] == np.mean(
            [likeliest(rows[well]) == label for well, label in zip(wells["well_id"], wells["sirna"], strict=True)]
        )


def test_answers_change_no_other_score(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    other = answers.assign(sirna=(answers["sirna"] + 1) % CLASSES)
    first, second = (scored(screen, ensembles, told, submitted)[0] for told in (answers, other))
    assert first["test"] != second["test"]
    assert (first["out_of_fold"], first["controls"]) == (second["out_of_fold"], second["controls"])


def test_a_well_without_images_is_scored_by_its_submitted_class(
    screen: Screen, ensembles: dict[str, WellProbabilities]
) -> None:
    lost = screen.answers["well_id"][3]
    kept = {
        name: add_unseen(WellProbabilities(*(array[wells.well_id != lost] for array in vars(wells).values())), [lost])
        for name, wells in ensembles.items()
    }
    truth = screen.answers.loc[3, "sirna"]
    sent = screen.answers.assign(sirna=np.where(screen.answers["well_id"] == lost, truth, 0))
    scores, wells = scored(screen, kept, screen.answers, sent)
    row = wells.set_index("well_id").loc[lost]
    assert (row["role"], row["predicted"], row["outcome"]) == ("unseen", truth, "correct")
    expected = np.mean(sent["sirna"].to_numpy() == screen.answers["sirna"].to_numpy())
    assert scores["test"]["kaggle"][0]["accuracy"] == pytest.approx(expected)
    assert scores["test"]["accuracy"] == pytest.approx(expected)
    assert scores["test"]["wells"] == len(screen.answers)


def test_a_split_without_a_known_well_has_no_accuracy_and_scores_can_be_written(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame
) -> None:
    private = screen.answers[screen.answers["well_id"].str.startswith("RPE")]
    scores, _ = scored(screen, ensembles, private, submitted, public_experiments=["HUVEC-03"])
    by_split = {row["split"]: row for row in scores["test"]["kaggle"]}
    assert (by_split["public"]["accuracy"], by_split["public"]["wells"]) == (None, 0)
    assert by_split["private"]["accuracy"] == by_split["all"]["accuracy"] > 0
    assert canonical_json(scores)


def test_scores_can_be_written(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame, answers: pd.DataFrame
) -> None:
    for told, given in ((answers, submitted), (NO_ANSWERS, submitted), (NO_ANSWERS, None)):
        assert canonical_json(scored(screen, ensembles, told, given)[0])


def test_accuracies_have_an_interval_over_experiments_and_macro_averages(
    screen: Screen, ensembles: dict[str, WellProbabilities], answers: pd.DataFrame, submitted: pd.DataFrame
) -> None:
    scores, wells = scored(screen, ensembles, answers, submitted)
    for part, role in (("out_of_fold", "out_of_fold"), ("test", "test")):
        own = wells[(wells["role"] == role) & (wells["outcome"] != "unknown")]
        found = interval(own["predicted"] == own["sirna"], own)
        assert scores[part]["interval"] == found.record()
        assert scores[part]["interval"]["groups"] == own["experiment"].nunique() > 1
        labels = sorted(set(own["sirna"]))
        precision, recall, _, _ = precision_recall_fscore_support(
            own["sirna"], own["predicted"], labels=labels, average="macro", zero_division=0
        )
        matrices = multilabel_confusion_matrix(own["sirna"], own["predicted"], labels=labels)
        specificity = np.mean([matrix[0, 0] / matrix[0].sum() for matrix in matrices])
        macro = {"classes": len(labels), "precision": precision, "sensitivity": recall, "specificity": specificity}
        assert scores[part]["macro"] == pytest.approx(macro)
        assert scores[part]["macro"]["sensitivity"] == pytest.approx(scores[part]["balanced_accuracy"])


def test_a_run_without_out_of_fold_wells_has_no_rungs(
    screen: Screen, ensembles: dict[str, WellProbabilities], submitted: pd.DataFrame
) -> None:
    only_test = {name: wells.of_role("test") for name, wells in ensembles.items()}
    settings = BalanceSettings(temperature=1.0)
    scores, _ = score_screen(
        only_test, screen.sites, screen.classes, NO_ANSWERS, submitted, settings, ScoreSettings(), fold_table(screen)
    )
    assert scores["out_of_fold"] == {
        "wells": 0,
        "caveat": "no fold holds out a well, so nothing is known of wells that the models did not see",
    }
    assert scores["ladder"]["rungs"] == []
    assert canonical_json(scores)


def test_every_rung_of_the_ladder_has_its_interval_over_experiments(
    screen: Screen, ensembles: dict[str, WellProbabilities], answers: pd.DataFrame, submitted: pd.DataFrame
) -> None:
    scores, wells = scored(screen, ensembles, answers, submitted)
    known = wells[wells["role"].isin(["test"]) & (wells["outcome"] != "unknown")]
    first = scores["ladder"]["rungs"][0]
    chosen = ensembles["reference-baseline"].of_wells(known["well_id"])[:, :CLASSES].argmax(axis=1)
    assert {key: first[key] for key in LINE} == interval(chosen == known["sirna"], known).record()
    for rung in [*scores["ladder"]["rungs"], *scores["ladder"]["all"]]:
        assert rung["groups"] == known["experiment"].nunique() and rung["low"] <= rung["accuracy"] <= rung["high"]
    (raw,) = (rung for rung in scores["ladder"]["all"] if rung["name"] == "raw")
    (last,) = (rung for rung in scores["ladder"]["rungs"] if rung["name"] == "ensemble, round 1")
    assert [raw[key] for key in LINE] == [last[key] for key in LINE]
