"""The ablation's rungs are those of the paper's figures, shared with the recipe's own run, and counted right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layout_screen import CLASSES, fold_table, layout_screen, predicted

from cellsignal.ablation import (
    BEYOND,
    LABELS,
    LADDER,
    LAYOUT,
    NORMALIZATION,
    PUBLISHED,
    SCHEMES,
    AblationRung,
    ablation_rungs,
    arms,
    reference_models,
    schemes,
)
from cellsignal.ablation_scores import ablation_scores
from cellsignal.balancing import balance_screen
from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.config.load import read_config
from cellsignal.config.schema import Config
from cellsignal.figures.ablation_ladder import ablation_ladder
from cellsignal.files import canonical_json
from cellsignal.intervals import LINE, interval
from cellsignal.scoring import score_screen

ROOT = Path(__file__).resolve().parents[2]


def recipe(*names: str) -> Config:
    return read_config([ROOT / "config.yaml", *(ROOT / "recipes" / name for name in names)])


def plan(
    config: Config, last_round: int, to_submit: bool = True, compared: Sequence[str] = tuple(SCHEMES)
) -> list[tuple[str, str, str, bool]]:
    rungs = ablation_rungs(config, compared, last_round, to_submit)
    return [(rung.part, rung.ensemble, rung.method, rung.plate_groups) for rung in rungs]


def test_deepnoise_climbs_the_rungs_of_figure_3() -> None:
    methods = ("uniqueness", "iterative", "assignment")
    assert plan(recipe(), last_round=2) == [
        (NORMALIZATION, "reference-ablation-softmax-cell_type", "none", False),
        (NORMALIZATION, "reference-ablation-softmax-experiment", "none", False),
        (NORMALIZATION, "reference-ablation-softmax-plate", "none", False),
        (LADDER, "reference-ablation-softmax-plate", "none", False),
        (LADDER, "stage1-xception", "none", False),
        (LADDER, "arm-finetuned_alone", "none", False),
        (LADDER, "arm-averaged", "none", False),
        (LADDER, "teacher-xception", "none", False),
        (LADDER, "round0", "none", False),
        (LABELS, "round0", "none", False),
        (LABELS, "arm-without_labels", "none", False),
        (LABELS, "arm-labels_without_layout", "none", False),
        (LABELS, "arm-labels_unique", "none", False),
        (LABELS, "arm-labels_grouped", "none", False),
        (LABELS, "round1", "none", False),
        (LABELS, "round2", "none", False),
        *(
            (LAYOUT, name, method, groups)
            for name in ("round0", "round2")
            for groups, some in ((False, ("none", *methods)), (True, methods))
            for method in some
        ),
        (BEYOND, "plate_batch_norm", "none", False),
        (BEYOND, "plate_batch_norm", "assignment", True),
    ]


def test_published_values_stand_beside_the_rungs_that_they_belong_to_and_nowhere_else() -> None:
    rungs = ablation_rungs(recipe(), list(SCHEMES), 2, True)
    found = {
        (rung.part, rung.ensemble, rung.method, rung.plate_groups): rung.published
        for rung in rungs
        if rung.published is not None
    }
    assert found == {
        (NORMALIZATION, "reference-ablation-softmax-cell_type", "none", False): 0.51549,
        (NORMALIZATION, "reference-ablation-softmax-experiment", "none", False): 0.62901,
        (NORMALIZATION, "reference-ablation-softmax-plate", "none", False): 0.7458,
        (LADDER, "reference-ablation-softmax-plate", "none", False): 0.7458,
        (LADDER, "stage1-xception", "none", False): 0.85542,
        (LADDER, "teacher-xception", "none", False): 0.90145,  # with consistency; neither fine-tune alone nor EMA
        (LABELS, "round2", "none", False): 0.95535,  # labels that the groups helped to make
        (LAYOUT, "round2", "iterative", True): 0.99596,  # with the groups
    }
    assert sorted(set(found.values())) == sorted(PUBLISHED.values())
    without = recipe("plate_batchnorm.yaml")  # no groups, no consistency
    published = {rung.ensemble for rung in ablation_rungs(without, list(SCHEMES), 2, True) if rung.published}
    assert "round2" in published and "teacher-xception" not in published
    of_rounds = [rung for rung in ablation_rungs(without, list(SCHEMES), 2, True) if rung.part == LABELS]
    assert all(rung.published is None for rung in of_rounds)


def test_an_arm_differs_from_the_recipe_in_its_step_alone() -> None:
    config = recipe()
    own = config.finetune
    assert own is not None
    found = {arm.name: arm for arm in arms(config, 2)}
    assert list(found) == [
        "finetuned_alone", "averaged", "without_labels", "labels_without_layout", "labels_unique", "labels_grouped",
    ]  # fmt: skip

    def changed(name: str) -> dict[str, object]:
        before, after = own.mean_teacher.model_dump(), found[name].finetune.mean_teacher.model_dump()
        assert found[name].finetune.optimization == own.optimization
        return {key: value for key, value in after.items() if value != before[key]}

    assert changed("finetuned_alone") == {
        "decay": [[0.0, 0.0]], "decay_epochs": None, "consistency": 0.0, "unlabelled": False,
    }  # fmt: skip
    assert changed("averaged") == {"consistency": 0.0, "unlabelled": False}
    for name in list(found)[2:]:
        assert found[name].finetune == own and found[name].number == 1
        assert found[name].models == ["xception", "xception_wide"]
    labels = {name: arm.labels and (arm.labels.method, arm.labels.plate_groups) for name, arm in found.items()}
    assert labels == {
        "finetuned_alone": None, "averaged": None, "without_labels": None, "labels_without_layout": ("none", False),
        "labels_unique": ("uniqueness", False), "labels_grouped": ("uniqueness", True),
    }  # fmt: skip


def test_an_arm_that_would_equal_the_recipe_is_not_trained() -> None:
    averaging = recipe("plate_batchnorm.yaml")  # EMA without consistency
    assert [arm.name for arm in arms(averaging, 0)] == ["finetuned_alone"]
    ladder = [rung.ensemble for rung in ablation_rungs(averaging, list(SCHEMES), 0, True) if rung.part == LADDER]
    assert ladder[2:4] == ["arm-finetuned_alone", "teacher-xception"]
    plain = recipe("capstone.yaml")  # no teacher at all, nothing balanced
    assert arms(plain, 0) == []
    first = recipe("first_place.yaml")
    unique = first.model_copy(update={"balance": BalanceSettings(method="uniqueness", plate_groups=True)})
    assert [arm.name for arm in arms(unique, 1)] == ["without_labels", "labels_without_layout", "labels_unique"]


def test_the_references_differ_from_the_first_model_in_head_and_normalization_alone() -> None:
    config = recipe()
    found = reference_models(config, list(SCHEMES))
    first = config.models[0].model_dump()
    for scheme in ("cell_type", "experiment", "plate"):
        model = found.pop(f"ablation-softmax-{scheme}").model_dump()
        changed = {key for key in model if model[key] != first[key]}
        assert changed == {"name", "head", "ensemble", *(["normalization"] if scheme != "plate" else [])}
        assert (model["head"], model["normalization"], model["ensemble"]) == ("softmax", scheme, False)
    assert found == {}


def test_a_model_that_the_recipe_has_is_not_trained_again() -> None:
    demo = recipe("demo.yaml")  # its baseline is the softmax model with cell-type normalization
    assert set(reference_models(demo, list(SCHEMES))) == {"ablation-softmax-experiment", "ablation-softmax-plate"}
    assert plan(demo, 1)[0][1] == "reference-baseline"
    mitocheck = recipe("mitocheck.yaml")  # softmax with cell-type normalization itself, and nothing to submit
    different = schemes(experiments=45, plates=45)  # an experiment is a plate
    assert different == ["cell_type", "plate"] and schemes(experiments=51, plates=204) == list(SCHEMES)
    assert set(reference_models(mitocheck, different)) == {"ablation-softmax-plate"}
    assert plan(mitocheck, 0, to_submit=False, compared=different) == [
        (NORMALIZATION, "stage1-resnet10t", "none", False),
        (NORMALIZATION, "reference-ablation-softmax-plate", "none", False),
        (LADDER, "reference-ablation-softmax-plate", "none", False),
        (LADDER, "stage1-resnet10t", "none", False),
        (LADDER, "arm-finetuned_alone", "none", False),
        (LADDER, "arm-averaged", "none", False),
        (LADDER, "teacher-resnet10t", "none", False),
        (LADDER, "round0", "none", False),
        (BEYOND, "plate_batch_norm", "none", False),
    ]


@pytest.fixture(scope="module")
def table() -> dict:
    """The demo's ablation on a screen with made-up predictions."""
    screen, rungs = layout_screen(), ablation_rungs(recipe("demo.yaml"), list(SCHEMES), 1, True)
    names = sorted({rung.ensemble for rung in rungs})
    ensembles = {name: predicted(screen, 1.0 + 0.2 * seed, seed) for seed, name in enumerate(names)}
    final = {"round1": ensembles["round1"]}
    known = screen.answers[np.arange(len(screen.answers)) % 3 > 0].reset_index(drop=True)
    balanced = balance_screen(final["round1"], screen.sites, screen.classes, BalanceSettings())
    submitted = pd.DataFrame({"well_id": balanced.wells["well_id"], "sirna": balanced.result.assigned})
    settings = BalanceSettings(method="none")
    _, wells = score_screen(
        final, screen.sites, screen.classes, known, submitted, settings, ScoreSettings(), fold_table(screen)
    )
    scores = ablation_scores(rungs, ensembles, screen.sites, screen.classes, wells, settings)
    return {"screen": screen, "ensembles": ensembles, "known": known, "wells": wells, "rungs": rungs, "scores": scores}


