"""Why two results differ: the settings, modules, packages, inputs and jobs that differ, and the rows that do.

Both results' receipts are laid side by side, job by job, whatever the folders, screens and recipes are called.
A job that differs only in what it was given is no cause: only where a difference begins is it named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellsignal.ensemble import read_probabilities
from cellsignal.errors import BadInput
from cellsignal.files import read_json
from cellsignal.provenance.receipts import Receipt
from cellsignal.provenance.stages import settings_by_name
from cellsignal.provenance.walk import Ancestry, walk
from cellsignal.scoring import best_treatment
from cellsignal.sites import read_table

Values = dict[str, Any]
Change = tuple[str, str, Any, Any]  # kind, name, in a, in b
TABLES = {"submission.csv": "submission.csv", "scores.json": "wells.parquet"}  # artefact → where its rows are
FOLLOWING = ("metadata", "missing", "replaced", "rows")
"""Values in stage files that nobody sets: digests of the raw tables, of what is missing and what was replaced."""
INDEX = {"submission.csv": ("id_code", "sirna"), "wells.parquet": ("well_id", "predicted")}


def diff(a: str | Path, b: str | Path) -> Values:
    """What differs between two results of the same kind, `b` against `a`, as JSON values.

    `origins` are differences that no other explains, each once, with the stages that hold it and whether a
    file that those made differs; `rows` are the wells whose class differs, with the step at which it does
    first; `scores` the scores that differ.

    Raises:
        BadInput: a file has no receipt, or the two are of different kinds.
    """
    one, other = _Side(Path(a)), _Side(Path(b))
    if one.path.name != other.path.name:
        raise BadInput(f"{a} and {b}: expected two results of one kind, such as two submissions")
    origins = _origins(one, other)
    return {
        "a": one.identity,
        "b": other.identity,
        "same_receipt": one.identity["receipt_sha256"] == other.identity["receipt_sha256"],
        "same_file": one.content == other.content,
        "origins": origins,
        "rows": _rows(one, other),
        "scores": _scores(one, other),
        "broken_receipts": [*one.ancestry.problems, *other.ancestry.problems],
    }


@dataclass
class _Side:
    """One of the two results, with names that do not tell its screen and recipe."""

    path: Path

    @cached_property
    def ancestry(self) -> Ancestry:
        return walk(self.path)

    @cached_property
    def identity(self) -> Values:
        """Its path, receipt and content, by hash."""
        return {"path": str(self.path), "receipt_sha256": self.ancestry.sha256[self.ancestry.top]}

    @cached_property
    def content(self) -> str:
        """SHA-256 of the result, as its receipt says."""
        name = self.path.resolve().relative_to(self.ancestry.results).as_posix()
        return self.ancestry.maker[name].outputs[name].sha256

    def name(self, path: str) -> str:
        """A path without its screen and recipe: `recipe/submission.csv`, `screen/sites.parquet`."""
        _, *rest = Path(path).parts
        recipe = Path(self.ancestry.top).parts[1]
        if rest[0] == recipe:
            return Path("recipe", *rest[1:]).as_posix()
        return Path("screen", *rest).as_posix()

    @cached_property
    def jobs(self) -> dict[str, Receipt]:
        return {self.name(path): made for path, made in self.ancestry.receipts.items()}

    @cached_property
    def files(self) -> dict[str, str]:
        """Every artefact's SHA-256."""
        return {self.name(path): made.outputs[path].sha256 for path, made in self.ancestry.maker.items()}

    def outputs(self, job: str) -> dict[str, str]:
        return {self.name(path): made.sha256 for path, made in self.jobs[job].outputs.items()}

    def reads(self, job: str) -> set[str]:
        return {self.name(path) for path in self.jobs[job].reads}

    def stage(self, job: str) -> str:
        """The stage of a job for people: `train_model/deep`."""
        path = Path(self.jobs[job].stage["path"]).with_suffix("")
        return path.as_posix().partition("stages/")[2]

    def file(self, name: str) -> Path | None:
        """Where an artefact lies, by its name without screen and recipe; None: it is not there."""
        for path in self.ancestry.maker:
            if self.name(path) == name and (self.ancestry.results / path).is_file():
                return self.ancestry.results / path
        return None


def _origins(one: _Side, other: _Side) -> list[Values]:
    """Every difference once, with the stages that hold it, the jobs that one side alone has last."""
    stages: dict[tuple[str, str], set[str]] = {}
    changes: dict[tuple[str, str], Change] = {}
    matters: dict[tuple[str, str], bool] = {}
    for job in sorted(one.jobs.keys() & other.jobs.keys()):
        made, remade = one.jobs[job], other.jobs[job]
        if one.ancestry.sha256[made.path] == other.ancestry.sha256[remade.path]:
            continue
        differs = one.outputs(job) != other.outputs(job)
        found = list(_changes(job, one, other))
        if differs and not found and not _upstream(job, one, other):
            found = [("unexplained", job, "same settings, code, packages and inputs", "another output")]
        for change in found:
            key = (change[0], f"{change[1]} {change[2]!r} {change[3]!r}")
            changes[key] = change
            stages.setdefault(key, set()).add(other.stage(job))
            matters[key] = matters.get(key, False) or differs
    origins = [
        {"kind": kind, "name": name, "a": old, "b": new, "stages": sorted(stages[key]), "files_differ": matters[key]}
        for key, (kind, name, old, new) in sorted(changes.items())
    ]
    return [*origins, *_jobs_of(one, other, "a"), *_jobs_of(other, one, "b")]


