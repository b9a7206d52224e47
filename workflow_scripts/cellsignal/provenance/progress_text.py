"""How far a run is, for people."""

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.table import Column, Table

from cellsignal.provenance.progress import JobProgress, RunProgress

MINUTE, HOUR, DAY = 60, 3600, 86400


def progress_text(run: RunProgress) -> Iterator[str | Table]:
    """A headline, a table of rules, the trainings that have begun, and other jobs that have."""
    share = 100 * run.done / len(run.jobs) if run.jobs else 100.0
    begun = [job for job in run.jobs if job.state == "begun"]
    yield f"{run.folder}: {run.done:,} of {len(run.jobs):,} jobs done ({share:.0f} %), {len(begun):,} begun"
    if run.planned:
        yield run.planned
    yield _rules(run)
    trainings = [job for job in begun if job.training]
    if trainings:
        yield "Trainings that have begun"
        yield _trainings(trainings)
    others = [job for job in begun if not job.training]
    if others:
        yield "Other jobs that have begun, or failed"
        yield _others(others)
    if not run.finished:
        parts = [duration(run.seconds_left)] if run.seconds_left or not run.unknown else []
        parts += [f"{run.unknown:,} jobs of rules that never ran here"] if run.unknown else []
        yield f"What is left, one job after the other: {', and '.join(parts)}."


def _rules(run: RunProgress) -> Table:
    table = Table("rule", *(_right(name) for name in ("done", "begun", "of")), box=SIMPLE)
    for rule in dict.fromkeys(job.rule for job in run.jobs):
        states = [job.state for job in run.jobs if job.rule == rule]
        table.add_row(rule, f"{states.count('done'):,}", f"{states.count('begun') or ''}", f"{len(states):,}")
    return table


def _trainings(jobs: list[JobProgress]) -> Table:
    names = ("epoch", "loss", "accuracy", "validation", "time left", "silent for")
    table = Table("rule", "of", *(_right(name) for name in names), box=SIMPLE)
    for job in jobs:
        now = job.training
        assert now is not None
        table.add_row(
            job.rule,
            _unit(job),
            f"{now.epoch} of {now.epochs}" if now.epochs else "first",
            "" if now.loss is None else f"{now.loss:.4g}",
            "" if now.accuracy is None else f"{now.accuracy:.3f}",
            "" if now.validation is None else f"{now.validation:.3f}",
            "" if now.seconds_left is None else duration(now.seconds_left),
            duration(job.silent or 0.0),
        )
    return table


def _others(jobs: list[JobProgress]) -> Table:
    table = Table("rule", "of", _right("silent for"), "last line of its log", box=SIMPLE)
    for job in jobs:
        table.add_row(job.rule, _unit(job), duration(job.silent or 0.0), job.last_line[:80])
    return table


def _unit(job: JobProgress) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in job.wildcards.items() if value)


def _right(name: str) -> Column:
    return Column(name, justify="right")


def duration(seconds: float) -> str:
    """A time as people say it: `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"
    return f"{int(seconds // DAY)} d {int(seconds % DAY // HOUR)} h"
