"""How far a run is, told from its files: done, begun, waiting; epochs, numbers and time left of trainings."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from small_project import RECIPE, Project

from cellsignal import cli
from cellsignal.errors import BadInput
from cellsignal.files import read_json, write_json
from cellsignal.history import sentence, write_history
from cellsignal.provenance.progress import JOBS, Watch, find_run, read_training
from cellsignal.provenance.progress_text import duration


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project with the plan of its jobs, as the workflow writes it, and a log and run record of each."""
    project = Project(tmp_path_factory.mktemp("finished") / "project").run()
    jobs = []
    for receipt in sorted(project.results.rglob("*.receipt.json")):
        made = read_json(receipt)
        log = f"{RECIPE}/logs/{made['path'].replace('/', '_')}.log"
        jobs.append({"rule": made["rule"], "wildcards": made["wildcards"], "receipt": made["path"], "log": log})
        (project.results / log).parent.mkdir(exist_ok=True)
        (project.results / log).write_text("done\n")
        os.utime(project.results / log, (1, 1))
        write_json((project.results / log).with_suffix(".run.json"), {"seconds": 30.0})
    write_json(project.results / RECIPE / JOBS, jobs)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy, to be changed."""
    return finished.copy_to(tmp_path / "project")


def watch(project: Project) -> Watch:
    return Watch(project.results / RECIPE)


def jobs_of(project: Project, rule: str) -> list[dict[str, Any]]:
    return [job for job in read_json(project.results / RECIPE / JOBS) if job["rule"] == rule]


def test_a_finished_run_is_done(project: Project) -> None:
    run = watch(project).look()
    assert run.finished and run.done == len(run.jobs) > 10 and run.seconds_left == 0


def test_a_changed_stage_file_makes_its_jobs_undone_and_no_others(project: Project) -> None:
    job = jobs_of(project, "score")[0]
    stage = project.results / read_json(project.results / job["receipt"])["stage"]["path"]
    look = watch(project)
    assert look.look().finished
    stage.write_text(stage.read_text() + "\n")
    run = look.look()
    assert [job.rule for job in run.jobs if job.state != "done"] == ["score"]
    assert run.seconds_left == 30 and run.unknown == 0


def test_a_receipt_that_was_made_again_makes_undone_what_read_it(project: Project) -> None:
    job = jobs_of(project, "index_sites")[0]
    receipt = project.results / job["receipt"]
    receipt.write_text(receipt.read_text() + "\n")
    readers = {job.rule for job in watch(project).look().jobs if job.state == "waiting"}
    assert {"train_model", "ensemble_teachers", "score"} <= readers and "index_sites" not in readers


def test_a_training_that_goes_on_tells_epoch_numbers_and_time_left(project: Project) -> None:
    job = jobs_of(project, "train_model")[0]
    receipt, log = project.results / job["receipt"], project.results / job["log"]
    receipt.unlink()
    rows = [
        {
            "epoch": e,
            "step": 10 * e,
            "rate": 1e-3,
            "loss": 2.0 / e,
            "accuracy": 0.1 * e,
            "validation_accuracy": 0.05 * e,
        }
        for e in (1, 2, 3)
    ]
    del rows[2]["validation_accuracy"]  # not every epoch is validated
    write_history(receipt.parent / "history.csv", rows)
    log.write_text("".join(sentence(row, 20, 40.0 + row["epoch"]) + "\n" for row in rows))
    run = watch(project).look()
    (found,) = [one for one in run.jobs if one.state == "begun"]
    assert found.rule == "train_model" and found.wildcards == job["wildcards"]
    assert found.training is not None and (found.training.epoch, found.training.epochs) == (3, 20)
    assert found.training.loss == pytest.approx(2 / 3, rel=1e-4) and found.training.accuracy == 0.3
    assert found.training.validation == 0.1
    assert found.training.seconds_left == pytest.approx(17 * 42, abs=5)  # the median epoch takes 42 s
    assert found.silent is not None and found.silent < 60


def test_waiting_trainings_take_as_long_as_one_that_runs_where_none_has_ended(project: Project) -> None:
    trainings = jobs_of(project, "train_model")
    for job in trainings:
        (project.results / job["receipt"]).unlink()
        for file in (project.results / job["log"], (project.results / job["log"]).with_suffix(".run.json")):
            file.unlink(missing_ok=True)
    receipt, log = (project.results / trainings[0][key] for key in ("receipt", "log"))
    row = {"epoch": 1, "step": 10, "rate": 1e-3, "loss": 2.0, "accuracy": 0.1, "validation_accuracy": 0.05}
    write_history(receipt.parent / "history.csv", [row])
    log.write_text(sentence(row, 20, 40.0) + "\n")
    run = watch(project).look()
    waiting = [job for job in run.jobs if job.rule == "train_model" and job.state == "waiting"]
    others = sum(30 for job in run.jobs if job.state != "done" and job.rule != "train_model")
    assert len(waiting) == len(trainings) - 1 > 0 and run.unknown == 0
    assert run.seconds_left == pytest.approx(19 * 40 + 20 * 40 * len(waiting) + others, abs=5)


def test_a_training_in_its_first_epoch_has_no_numbers_yet(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [])
    found = read_training("GPU found\n", tmp_path / "history.csv", time.time())
    assert (found.epoch, found.epochs, found.loss, found.seconds_left) == (0, None, None, None)


def test_a_log_newer_than_the_receipt_of_an_earlier_plan_is_a_job_that_began_again(project: Project) -> None:
    job = jobs_of(project, "score")[0]
    receipt, log = project.results / job["receipt"], project.results / job["log"]
    stage = project.results / read_json(receipt)["stage"]["path"]
    stage.write_text(stage.read_text() + "\n")
    log.write_text("reading\nscoring\n\n")  # what is said last, as an error is, ends in an empty line
    later = receipt.stat().st_mtime + 100
    os.utime(log, (later, later))
    (found,) = [one for one in watch(project).look().jobs if one.state == "begun"]
    assert found.rule == "score" and found.last_line == "scoring"


def test_the_command_prints_plain_text_and_exits_1_until_all_is_done(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    assert cli.main(["progress"]) == 0
    assert " jobs done (100 %), 0 begun" in capsys.readouterr().out
    jobs_of_score = jobs_of(project, "score")[0]
    (project.results / jobs_of_score["receipt"]).unlink()
    assert cli.main(["progress", f"results/{RECIPE}"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and "score" in out and "What is left, one job after the other: 30 s" in out
    assert cli.main(["progress", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["rules"]["score"] == {"done": 0, "begun": 1, "waiting": 0} and told["done"] == told["jobs"] - 1


def test_a_folder_that_was_never_planned_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["progress", str(tmp_path)]) == 2
    assert "expected a folder results/SCREEN/RECIPE that Snakemake has planned" in capsys.readouterr().err
    with pytest.raises(BadInput, match="no run was planned here"):
        find_run(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (600, "10 min"), (3 * 3600 + 1250, "3 h 20 min"), (200000, "2 d 7 h")],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text
