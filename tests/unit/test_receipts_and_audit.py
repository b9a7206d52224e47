"""A hand-made project passes the audit, answers with evidence, and verifies wherever it is moved."""

import functools
import json
import os
import shutil
from pathlib import Path

import pytest
from small_project import RECIPE, Project

from cellsignal.errors import BadInput
from cellsignal.files import read_json, sha256_file, write_json, write_text
from cellsignal.provenance.audit import audit
from cellsignal.provenance.code import code_digests
from cellsignal.provenance.current import raw_folder
from cellsignal.provenance.job import Job
from cellsignal.provenance.receipts import is_of_stage, read_receipt
from cellsignal.provenance.stages import Stage, read_stage, settings_by_name, stage_text
from cellsignal.provenance.walk import find_receipt, walk

STAGE = f"{RECIPE}/stages/train_model/deep.json"
WEIGHTS = f"{RECIPE}/models/deep/fold0/stage1/weights.safetensors"
LOSS = "cellsignal/loss.py"


def test_an_untouched_project_passes_with_evidence(project: Project) -> None:
    verdict = project.audit()
    assert verdict.passed, verdict.as_text()
    assert verdict.checked == {"receipts": 24, "files": 40, "raw files": 49}
    evidence = {question: "\n".join(lines) for question, lines in verdict.evidence.items()}
    assert "24 receipts" in evidence["intact"] and "49 raw files" in evidence["intact"]
    assert "config.yaml + tiny.yaml still give the settings of the run" in evidence["current"]
    for sentence in (
        "answers were read by no rule",
        "pseudo-labels of round 0, from 2 predictions by teachers of that round, went into 2 fine-tunes of round 1",
        "none of 6 test treatment sites carries a label",
        "no two layouts are twins",
        "6 trainings: none of 60 labelled rows is of a held-out experiment or a test well, 12 pseudo-labelled rows",
        "fold 0: A; fold 1: B",
        "priors: balancing by assignment; uniqueness used; plate groups used in 1 of 1 experiments, whose rotations",
    ):
        assert sentence in evidence["clean"]


def test_plate_groups_that_were_refused_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellsignal.assignment.LEAST_Z", 1e9)  # no rotation is that sure
    verdict = Project(tmp_path / "project").run().audit()
    assert verdict.passed, verdict.as_text()
    (warning,) = verdict.warnings
    assert warning.startswith("balancing: ") and "plate groups not used, rotation unsure (leads by " in warning
    assert f"\n  warning: {warning}" in verdict.as_text() and verdict.as_json()["warnings"] == [warning]
    assert "plate groups used in 0 of 1 experiments" in "\n".join(verdict.evidence["clean"])


def test_audits_in_a_row_read_a_file_once(project: Project) -> None:
    """Of RxRx1, submission and scores share 46 GB of images and 197 GB of plates."""
    read: list[str] = []
    digest = functools.cache(lambda path: read.append(path) or sha256_file(path))
    for name in ("submission.csv", "scores.json"):
        path = project.results / RECIPE / name
        assert audit(path, project.raw, project.library, digest=digest).passed
    assert len(read) == len(set(read)) > 49
    assert sum(path.startswith(str(project.raw.resolve())) for path in read) == 49


def test_the_scores_are_audited_with_the_answers_that_they_alone_read(project: Project) -> None:
    verdict = project.audit(project.results / RECIPE / "scores.json")
    assert verdict.passed, verdict.as_text()
    assert any(line.startswith("answers were read by score;") for line in verdict.evidence["clean"])


