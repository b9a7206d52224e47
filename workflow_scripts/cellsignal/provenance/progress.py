"""How far a run is, from its files alone: the plan, receipts, logs and histories as they grow. No process is asked.

A job is done if its receipt names the stage file and the receipts of its inputs as they are now; then Snakemake
would not run it again. It has begun if its log is newer than that receipt, or there is none. Whether it is still
alive, files cannot tell: its last sign of life is the age of its log or history.
"""

import csv
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from cellsignal.errors import BadInput
from cellsignal.files import read_json, sha256_file

JOBS = "stages/jobs.json"
IN_USE = "stages/.in_use"
EPOCH = re.compile(r"^epoch (\d+)/(\d+): .* \(([\d.]+) s\)$", re.MULTILINE)
RECENT = 5  # epochs whose time counts for the estimate


@dataclass
class Training:
    """A training that has begun.

    `epoch` of `epochs` are done (0 of None: none yet). `loss`, `accuracy` are of the last epoch, `validation` the last
    validation accuracy; None where there is none. `seconds_left` and `seconds`, of all its epochs: from the time of
    the last ones.
    """

    epoch: int = 0
    epochs: int | None = None
    loss: float | None = None
    accuracy: float | None = None
    validation: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None


@dataclass
class JobProgress:
    """One job: `state` is `done`, `begun` or `waiting`; `silent` are seconds since its last sign of life."""

    rule: str
    wildcards: dict[str, str]
    state: str
    silent: float | None = None
    last_line: str = ""
    training: Training | None = None


@dataclass
class RunProgress:
    """A run: its jobs in the order of the rules, and what remains.

    `seconds_left` is the time that the jobs which are not done would take one after the other, as far as earlier
    jobs of their rule tell, or the trainings that run now; `unknown` are those of a rule that never ran.
    """

    folder: Path
    planned: str
    jobs: list[JobProgress]
    seconds_left: float
    unknown: int

    @property
    def done(self) -> int:
        """How many jobs are done."""
        return sum(job.state == "done" for job in self.jobs)

    @property
    def finished(self) -> bool:
        """Whether all jobs are done."""
        return self.done == len(self.jobs)

    def as_json(self) -> dict[str, Any]:
        """JSON values: counts by rule, and the jobs that have begun."""
        rules: dict[str, dict[str, int]] = {}
        for job in self.jobs:
            counts = rules.setdefault(job.rule, {"done": 0, "begun": 0, "waiting": 0})
            counts[job.state] += 1
        begun = [job for job in self.jobs if job.state == "begun"]
        return {
            "folder": str(self.folder),
            "planned": self.planned,
            "jobs": len(self.jobs),
            "done": self.done,
            "rules": rules,
            "begun": [vars(job) | {"training": vars(job.training) if job.training else None} for job in begun],
            "job_seconds_left": round(self.seconds_left),
            "jobs_of_unknown_length": self.unknown,
        }


