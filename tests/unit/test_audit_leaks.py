"""Leaks that a project was run with, or that its receipts tell of: the audit finds each unclean."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from small_project import CELL_TYPE, RECIPE, SCREEN, Project, forge

from cellsignal.config.learning import ALL_CELL_TYPES
from cellsignal.files import sha256_file
from cellsignal.provenance.receipts import SUFFIX, Receipt, read_receipt, write_receipt
from cellsignal.provenance.walk import find_receipt

LABELS = f"{RECIPE}/rounds/0/pseudo_labels.parquet"
ROWS = f"{RECIPE}/models/deep/fold0/stage1/rows.parquet"


def clean_of(folder: Path, **options: object) -> list[str]:
    """What the audit finds unclean in a project that was run in a leaking way, by jobs that wrote true receipts."""
    verdict = Project(folder / "leaking").run(**options).audit()  # type: ignore[arg-type]
    assert not verdict.intact and not verdict.current, verdict.as_text()
    return verdict.clean


@pytest.mark.parametrize("rule", ["train_model", "finetune_cell_type", "pseudo_labels", "submission"])
def test_answers_fed_to_a_job_are_a_leak(tmp_path: Path, rule: str) -> None:
    problems = clean_of(tmp_path, reads={rule: [f"{SCREEN}/answers.parquet"]})
    assert any(f"rule {rule} read {SCREEN}/answers.parquet; only score may" in problem for problem in problems)


def test_an_ensemble_of_teachers_and_a_reference_is_found(tmp_path: Path) -> None:
    stray = f"{RECIPE}/predictions/plain/fold0/{CELL_TYPE}/round0.h5"
    problems = clean_of(tmp_path, reads={"ensemble_teachers": [stray]})
    assert problems == [f"{RECIPE}/ensembles/round1.h5{SUFFIX}: averaged {stray}, expected predictions of round1 only"]


def test_pseudo_labels_from_anything_but_the_teachers_are_a_leak(tmp_path: Path) -> None:
    folds = f"{RECIPE}/folds.parquet"
    problems = clean_of(tmp_path, reads={"pseudo_labels": [folds]})
    assert problems == [f"{LABELS}{SUFFIX}: labelled by {folds}, expected the ensemble of round0 only"]


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        (
            lambda rows, _: rows.assign(role=rows["role"].replace("validation", "train")),
            "6 sites of held-out experiment A were trained on in fold 0",
        ),
        (
            lambda rows, _: pd.concat([rows, rows[:1].assign(site_id="C_1_B02_1", role="train", sirna=2)]),
            "1 test sites were trained on as labelled, the first C_1_B02_1",
        ),
        (
            lambda rows, _: rows.assign(sirna=rows["sirna"].where(rows["role"] != "train", 0)),
            "labels differ from sites.parquet",
        ),
        (
            lambda rows, _: pd.concat([rows, rows[:1].assign(site_id="A_1_B02_1", role="pseudo", sirna=0)]),
            "sites trained on without a label are no test sites, the first A_1_B02_1",
        ),
        (
            lambda rows, _: rows.assign(sirna=rows["sirna"].where(rows["role"] != "unlabelled", 3)),
            "6 unlabelled sites carry a label, the first C_1_B02_1",
        ),
        (
            lambda rows, _: rows.assign(role=rows["role"].replace("train", "validation")),
            "validation sites are not of fold 0",
        ),
        (
            lambda rows, _: rows.assign(site_id=rows["site_id"] + "x"),
            "is not a site of the screen",
        ),
    ],
)
def test_rows_that_slipped_into_a_training_are_a_leak(
    tmp_path: Path, slip: Callable[[pd.DataFrame, Mapping[str, str]], pd.DataFrame], sentence: str
) -> None:
    problems = clean_of(tmp_path, rows=slip)
    assert any(sentence in problem and "rows.parquet" in problem for problem in problems), problems


def test_a_validation_plate_in_one_training_is_named_by_its_rows(tmp_path: Path) -> None:
    def slip(rows: pd.DataFrame, wildcards: Mapping[str, str]) -> pd.DataFrame:
        if wildcards != {"model": "deep", "fold": "0"}:
            return rows
        plate = rows["site_id"].str.startswith("A_1") & (rows["role"] == "validation")
        return rows.assign(role=rows["role"].mask(plate, "train"))

    assert clean_of(tmp_path, rows=slip) == [f"{ROWS}: 3 sites of held-out experiment A were trained on in fold 0"]


def test_test_labels_in_the_site_table_are_a_leak(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.sites.loc[project.sites["site_id"] == "C_1_B02_1", "sirna"] = 2
    assert "sites.parquet: 1 test sites carry a label, the first C_1_B02_1" in project.run().audit().clean


def test_twins_in_two_folds_are_a_leak_unless_the_settings_ask_for_it(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.folds["twin_of"] = "A"
    sentence = "folds.parquet: A, B share one layout but are in different folds"
    assert sentence in project.run().audit().clean
    free = Project(tmp_path / "free", recipe="folds: {keep_twins: false}\n")
    free.folds["twin_of"] = "A"
    verdict = free.run().audit()
    assert verdict.passed and f"{sentence}, as folds.keep_twins: false asks" in verdict.evidence["clean"]


def test_explicit_folds_that_part_twins_are_told_and_no_leak(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", recipe="folds: {held_out: [[A], [B]]}\n")
    project.folds["twin_of"] = "A"
    verdict = project.run().audit()
    told = "folds.parquet: A, B share one layout but are in different folds, as folds.held_out asks"
    assert verdict.passed and any(sentence.startswith(told) for sentence in verdict.evidence["clean"])


def test_clean_says_where_images_of_test_wells_entered(project: Project) -> None:
    (sentence,) = [text for text in project.audit().evidence["clean"] if text.startswith("images of test wells")]
    assert "never their labels" in sentence and "statistics by plate" in sentence


def test_pseudo_labels_of_another_folds_teachers_are_a_leak(project: Project) -> None:
    problems = relabel(project, f"{LABELS}{SUFFIX}", source="fold1/")
    assert any("expected those of all teachers or of its own fold's" in problem for problem in problems)


def test_an_arm_of_the_ablation_keeps_to_its_own_labels_and_starts_from_the_recipes_weights(project: Project) -> None:
    problems = relabel(project, f"{LABELS}{SUFFIX}", arm="labels_unique/")
    assert any("expected those of its own arm of the ablation" in problem for problem in problems)
    name = f"{RECIPE}/models/deep/fold0/{CELL_TYPE}/round0/teacher.safetensors{SUFFIX}"
    problems = relabel(project, name, arm="averaged/")
    assert any("expected those of finetune_cell_type with" in problem for problem in problems)


def relabel(project: Project, name: str, **wildcards: str) -> list[str]:
    """What is unclean once a receipt, and with it all above, says that its job had other wildcards."""
    forge(project, name, lambda made: made.wildcards.update(wildcards))
    verdict = project.audit()
    assert not verdict.intact
    return verdict.clean


def test_weights_of_another_fold_behind_a_fine_tune_are_a_leak(project: Project) -> None:
    name = f"{RECIPE}/models/deep/fold0/stage1/weights.safetensors"
    problems = relabel(project, f"{name}{SUFFIX}", fold="1")
    assert any(
        f"teacher.safetensors{SUFFIX}: read the weights {name}, expected those of train_model with model deep, fold 0"
        in problem
        for problem in problems
    )


def test_pseudo_labels_of_the_same_round_are_a_leak(project: Project) -> None:
    problems = relabel(project, f"{LABELS}{SUFFIX}", round="1")
    assert any(f"pseudo-labels of {LABELS}, expected those of round 0" in problem for problem in problems)
    assert any("expected the ensemble of round1 only" in problem for problem in problems)


def test_predictions_by_teachers_of_a_later_round_are_a_leak(project: Project) -> None:
    name = f"{RECIPE}/predictions/deep/fold0/{CELL_TYPE}/round0.h5"
    problems = relabel(project, f"{name}{SUFFIX}", round="1")
    assert any(f"averaged {name}, expected predictions of round0 only" in problem for problem in problems)
    assert any("expected those of finetune_cell_type with" in problem for problem in problems)


def test_a_teacher_of_all_cell_types_may_predict_any_and_one_of_another_may_not(project: Project) -> None:
    name = f"{RECIPE}/models/deep/fold0/{CELL_TYPE}/round0/teacher.safetensors{SUFFIX}"
    for cell_type, allowed in ((ALL_CELL_TYPES, True), ("OTHER", False)):
        problems = relabel(project, name, cell_type=cell_type)
        assert allowed != any("expected those of finetune_cell_type with" in problem for problem in problems), problems


def test_predictions_of_another_variant_are_no_part_of_a_round(project: Project) -> None:
    name = f"{RECIPE}/predictions/deep/fold0/{CELL_TYPE}/round1.h5"
    problems = relabel(project, f"{name}{SUFFIX}", variant="plate_batch_norm/")
    assert any(f"averaged {name}, expected predictions of round1 only" in problem for problem in problems)


def test_predictions_by_a_student_are_found(project: Project) -> None:
    name = f"{RECIPE}/models/deep/fold0/{CELL_TYPE}/round1/teacher.safetensors"
    student = name.replace("teacher", "student")
    shutil.copy(project.results / name, project.results / student)

    def list_student(made: Receipt) -> None:
        made.outputs[student] = made.outputs[name]

    def read_student(made: Receipt) -> None:
        made.reads[made.reads.index(name)] = student

    forge(project, f"{name}{SUFFIX}", list_student)
    forge(project, f"{RECIPE}/predictions/deep/fold0/{CELL_TYPE}/round1.h5{SUFFIX}", read_student)
    verdict = project.audit()
    assert not verdict.intact and any(f"read {student}, expected the teacher" in problem for problem in verdict.clean)


def test_a_score_behind_a_submission_is_a_leak(project: Project) -> None:
    scores = f"{RECIPE}/scores.json{SUFFIX}"
    before = read_receipt(find_receipt(project.submission))
    before.inputs[scores] = sha256_file(project.results / scores)
    write_receipt(before, project.results)
    assert any(f"was given {scores}, which is made from answers" in problem for problem in project.audit().clean)
