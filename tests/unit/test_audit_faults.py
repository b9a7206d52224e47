"""Faults put into a finished project, one at a time: the audit finds each and names the right file."""

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from small_project import CELL_TYPE, RECIPE, SCREEN, Project, forge

from cellsignal.files import read_json, sha256_file
from cellsignal.provenance.receipts import SUFFIX, Artefact, read_receipt, receipt_path
from cellsignal.provenance.verdict import Verdict
from cellsignal.provenance.walk import walk
from cellsignal.sites import read_table, write_table

FLIPS = 200
LABELS = f"{RECIPE}/rounds/0/pseudo_labels.parquet"
ROWS = f"{RECIPE}/models/deep/fold0/stage1/rows.parquet"


def named(verdict: Verdict, name: str) -> list[str]:
    """The problems of the bytes or of a stage file that begin with a file's name (the audited one's in full)."""
    return [problem for problem in [*verdict.intact, *verdict.current] if problem.split(": ")[0].endswith(name)]


def test_a_clean_project_passes_and_no_file_of_it_is_left_out(project: Project) -> None:
    scores = project.results / RECIPE / "scores.json"
    verdict = project.audit(scores)
    assert verdict.passed, verdict.as_text()
    stages = {receipt.stage["path"] for receipt in walk(scores).receipts.values()}
    assert sum(verdict.checked.values()) + len(stages) == len(project.files()) == 149


def test_two_hundred_flipped_bits_are_two_hundred_named_files(project: Project) -> None:
    scores, chance = project.results / RECIPE / "scores.json", random.Random(4)
    files = project.files()
    missed, kinds = [], set()
    for number in range(FLIPS):
        path = files[number % len(files)]  # every file at least once
        before = path.read_bytes()
        place, bit = chance.randrange(len(before)), 1 << chance.randrange(8)
        path.write_bytes(before[:place] + bytes([before[place] ^ bit]) + before[place + 1 :])
        root = project.raw if path.is_relative_to(project.raw) else project.results
        verdict = project.audit(scores)
        if verdict.passed or not named(verdict, path.relative_to(root).as_posix()):
            missed.append((path.name, place, bit, verdict.as_text()))
        kinds.add(path.suffix if root == project.results else "raw")
        path.write_bytes(before)
    assert not missed
    assert kinds == {"raw", ".json", ".parquet", ".h5", ".csv", ".safetensors"}
    assert project.audit(scores).passed


@pytest.mark.parametrize("name", ["submission.csv", "rounds/0/pseudo_labels.parquet", "priors.json"])
def test_a_changed_artefact_is_named_with_its_way_to_the_submission(project: Project, name: str) -> None:
    path = project.results / RECIPE / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (problem,) = named(project.audit(), f"{RECIPE}/{name}")
    assert "its receipt says" in problem and problem.endswith("submission.csv.receipt.json)")


@pytest.mark.parametrize("name", [f"{RECIPE}/folds.parquet", f"{SCREEN}/plates/A_1.h5", "A/Plate1/B02_s1_w1.png"])
def test_a_missing_artefact_or_raw_image_is_named(project: Project, name: str) -> None:
    ((project.raw if name.endswith(".png") else project.results) / name).unlink()
    (problem,) = named(project.audit(), name)
    assert "missing (needed by" in problem
    assert named(project.audit(quick=True), name) == [problem]


def test_an_altered_file_is_named_before_all_that_is_only_missing(project: Project) -> None:
    shutil.rmtree(project.raw / "A")
    path = project.raw / "C/Plate2/B03_s1_w1.png"
    path.write_text("another image")
    problems = project.audit().intact
    assert problems[0].startswith("C/Plate2/B03_s1_w1.png: SHA-256") and len(problems) == 17
    assert all(problem.startswith("A/Plate") and ": missing (" in problem for problem in problems[1:])


def test_a_missing_receipt_is_named(project: Project) -> None:
    name = f"{RECIPE}/folds.parquet{SUFFIX}"
    (project.results / name).unlink()
    assert "receipt missing" in named(project.audit(), name)[0]