def find_run(below: str | Path = "results") -> Path:
    """The recipe's folder `results/{screen}/{recipe}` that was planned, the latest if several. Raises `BadInput`."""
    found = sorted(Path(below).glob(f"*/*/{JOBS}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BadInput(f"{below}: no run was planned here; expected SCREEN/RECIPE/{JOBS}, which Snakemake writes")
    return found[-1].parents[1]


@dataclass
class Watch:
    """Looks at a run again and again; what did not change is not read twice."""

    folder: Path
    _hashes: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict)
    _receipts: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder of results, to which paths in plan and receipts are relative."""
        return self.folder.resolve().parents[1]

    def look(self) -> RunProgress:
        """The run as it is now. Raises `BadInput` if it was never planned."""
        plan = self.folder / JOBS
        if not plan.is_file():
            raise BadInput(f"{plan}: missing; expected a folder results/SCREEN/RECIPE that Snakemake has planned")
        jobs = read_json(plan)
        now = time.time()
        progress = []
        seconds: dict[str, list[float]] = {}
        running: dict[str, list[float]] = {}
        for job in jobs:
            receipt, log = (self.root / job[key] for key in ("receipt", "log"))
            progress.append(self._job(job, receipt, log, now))
            if (record := log.with_suffix(".run.json")).is_file():  # of this plan or an earlier one
                seconds.setdefault(job["rule"], []).append(read_json(record)["seconds"])
        for one in progress:
            if one.training and one.training.seconds is not None and one.rule not in seconds:
                running.setdefault(one.rule, []).append(one.training.seconds)
        seconds = running | seconds
        left, unknown = 0.0, 0
        for one in progress:
            if one.state == "done":
                continue
            if one.training and one.training.seconds_left is not None:
                left += one.training.seconds_left
            elif one.rule in seconds:
                left += mean(seconds[one.rule])
            else:
                unknown += 1
        note = self.folder / IN_USE
        planned = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        return RunProgress(self.folder, planned, progress, left, unknown)

    def _job(self, job: dict[str, Any], receipt: Path, log: Path, now: float) -> JobProgress:
        found = JobProgress(job["rule"], job["wildcards"], "waiting")
        made = self._receipt(receipt)
        if made and self._is_current(made):
            found.state = "done"
        elif log.is_file() and (not made or log.stat().st_mtime > receipt.stat().st_mtime):
            found.state = "begun"
            text = log.read_text(encoding="utf-8", errors="replace")
            ended = [line for line in text.split("\n")[:-1] if line.strip()]  # a line that is being written is none yet
            found.last_line = ended[-1] if ended else ""
            history = receipt.parent / "history.csv"
            signs = [log]
            if job["rule"] in ("train_model", "finetune_cell_type"):
                if history.is_file():
                    signs.append(history)
                found.training = read_training(text, history, now)
            found.silent = max(0.0, now - max(path.stat().st_mtime for path in signs))
        return found

    def _is_current(self, made: dict[str, Any]) -> bool:
        """Whether the stage file and the inputs' receipts are those that a receipt names."""
        named = {made["stage"]["path"]: made["stage"]["sha256"], **made["inputs"]}
        return all(self._hash(self.root / path) == sha256 for path, sha256 in named.items())

    def _receipt(self, path: Path) -> dict[str, Any] | None:
        """The part of a receipt that counts here; None if there is none."""
        try:
            stamp = _stamp(path)
            if self._receipts.get(path, (None, None))[0] != stamp:
                content = read_json(path)
                kept = {"inputs": content["inputs"], "stage": content["stage"]}
                self._receipts[path] = stamp, kept
        except (OSError, ValueError, KeyError):
            return None
        return self._receipts[path][1]

    def _hash(self, path: Path) -> str:
        """SHA-256 of a small file; empty if it is not there."""
        try:
            stamp = _stamp(path)
            if self._hashes.get(path, (None, ""))[0] != stamp:
                self._hashes[path] = stamp, sha256_file(path)
        except OSError:
            return ""
        return self._hashes[path][1]


def read_training(log: str, history: Path, now: float) -> Training:
    """The state of a training from its log (epochs and their time) and its history (numbers)."""
    found = Training()
    epochs = [(int(number), int(of), float(seconds)) for number, of, seconds in EPOCH.findall(log)]
    if epochs:
        found.epoch, found.epochs, _ = epochs[-1]
    if history.is_file():
        rows = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines()))
        if rows:
            last = rows[-1]
            found.epoch = int(last["epoch"])
            found.loss, found.accuracy = float(last["loss"]), float(last["accuracy"])
            validations = [row["validation_accuracy"] for row in rows if row["validation_accuracy"]]
            found.validation = float(validations[-1]) if validations else None
        if epochs and found.epochs is not None:
            usual = median(seconds for *_, seconds in epochs[-RECENT:])
            found.seconds = found.epochs * usual
            since = now - history.stat().st_mtime
            found.seconds_left = max(0.0, (found.epochs - found.epoch) * usual - min(since, usual))
    return found


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