def test_every_rung_is_what_its_ensemble_and_method_reach_on_the_known_test_wells(table: dict) -> None:
    scores, screen, truth = table["scores"], table["screen"], table["known"]["sirna"].to_numpy()
    assert (scores["of"], scores["wells"]) == ("test wells", len(truth))
    known = table["known"].merge(screen.sites.drop_duplicates("well_id"), on="well_id", validate="one_to_one")
    assert [rung["name"] for rung in scores["rungs"]] == [rung.name for rung in table["rungs"]]
    for rung in scores["rungs"]:
        ensemble = table["ensembles"][rung["ensemble"]]
        if rung["method"] == "none":
            chosen = ensemble.of_wells(table["known"]["well_id"])[:, :CLASSES].argmax(axis=1)
            by_class = [(chosen[truth == label] == label).mean() for label in set(truth.tolist())]
            assert rung["balanced_accuracy"] == pytest.approx(np.mean(by_class))
        else:
            settings = BalanceSettings(method=rung["method"], plate_groups=rung["plate_groups"])
            balanced = balance_screen(ensemble, screen.sites, screen.classes, settings)
            by_well = dict(zip(balanced.wells["well_id"], balanced.result.assigned, strict=True))
            chosen = np.array([by_well[well] for well in table["known"]["well_id"]])
        assert rung["correct"] == (chosen == truth).sum()
        assert rung["accuracy"] == (chosen == truth).mean()
        line = interval(chosen == truth, known)
        assert {key: rung[key] for key in LINE} == line.record() and rung["low"] <= rung["accuracy"] <= rung["high"]
    assert canonical_json(scores)