def test_swapped_receipts_are_found(project: Project) -> None:
    names = [f"{RECIPE}/folds.parquet{SUFFIX}", f"{SCREEN}/sites.parquet{SUFFIX}"]
    first, second = (project.results / name for name in names)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    verdict = project.audit()
    for name in names:
        assert any("moved or swapped" in problem for problem in named(verdict, name))


def test_a_swapped_receipt_of_the_submission_itself_is_an_answer_and_no_crash(project: Project) -> None:
    shutil.copy(project.results / RECIPE / f"folds.parquet{SUFFIX}", receipt_path(project.submission))
    verdict = project.audit()
    assert "moved or swapped" in verdict.intact[0] and verdict.current and verdict.clean


@pytest.fixture(scope="module")
def another_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("another") / "project").run(seed=7)


@pytest.mark.parametrize(
    "name", [f"predictions/deep/fold0/{CELL_TYPE}/round0.h5", "rounds/0/pseudo_labels.parquet", "assignment.parquet"]
)
def test_a_receipt_of_another_run_is_found(project: Project, another_run: Project, name: str) -> None:
    receipt = f"{RECIPE}/{name}{SUFFIX}"
    shutil.copy(another_run.results / receipt, project.results / receipt)
    (problem,) = named(project.audit(), receipt)
    assert "not the receipt that" in problem and "submission.csv.receipt.json was made from" in problem


def test_an_artefact_with_its_receipt_from_another_run_is_found(project: Project, another_run: Project) -> None:
    for name in (f"{RECIPE}/ensembles/round1.h5", f"{RECIPE}/ensembles/round1.h5{SUFFIX}"):
        shutil.copy(another_run.results / name, project.results / name)
    verdict = project.audit(quick=True)
    assert named(verdict, f"{RECIPE}/ensembles/round1.h5{SUFFIX}")


def test_a_submission_of_another_run_beside_this_runs_receipt_is_found(project: Project, another_run: Project) -> None:
    assert project.submission.read_bytes() == another_run.submission.read_bytes()  # both are perfect
    text = project.submission.read_text()
    project.submission.write_text(text.replace("gene0", "gene9").replace("gene1", "gene0").replace("gene9", "gene1"))
    assert named(project.audit(), f"{RECIPE}/submission.csv")


def test_a_submission_put_beside_another_files_receipt_is_found(project: Project) -> None:
    other = project.results / RECIPE / "mine.csv"
    shutil.copy(project.submission, other)
    shutil.copy(receipt_path(project.submission), receipt_path(other))
    assert "moved or swapped" in project.audit(other).intact[0]


def test_an_output_that_two_receipts_list_is_found(project: Project) -> None:
    sites = read_receipt(project.results / SCREEN / f"sites.parquet{SUFFIX}").outputs[f"{SCREEN}/sites.parquet"]
    name = f"{RECIPE}/folds.parquet{SUFFIX}"
    forge(project, name, lambda made: made.outputs.__setitem__(f"{SCREEN}/sites.parquet", sites))
    (problem,) = named(project.audit(), f"{SCREEN}/sites.parquet")
    assert "listed by two receipts" in problem and name in problem


def test_raw_files_that_two_jobs_read_differently_are_found(project: Project) -> None:
    image = "A/Plate1/B02_s1_w1.png"
    forge(project, f"{SCREEN}/plates/B_1.h5{SUFFIX}", lambda made: made.raw.__setitem__(image, "0" * 64))
    assert any("read it with SHA-256" in problem for problem in named(project.audit(), image))


def test_pseudo_labels_edited_by_hand_are_found(project: Project) -> None:
    labels = read_table(project.results / LABELS)
    write_table(
        labels.assign(sirna=labels["sirna"].sample(frac=1, random_state=1).to_numpy()), project.results / LABELS
    )
    verdict = project.audit()
    assert named(verdict, LABELS)
    assert verdict.clean == [f"cannot be checked: {LABELS} is not what its receipt says"]


def test_pseudo_labels_edited_with_their_receipts_are_not_those_that_were_trained_on(project: Project) -> None:
    labels = read_table(project.results / LABELS)
    write_table(labels.assign(sirna=(labels["sirna"] + 1) % 6), project.results / LABELS)
    path = project.results / LABELS
    entry = Artefact(sha256_file(path), path.stat().st_size)
    forge(project, f"{LABELS}{SUFFIX}", lambda made: made.outputs.__setitem__(LABELS, entry))
    verdict = project.audit()
    assert not verdict.intact
    assert any(f"6 pseudo-labels are not those of {LABELS}" in problem for problem in verdict.clean)


