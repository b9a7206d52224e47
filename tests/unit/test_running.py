"""What a script says when the machine fails it. Each job is a process, as in a run."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from disks import small_disk

from cellsignal.clocks import date_no_later_than
from cellsignal.errors import Fault, out_of_memory
from cellsignal.provenance.stages import Stage, stage_text

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"
DAY = 86_400.0

# A job in the present folder: what Snakemake gives a script, of the rule `train_model`.
JOB = """
import sys
from types import SimpleNamespace
class Named(list):
    def __init__(self, **names):
        super().__init__(names.values())
        vars(self).update(names)
    def get(self, name, default):
        return vars(self).get(name, default)
snakemake = SimpleNamespace(
    rule="train_model", scriptdir=".", config={"results": "results"}, wildcards={}, log=["results/logs/job.log"],
    input=Named(stage="results/s/stages/train_model.json"), resources={"mem_mb": 24000},
    output=Named(weights="results/s/weights", receipt="results/s/weights.receipt.json"),
)
sys.path.insert(0, SCRIPTS)
snakemake.scriptdir = SCRIPTS
import cellsignal.provenance.job
cellsignal.provenance.job.changed_modules = lambda *_: []
from running import run
with run(snakemake) as job:
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the stage file of one job."""
    stage = tmp_path / "results/s/stages/train_model.json"
    stage.parent.mkdir(parents=True)
    settings = {"train": {"batch_size": 64}, "seed": 0}
    stage.write_text(stage_text(Stage("train_model", settings, {})))
    return tmp_path


def job_code(does: str) -> str:
    """A job that does this; the code that it was planned with is not looked at."""
    code = JOB.replace("SCRIPTS", repr(str(SCRIPTS)))
    return f"{code}    import os, time; {does}\n"


def run_job(folder: Path, does: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", job_code(does)], cwd=folder, capture_output=True, text=True)


def test_a_job_whose_snakemake_is_killed_ends_too(folder: Path) -> None:
    """Else it would go on alone, and meet the job of the next run."""
    job = job_code("print('started', os.getpid(), file=open('started', 'w'), flush=True); time.sleep(600)")
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {job!r}])"], cwd=folder
    )
    started, given_up = folder / "started", time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < given_up:
        time.sleep(0.05)
    process = Path("/proc") / started.read_text().split()[1]
    assert process.exists()
    parent.kill()
    parent.wait()
    while process.exists() and "Z" not in (process / "stat").read_text() and time.monotonic() < given_up:
        time.sleep(0.05)
    assert not process.exists() or "Z" in (process / "stat").read_text()


def log(folder: Path) -> str:
    return (folder / "results/logs/job.log").read_text()


def test_memory_that_runs_out_is_a_sentence_with_what_to_lower(folder: Path) -> None:
    done = run_job(folder, "import numpy; numpy.ones(2**50, dtype='u1')")
    assert done.returncode == 1 and not (folder / "results/s/weights.receipt.json").exists()
    assert log(folder) == (
        f"train_model on {platform.node()}\n"
        "\ntrain_model: out of memory: 1.00 PiB more could not be had. Lower train.batch_size (now 64) or raise the "
        "job's mem_mb (now 24000: profiles/README.md)\n\n"
    )


def test_a_store_that_is_cut_off_while_it_is_read_tells_where(folder: Path) -> None:
    """A mapped file that gets shorter, or a disk that fails, ends a process by SIGBUS."""
    does = "import numpy, os; m = numpy.memmap('m', 'u1', 'w+', 0, 9999999); os.truncate('m', 0); m.sum()"
    assert run_job(folder, does).returncode < 0
    assert "Fatal Python error: Bus error" in log(folder) and 'File "<string>"' in log(folder)


def test_where_not_even_the_log_can_be_written_the_error_goes_where_snakemake_shows_it(folder: Path) -> None:
    with small_disk(folder / "results/logs", megabytes=1) as disk:
        disk.fill(0)
        done = run_job(folder, "from cellsignal.errors import BadInput; raise BadInput('plate 1: unreadable')")
        assert done.returncode and done.stderr == "\ntrain_model: plate 1: unreadable\n"
        disk.make_room()
        disk.read_only()
        done = run_job(folder, "pass")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "train_model: results/logs/job.log: cannot be written: Read-only file system" in done.stderr


def test_inputs_from_the_future_are_dated_now_before_the_work(folder: Path) -> None:
    stage = folder / "results/s/stages/train_model.json"
    os.utime(stage, (0, time.time() + DAY))
    done = run_job(folder, "open('results/s/weights', 'w').close()")
    assert done.returncode == 0, log(folder)
    assert "1 inputs were dated in the future, such as results/s/stages/train_model.json: dated now" in log(folder)
    assert stage.stat().st_mtime <= (folder / "results/s/weights").stat().st_mtime


def test_a_file_from_the_future_whose_time_cannot_be_changed_is_named_at_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        late, early = disk.folder / "late", disk.folder / "early"
        for path in (late, early):
            path.touch()
        os.utime(late, (0, time.time() + DAY))
        os.utime(early, (0, time.time() - DAY))
        disk.read_only()
        with pytest.raises(Fault, match=r"late: dated in the future, and its time cannot be changed \(Read-only"):
            date_no_later_than(time.time(), [late, early])
        assert date_no_later_than(time.time(), [early, disk.folder / "missing"]) == []


class OutOfMemoryError(RuntimeError):
    """As PyTorch names its own."""


@pytest.mark.parametrize(("error", "words"), [
    (MemoryError(), "out of memory"),
    (MemoryError("Unable to allocate 8.00 TiB for an array"), "out of memory: 8.00 TiB more could not be had"),
    (
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried to "
                     "allocate 4503599627370496 bytes. Error code 12"),
        "out of memory: 4503599627370496 bytes more could not be had",
    ),
    (
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB"),
        "out of GPU memory: 20.00 GiB more could not be had",
    ),
    (RuntimeError("shape mismatch"), None),
    (ValueError("out of memory"), None),
])  # fmt: skip
def test_every_way_of_running_out_of_memory_is_known(error: Exception, words: str | None) -> None:
    assert out_of_memory(error) == words


def test_what_pytorch_itself_raises_is_known() -> None:
    import torch

    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(error.value) == "out of memory: 1152921504606846976 bytes more could not be had"
