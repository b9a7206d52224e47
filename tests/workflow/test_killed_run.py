"""A run that is killed goes on where it was, and in the end has the very bytes of a run that was not."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from projects import PATIENCE, Project, environment

CORES = 2


def lives(group: int) -> bool:
    """Whether a process of this group still runs."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def kill_while_training(project: Project) -> int:
    """Start a run and kill Snakemake, not its jobs, once a training has begun; its return code."""
    run = subprocess.Popen(
        project.command("all", "--cores", str(CORES)),
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    given_up = time.monotonic() + PATIENCE
    logs = project.folder / "results/tiny_screen/tiny/logs/train_model"  # elsewhere folders come and go meanwhile
    try:
        while not list(logs.glob("*.log")) and run.poll() is None and time.monotonic() < given_up:
            time.sleep(0.02)
        run.kill()
        while lives(run.pid) and time.monotonic() < given_up:
            time.sleep(0.02)
        assert not lives(run.pid)  # its jobs end by themselves
    finally:
        if lives(run.pid):
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
    # A run record tells when its job began: one that ran twice has another.
    done = {path: path.read_bytes() for path in killed.results("*.run.json")}
    killed.run("--unlock")
    killed.run("all")
    twice = [path.name for path, record in done.items() if path.read_bytes() != record]
    assert len(done) > 20 and len(twice) <= CORES  # no more than what Snakemake did not see the end of
    for receipt in finished.results("*.receipt.json"):
        again = killed.folder / receipt.relative_to(finished.folder)
        assert again.read_text() == receipt.read_text(), receipt.name
    assert len(killed.results("*.receipt.json")) == len(finished.results("*.receipt.json"))
    assert not list((killed.folder / "results").rglob(".*.part*"))