def test_a_moved_project_still_verifies(project: Project, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere/archive"
    shutil.move(project.folder, moved)
    verdict = audit(moved / f"results/{RECIPE}/submission.csv", None, moved / "workflow_scripts", checkout=moved)
    assert verdict.passed, verdict.as_text()


def test_raw_data_moved_to_another_disk_is_found_where_the_audit_is_told(project: Project, tmp_path: Path) -> None:
    moved = tmp_path / "disk"
    shutil.move(project.raw, moved)
    (problem,) = project.audit().intact
    assert problem == f"49 raw files cannot be checked: the folder of raw data is not there ({project.raw})"
    assert audit(project.submission, moved, project.library).passed


def test_where_the_raw_data_lies_follows_from_the_plan(project: Project) -> None:
    ancestry = walk(project.submission)
    assert raw_folder(ancestry) == project.raw
    plan = project.results / RECIPE / "stages/plan.json"
    project.edit_json(plan, screen=read_json(plan)["screen"] | {"kind": "simulated"})
    assert raw_folder(ancestry) == project.results / "small/raw"
    plan.unlink()
    assert raw_folder(ancestry) is None


def test_a_quick_audit_says_what_it_left_out(project: Project) -> None:
    verdict = project.audit(quick=True)
    assert verdict.passed and verdict.quick
    assert "receipts and sizes were checked, no file's content was read" in verdict.as_text()
    assert any("tables of sites, folds and training rows were not opened" in line for line in verdict.evidence["clean"])


def test_a_quick_audit_finds_another_size_and_not_another_byte(project: Project) -> None:
    project.submission.write_bytes(project.submission.read_bytes().replace(b"gene0", b"gene1"))
    assert project.audit(quick=True).passed
    project.submission.write_bytes(project.submission.read_bytes() + b"\n")
    (problem,) = project.audit(quick=True).intact
    assert problem.startswith(f"{RECIPE}/submission.csv: 99 bytes, its receipt says 98")


def test_progress_counts_every_byte_and_every_raw_file_once(project: Project) -> None:
    calls: list[tuple[str, int, int]] = []
    project.audit(progress=lambda what, done, total: calls.append((what, done, total)))
    receipts = walk(project.submission).receipts.values()
    size = sum(artefact.bytes for receipt in receipts for artefact in receipt.outputs.values())
    assert calls[0] == ("files", 0, size) and calls[-1] == ("raw files", 49, 49)
    assert [done for what, done, _ in calls if what == "files"][-1] == size


def test_one_thread_and_many_say_the_same(project: Project) -> None:
    (project.raw / "metadata.csv").write_text("edited")
    assert project.audit(threads=1).as_json() == project.audit(threads=8).as_json()


def test_the_receipt_of_an_output_is_found_that_has_none_of_its_own_name(project: Project) -> None:
    assert find_receipt(project.results / RECIPE / "wells.parquet").name == "scores.json.receipt.json"
    assert project.audit(project.results / RECIPE / "wells.parquet").passed
    with pytest.raises(BadInput, match="has no receipt"):
        find_receipt(project.folder / "config.yaml")


def test_code_changed_after_the_run_is_not_current(project: Project) -> None:
    (project.library / LOSS).write_text("def loss(x):\n    return 2 * x\n")
    verdict = project.audit()
    assert not verdict.intact
    assert f"{STAGE}: cellsignal.loss: changed" in verdict.current


def test_a_comment_after_the_run_is_still_current(project: Project) -> None:
    (project.library / LOSS).write_text("# a note\ndef loss(x):\n    return x\n")
    assert project.audit().passed


def test_settings_planned_after_the_run_are_not_current(project: Project) -> None:
    stage = read_stage(project.results / STAGE)
    write_text(project.results / STAGE, stage_text(Stage("train_model", stage.settings | {"seed": 2}, stage.code)))
    assert project.audit().current == [f"{STAGE}: seed: 2, was 1"]


def test_code_planned_anew_after_the_run_is_named_by_module(project: Project) -> None:
    (project.library / LOSS).write_text("def loss(x):\n    return 2 * x\n")
    stage = read_stage(project.results / STAGE)
    digests = code_digests(project.library / "train_model.py", project.library)
    write_text(project.results / STAGE, stage_text(Stage("train_model", stage.settings, digests)))
    assert f"{STAGE}: cellsignal.loss: changed" in project.audit().current


def test_a_stage_file_edited_by_hand_is_not_current(project: Project) -> None:
    path = project.results / STAGE
    path.write_text(path.read_text() + "\n")
    (problem,) = project.audit().current
    assert problem.startswith(f"{STAGE}: not the file that the job read")


def test_one_more_round_planned_than_submitted_is_not_current(project: Project) -> None:
    (project.folder / "tiny.yaml").write_text("pseudo_labels: {rounds: 2}\n")
    project.plan()
    assert project.audit().current == ["pseudo_labels.rounds: 2, but the submission is that of round1"]


def test_settings_are_named_by_section_and_model() -> None:
    values = {"seed": 1, "models": [{"name": "a", "margin": 0.1}], "train": {"steps": [[1, 2]], "options": {}}}
    named = {"seed": 1, "models.a.name": "a", "models.a.margin": 0.1, "train.steps": [[1, 2]], "train.options": {}}
    assert settings_by_name(values) == named


def test_a_job_refuses_when_its_code_changed_after_planning(project: Project) -> None:
    stage = project.results / RECIPE / "stages/submission.json"
    (project.library / LOSS).write_text("def loss(x):\n    return 2 * x\n")
    with pytest.raises(BadInput, match=r"cellsignal\.loss: changed"):
        Job("submission", project.library / "submission.py", project.library, project.results, stage, [], [], "r", {})


def test_a_job_refuses_an_input_that_no_receipt_lists(project: Project) -> None:
    stray = project.results / "stray.parquet"
    stray.write_text("x")
    script, stage = project.library / "submission.py", project.results / RECIPE / "stages/submission.json"
    with pytest.raises(BadInput, match=r"stray\.parquet: read without a receipt"):
        Job("submission", script, project.library, project.results, stage, [stray], [], "r", {})


def test_a_receipt_knows_when_it_was_edited(project: Project) -> None:
    path = find_receipt(project.submission)
    content = json.loads(path.read_text())
    content["packages"]["numpy"] = "0.0.1"
    write_json(path, content)
    with pytest.raises(BadInput, match="differs from its own checksum"):
        read_receipt(path)
    path.write_text(path.read_text().replace('"numpy": "0.0.1"', '"numpy":  "0.0.1"'))
    with pytest.raises(BadInput, match="differs from its own checksum"):
        read_receipt(path)


def test_a_receipt_is_of_the_stage_file_that_its_job_read_whatever_their_times(project: Project) -> None:
    stage, receipt = project.results / STAGE, find_receipt(project.results / WEIGHTS)
    assert is_of_stage(receipt, stage)
    os.utime(receipt, (1, 1))
    assert is_of_stage(receipt, stage)
    text = stage.read_text()
    stage.write_text(text.replace('"epochs": 2', '"epochs": 3'))
    assert not is_of_stage(receipt, stage)
    stage.write_text(text)
    assert is_of_stage(receipt, stage)
    receipt.write_text("{}")
    os.utime(receipt, (1, 1))
    assert not is_of_stage(receipt, stage)
    receipt.unlink()
    assert not is_of_stage(receipt, stage)


def test_the_same_bytes_give_the_same_receipt(finished: Project, tmp_path: Path) -> None:
    again = Project(tmp_path / "again").run()
    receipts = sorted(finished.results.rglob("*.receipt.json"))
    assert len(receipts) == 30
    for receipt in receipts:
        assert receipt.read_bytes() == (again.results / receipt.relative_to(finished.results)).read_bytes()
