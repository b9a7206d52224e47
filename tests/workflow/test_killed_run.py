"""A run that is killed goes on where it was, and in the end has the very bytes of a run that was not."""

import os
import signal
import subprocess
import time

import pytest
from projects import PATIENCE, Project, environment


def kill_while_training(project: Project) -> int:
    """Start a run, kill it and all that it started once a training has begun; its return code."""
    run = subprocess.Popen(
        project.command("all"),
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    given_up = time.monotonic() + PATIENCE
    try:
        while not project.results("logs/train_model/*.log") and run.poll() is None and time.monotonic() < given_up:
            time.sleep(0.02)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
    return run.wait()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run of the tiny recipe from nothing, killed while it trained."""
    project = Project.create(tmp_path_factory.mktemp("killed") / "project")
    assert kill_while_training(project) == -signal.SIGKILL
    return project


def test_a_killed_run_leaves_no_result_that_looks_whole(killed: Project) -> None:
    assert killed.results("plates/*.h5") and not killed.results("submission.csv")
    made = {path.parent for path in killed.results("weights.safetensors")}
    assert made == {path.parent for path in killed.results("weights.safetensors.receipt.json")}


def test_after_unlocking_it_goes_on_and_ends_in_the_same_bytes(killed: Project, finished: Project) -> None:
    locked = killed.snakemake("all")
    assert locked.returncode != 0 and "--unlock" in locked.stdout
    packed = {path: path.stat().st_mtime_ns for path in killed.results("plates/*.h5")}
    killed.run("--unlock")
    killed.run("all")
    assert {path: path.stat().st_mtime_ns for path in packed} == packed
    for receipt in finished.results("*.receipt.json"):
        again = killed.folder / receipt.relative_to(finished.folder)
        assert again.read_text() == receipt.read_text(), receipt.name
    assert len(killed.results("*.receipt.json")) == len(finished.results("*.receipt.json"))
