"""The whole workflow through SLURM: the local run's receipts, each job in its partition, and few submissions."""

import json
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from drills import Drill, Run, write_profile
from projects import Project

ACCOUNTING = True
FIELDS = ["Comment", "Partition", "AllocTRES", "ReqMem", "TimelimitRaw", "State"]


@pytest.fixture(scope="module")
def remote(cluster: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny recipe, run on the cluster by the command of the README."""
    project = Project.create(tmp_path_factory.mktemp("remote") / "project")
    quick = ("--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1")
    run = Run.start(project, "all", *quick)
    try:
        request.getfixturevalue("local")  # that run takes a minute of its own: meanwhile
        output = run.end()
    finally:
        run.kill()
    (project.folder / "run.out").write_text(output)
    return project


@pytest.fixture(scope="module")
def jobs(cluster: Cluster, remote: Project) -> list[dict[str, str]]:
    """What SLURM's accounting says of the run's jobs."""
    lines = cluster.command("sacct", "-X", "-n", "-P", "-o", ",".join(FIELDS)).splitlines()
    return [dict(zip(FIELDS, line.split("|"), strict=True)) for line in lines]


def test_nothing_is_left_to_do_and_nothing_lies_about(remote: Project) -> None:
    assert "Nothing to be done" in remote.run("all", profile="slurm")
    assert not list(remote.folder.rglob("*.part*")) and not remote.results("state/**/*")
    assert not list((remote.folder / "logs/slurm").rglob("*.log"))  # kept of jobs that failed


def test_it_ends_in_the_receipts_of_a_local_run(remote: Project, local: Project) -> None:
    receipts = {path.relative_to(local.folder): path.read_text() for path in local.results("*.receipt.json")}
    assert len(receipts) > 50
    assert {path.relative_to(remote.folder): path.read_text() for path in remote.results("*.receipt.json")} == receipts
    for name in ("submission.csv", "scores.json", "audit.json"):
        assert remote.one(name).read_bytes() == local.one(name).read_bytes()


def test_training_and_prediction_get_a_gpu_each_and_nothing_else_does(jobs: list[dict[str, str]]) -> None:
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    on_gpu = {"train_model": 4, "finetune_cell_type": 4, "predict": 6, "explain_sites": 1}
    for rule, count in on_gpu.items():
        own = [job for job in jobs if job["Comment"].startswith(f"rule_{rule}")]
        assert len(own) == count
        assert all(job["Partition"] == "gpu" and "gres/gpu=1" in job["AllocTRES"] for job in own)
    others = [job for job in jobs if job["Partition"] == "cpu"]
    assert len(others) + sum(on_gpu.values()) == len(jobs) and not any("gpu" in job["AllocTRES"] for job in others)


def test_small_jobs_share_submissions(jobs: list[dict[str, str]], remote: Project) -> None:
    # 15 on a GPU; simulate, index, pack, normalization, 3 ensembles, results and the audit.
    assert len(jobs) == 15 + 9
    assert (remote.folder / "run.out").read_text().count("has been submitted") == len(jobs)


def test_a_gpu_model_and_a_number_of_gpus_are_asked_for_in_one_place(held: Drill) -> None:
    write_profile(held.project, gpu_model="a100", gpus=2, hours_at_most=24)
    job = held.submitted(held.start())
    details = held.cluster.command("scontrol", "show", "job", job)
    assert "TresPerJob=gres:gpu:a100:2" in details and "Partition=gpu" in details and "TimeLimit=1-00:00:00" in details


def test_progress_is_seen_from_the_queue_to_the_end(held: Drill) -> None:
    def training() -> tuple[str, dict[str, Any]]:
        told = json.loads(held.asked("progress", "--json").stdout)
        mine = [job for job in told["begun"] if job["wildcards"] == {"model": "byobnet", "fold": "0"}]
        return told["rules"]["train_model"], mine[0] if mine else {}

    run = held.start()
    held.submitted(run)
    before, mine = training()
    assert before == {"done": 0, "begun": 0, "waiting": 4} and not mine
    held.release()
    held.pause(held.trains(run))
    now, mine = training()
    assert now == {"done": 0, "begun": 1, "waiting": 3}
    assert 3 <= mine["training"]["epoch"] < mine["training"]["epochs"] == 150
    assert mine["training"]["loss"] > 0 and mine["training"]["seconds_left"] > 0
    assert "epoch" in held.asked("progress").stdout


def test_every_job_says_where_its_log_is(remote: Project) -> None:
    output = (remote.folder / "run.out").read_text()
    assert f"(log: {Path(remote.folder, 'logs/slurm/rule_train_model/byobnet_0')}/" in output