def _changes(job: str, one: _Side, other: _Side) -> Iterator[Change]:
    """What differs in a job itself, rather than in what it was given."""
    made, remade = one.jobs[job], other.jobs[job]
    for kind, before, after in (
        ("setting", settings_by_name(made.stage["settings"]), settings_by_name(remade.stage["settings"])),
        ("code", made.stage["code"], remade.stage["code"]),
        ("package", made.packages, remade.packages),
        ("raw file", _unmade(one, made.raw), _unmade(other, remade.raw)),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                follows = kind == "setting" and name.partition(".")[0] in FOLLOWING
                yield "raw data" if follows else kind, name, before.get(name), after.get(name)
    # What only one side has at all is named as a job of its own.
    known = one.files.keys() & other.files.keys()
    for name in sorted((one.reads(job) ^ other.reads(job)) & known):
        yield "input", name, name in one.reads(job) or None, name in other.reads(job) or None


def _unmade(side: _Side, raw: Mapping[str, str]) -> dict[str, str]:
    """Raw files but for a simulated screen's, which a job of the run has made."""
    return {name: sha256 for name, sha256 in raw.items() if f"screen/raw/{name}" not in side.files}


def _upstream(job: str, one: _Side, other: _Side) -> bool:
    """Whether a job was given other files."""
    return any(one.files.get(name) != other.files.get(name) for name in one.reads(job) | other.reads(job))


def _jobs_of(side: _Side, other: _Side, letter: str) -> Iterator[Values]:
    """Jobs that only one side has, by rule."""
    alone: dict[str, list[str]] = {}
    for job in sorted(side.jobs.keys() - other.jobs.keys()):
        alone.setdefault(side.jobs[job].rule, []).append(job.removesuffix(".receipt.json"))
    for rule, jobs in sorted(alone.items()):
        yield {
            "kind": "jobs", "name": rule, "a": None, "b": None, letter: jobs, "stages": [rule], "files_differ": True,
        }  # fmt: skip


def _rows(one: _Side, other: _Side) -> Values | None:
    """Wells whose class differs; None for a result without rows, or whose table is kept elsewhere (a crate's)."""
    name = TABLES.get(one.path.name)
    if name is None:
        return None
    if name != one.path.name and not all((side.path.parent / name).is_file() for side in (one, other)):
        return None
    before, after = (_classes(side, name) for side in (one, other))
    both = before.index.intersection(after.index)
    changed = [well for well in both if before[well] != after[well]]
    since = _first_differing(one, other, changed)
    return {
        "of": len(both),
        "changed": len(changed),
        "only_a": sorted(before.index.difference(after.index)),
        "only_b": sorted(after.index.difference(before.index)),
        "table": [
            {"well_id": well, "a": before[well], "b": after[well], "since": since.get(well)} for well in sorted(changed)
        ],
    }


def _classes(side: _Side, name: str) -> "pd.Series[Any]":
    """The class of every well, as the submission writes it or by number."""
    path = side.path.parent / name
    key, value = INDEX[name]
    try:
        table = pd.read_csv(path, dtype=str) if path.suffix == ".csv" else read_table(path)
        found: pd.Series[Any] = table.set_index(key)[value]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: holds no rows to compare ({error})") from error
    return found.map(str)


def _first_differing(one: _Side, other: _Side, wells: list[str]) -> dict[str, str]:
    """The first round whose ensemble calls a well differently; `balancing` where all agree.

    Ensembles that are not there (an archive without large files) tell nothing.
    """
    since: dict[str, str] = {}
    if not wells:
        return since
    rounds = [name for name in one.files if name.startswith("recipe/ensembles/round")]
    complete = True
    for name in sorted(rounds, key=lambda name: int(Path(name).stem.removeprefix("round"))):
        called, recalled = _called(one, name, wells), _called(other, name, wells)
        if called is None or recalled is None:
            complete = False
            continue
        for well, before, after in zip(wells, called, recalled, strict=True):
            if before != after:
                since.setdefault(well, f"ensemble, {Path(name).stem.replace('round', 'round ')}")
    return {well: "balancing" for well in wells if complete} | since


def _called(side: _Side, name: str, wells: list[str]) -> list[int] | None:
    """The likeliest treatment class of some wells in an ensemble; −1 for wells that it lacks."""
    ensemble, classes = side.file(name), side.file("screen/classes.parquet")
    if ensemble is None or classes is None:
        return None
    voted = read_probabilities(ensemble)
    best = best_treatment(voted.probability, read_table(classes))
    rows = pd.Index(voted.well_id).get_indexer(pd.Index(wells))
    return [int(called) for called in np.where(rows >= 0, best[rows], -1)]


def _scores(one: _Side, other: _Side) -> list[Values]:
    """Numbers of `scores.json` that differ."""
    if one.path.name != "scores.json":
        return []
    before, after = (_numbers(read_json(side.path)) for side in (one, other))
    return [
        {"name": name, "a": before.get(name), "b": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _numbers(value: Any, above: str = "") -> dict[str, Any]:
    """Every number by its dotted name; an item of a list by its `name`, `group` or `well_type`."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(_label(item, place), item) for place, item in enumerate(value)]
    else:
        return {above: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _numbers(item, f"{above}.{key}" if above else key)
    return found


def _label(item: Any, place: int) -> str:
    keys = ("name", "group", "well_type", "split")
    return next((str(item[key]) for key in keys if isinstance(item, Mapping) and key in item), str(place))