def test_a_config_edited_after_the_run_is_named_by_key_with_old_and_new(project: Project) -> None:
    (project.folder / "tiny.yaml").write_text("predict: {views: 4}\nbalance: {method: none}\n")
    verdict = project.audit()
    assert not verdict.intact and not verdict.clean
    assert verdict.current == [
        "balance.method: 'none' in the configuration on disk, was 'assignment'; held by "
        f"{RECIPE}/stages/balance_plates.json, {RECIPE}/stages/pseudo_labels.json"
    ]


def test_a_config_edited_while_jobs_waited_is_named_and_what_they_ran_with_is_proven(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")

    def edit(rows: pd.DataFrame, wildcards: Mapping[str, str]) -> pd.DataFrame:
        """While the first training runs, before any prediction starts."""
        (project.folder / "tiny.yaml").write_text("predict: {views: 1}\nbalance: {method: none}\n")
        return rows

    verdict = project.run(rows=edit).audit()
    assert not verdict.intact and not verdict.clean
    assert [problem.split(";")[0] for problem in verdict.current] == [
        "balance.method: 'none' in the configuration on disk, was 'assignment'",
        "predict.views: 1 in the configuration on disk, was 4",
    ]
    predicted = [made for made in walk(project.submission).receipts.values() if made.rule == "predict"]
    assert [made.stage["settings"]["predict"]["views"] for made in predicted] == [4] * 4


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("image_size: 8", "image_size: 9", "screen.image_size: 9 in the configuration on disk, was 8; held by small"),
        ("weight: 0.5", "weight: 0.25", f"was 0.5; held by {RECIPE}/stages/pseudo_labels.json"),
        ("rounds: 1", "rounds: 2", "pseudo_labels.rounds: 2 in the configuration on disk, was 1; it decides"),
        ("name: plain, ", "name: other, ", ""),
        ("normalization: plate}", "normalization: plate, margin: 0.2}", "models.deep.margin: 0.2 in the configuration"),
        ("train: {epochs: 2}", "train: {epochs: 3}", f"held by {RECIPE}/stages/train_model/deep.json"),
        ("ensemble: false", "ensemble: true", "models.plain.ensemble: True in the configuration on disk, was False"),
        ("root: raw", "root: elsewhere", ""),
        ("train: {epochs: 2}", "train: {epochs: 2}\nreport: {tsne_sites: 50}", ""),
        ("finetune: {optimization: {epochs: 1}}", "finetune: null", "pseudo_labels.rounds: needs `finetune`"),
        ("seed: 1\n", "sead: 1\n", "unknown key"),
    ],
)
def test_each_setting_on_disk_counts_if_something_behind_the_submission_reads_it(
    project: Project, old: str, new: str, sentence: str
) -> None:
    path = project.folder / "config.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    verdict = project.audit()
    assert bool(verdict.current) == bool(sentence), verdict.as_text()
    assert sentence in "\n".join(verdict.current)
    if not sentence:
        assert any("nothing behind this artefact reads it" in line for line in verdict.evidence["current"])


def test_an_edited_plan_is_found(project: Project) -> None:
    plan = project.results / RECIPE / "stages/plan.json"
    project.edit_json(plan, seed=5)
    assert any(line.startswith("seed: 1 in the configuration on disk, was 5") for line in project.audit().current)
    plan.write_text(json.dumps(read_json(plan) | {"seed": 1}))
    assert project.audit().current == [f"{RECIPE}/stages/plan.json: edited by hand"]
    plan.write_text("{")
    problems = project.audit().current
    assert problems and all(problem.startswith(f"{RECIPE}/stages/plan.json") for problem in problems)


def test_a_plan_whose_configuration_is_gone_is_not_current(project: Project) -> None:
    (project.folder / "tiny.yaml").unlink()
    (problem,) = project.audit().current
    assert problem.startswith(f"{RECIPE}/stages/plan.json: cannot be compared with the configuration on disk")
    (project.results / RECIPE / "stages/sources.json").unlink()
    assert project.audit().passed