def test_without_answers_the_rungs_are_of_out_of_fold_wells_and_nothing_is_balanced(table: dict) -> None:
    screen, hidden = table["screen"], table["wells"].copy()
    hidden.loc[hidden["role"] == "test", "sirna"] = -1
    found = ablation_scores(table["rungs"], table["ensembles"], screen.sites, screen.classes, hidden, BalanceSettings())
    assert found["of"] == "out-of-fold wells" and found["wells"] == 80
    assert [rung["name"] for rung in found["rungs"]] == [rung.name for rung in table["rungs"] if rung.method == "none"]


def test_the_rung_of_class_shares_is_what_the_run_itself_predicts(table: dict) -> None:
    screen, shifts = table["screen"], BalanceSettings(method="none", plate_groups=False, label_shift=2.0)
    final = table["ensembles"]["round1"]
    arguments = screen.sites, screen.classes, screen.answers.iloc[:0], None, shifts, ScoreSettings(), fold_table(screen)
    scores, wells = score_screen({"round1": final}, *arguments)
    rungs = [AblationRung(LADDER, "raw", "round1"), AblationRung(LADDER, "shares", "round1", label_shift=True)]
    raw, shares = ablation_scores(rungs, {"round1": final}, screen.sites, screen.classes, wells, shifts)["rungs"]
    assert raw["accuracy"] == scores["ladder"]["rungs"][0]["accuracy"]
    assert shares["accuracy"] == scores["out_of_fold"]["accuracy"] != raw["accuracy"]
    assert shares["balanced_accuracy"] == scores["out_of_fold"]["balanced_accuracy"]


def test_the_figure_has_a_panel_per_part_and_the_published_values(table: dict) -> None:
    figure = ablation_ladder(table["scores"])
    rungs = table["scores"]["rungs"]
    assert len(figure.axes) == 5
    assert [ax.get_title(loc="left")[:3] or ax.get_title()[:3] for ax in figure.axes] == [
        "(a)",
        "(b)",
        "(c)",
        "(d)",
        "(e)",
    ]
    for ax, part in zip(figure.axes, (NORMALIZATION, LADDER, LABELS, LAYOUT, BEYOND), strict=True):
        own = [rung for rung in rungs if rung["part"] == part]
        assert [patch.get_width() for patch in ax.patches] == [rung["accuracy"] for rung in own]
        assert [label.get_text() for label in ax.get_yticklabels()] == [rung["name"] for rung in own]
        diamonds = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
        assert diamonds == [rung["published"] for rung in own if rung["published"] is not None]
    assert len(ablation_ladder({"of": "test wells", "wells": 0, "rungs": []}).axes) == 1
