"""What the drills share: a training on the cluster, long enough to be interfered with, and what must hold after it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
import yte
from cluster import Cluster
from projects import PATIENCE, ROOT, Project, environment

RECIPE = "results/tiny_screen/tiny"
WEIGHTS = f"{RECIPE}/models/byobnet/fold0/stage1/weights.safetensors"
LOG = f"{RECIPE}/logs/train_model/byobnet_fold0.log"
LONGER = {"train": {"epochs": 150, "validate_every": 50}}  # ten seconds on an idle core
PROFILE = "cluster"


def adapted_profile(**variables: Any) -> dict[str, Any]:
    """`profiles/slurm` as Snakemake sees it, with other values of the variables at its top."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert variables.keys() <= profile["__variables__"].keys()
    profile["__variables__"] |= variables
    return dict(yte.process_yaml(yaml.safe_dump(profile, sort_keys=False), require_use_yte=True))


def write_profile(project: Project, changes: Mapping[str, Any] | None = None, **variables: Any) -> None:
    """That profile with changes (mappings merge), and quicker to look at the queue."""
    profile = adapted_profile(**variables)
    quick = {"slurm-init-seconds-before-status-checks": 2, "max-status-checks-per-second": 1, "latency-wait": 20}
    path = project.folder / PROFILE / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(merged(merged(profile, quick), changes or {})))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, mappings key by key."""
    both = dict(below)
    for key, value in above.items():
        both[key] = merged(both.get(key) or {}, value) if isinstance(value, Mapping) else value
    return both


@dataclass
class Run:
    """A Snakemake in the background; its output grows in a file."""

    process: subprocess.Popen[bytes]
    file: Path

    @classmethod
    def start(cls, project: Project, *targets: str) -> "Run":
        """`snakemake TARGETS` with the drill's profile, or `profiles/slurm` where it has none."""
        profile = PROFILE if (project.folder / PROFILE).exists() else "slurm"
        file = project.folder / f"run{time.monotonic_ns()}.out"
        with file.open("wb") as output:
            process = subprocess.Popen(
                project.command(*targets, profile=profile),
                cwd=project.folder, env=environment(), stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        return cls(process, file)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.file.read_text(errors="replace")

    def kill(self) -> None:
        """End it without notice, so that it cannot cancel its jobs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self, succeeds: bool = True) -> str:
        """Wait for its end; its output."""
        code = self.process.wait(timeout=PATIENCE)
        assert (code == 0) == succeeds, self.output[-6000:]
        return self.output


@dataclass
class Drill:
    """One training of a project on a cluster."""

    cluster: Cluster
    project: Project
    runs: list[Run] = field(default_factory=list)

    def start(self) -> Run:
        """Have Snakemake submit the training."""
        self.runs.append(Run.start(self.project, WEIGHTS))
        return self.runs[-1]

    def stop(self) -> None:
        """End what is left of it, here and on the cluster."""
        for run in self.runs:
            run.kill()
        self.cluster.command("scancel", "--user=root")
        self.cluster.wait("an empty queue", lambda: not self.cluster.jobs())

    def release(self) -> None:
        """Let the GPU partition start jobs."""
        self.cluster.command("scontrol", "update", "PartitionName=gpu", "State=UP")

    def submitted(self, run: Run, other_than: str = "") -> str:
        """SLURM's id of the training, as soon as it is in the queue."""
        return self._job("pending,running", run, other_than)

    def trains(self, run: Run, other_than: str = "", epochs: int = 3) -> str:
        """SLURM's id of the training, once it has done some epochs."""
        job = self._job("running", run, other_than)
        self.wait("a training", lambda: f"epoch {epochs}/" in self.log(), run)
        return job

    def pause(self, job: str) -> None:
        """Stop the clock of a training, so that it outlasts whatever is to happen to it."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                own = f"SLURM_JOB_ID={job}".encode() in (process / "environ").read_bytes().split(b"\0")
                if own and b"train_model.py" in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGSTOP)
                    return
            except OSError:  # gone, or none of ours
                continue
        raise AssertionError(f"job {job} has no training process")

    def _job(self, states: str, run: Run, other_than: str) -> str:
        def found() -> list[str]:
            jobs = self.cluster.jobs("i", "k", states=states)
            return [job for job, comment in jobs if "train_model" in comment and job != other_than]

        self.wait(f"training that is {states}", lambda: bool(found()), run)
        return found()[0]

    def wait(self, what: str, is_true: Callable[[], bool], run: Run | None = None) -> None:
        """Wait for something that a run brings about; give up when the run ended without it."""
        self.cluster.wait(
            what, lambda: is_true() or (run is not None and run.process.poll() is not None), patience=PATIENCE
        )
        assert is_true(), f"no {what}: {run.output[-6000:] if run else ''}\n{self.log()}"

    def asked(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What the command `cellsignal` says in the project's folder."""
        return subprocess.run(
            [sys.executable, "-m", "cellsignal.cli", *words],
            cwd=self.project.folder, env=environment() | {"PYTHONPATH": "workflow_scripts"},
            capture_output=True, text=True,
        )  # fmt: skip

    def log(self) -> str:
        """The training's own log."""
        path = self.project.folder / LOG
        return path.read_text() if path.exists() else ""

    def resumed_at(self) -> int:
        """The step at which the training went on, from its log; 0 if it began anew."""
        found = re.search(r"resumed at step (\d+)", self.log())
        return int(found[1]) if found else 0

    def weights(self) -> bytes:
        """The trained weights."""
        return (self.project.folder / WEIGHTS).read_bytes()

    def check_aftermath(self) -> None:
        """Nothing half-written under a final name, the audit passes, a plain rerun has nothing to do."""
        results = self.project.folder / "results"
        made = {path.parent for path in results.rglob("weights.safetensors")}
        assert made == {path.parent for path in results.rglob("weights.safetensors.receipt.json")}
        assert not list(results.rglob("*.part*")) and not self.project.results("state/**/*")
        assert not self.cluster.jobs()
        audit = self.asked("audit", WEIGHTS, "--threads", "1")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert "Nothing to be done" in self.start().end()
