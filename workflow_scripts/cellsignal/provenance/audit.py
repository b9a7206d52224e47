"""The audit of a submission: intact, current, clean.

*Intact*: every artefact, stage file, receipt and raw file has the bytes that the receipts say.
*Current*: the present code and plan are those that made it. *Clean*: nothing leaked into training.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput
from cellsignal.files import read_json, sha256_file
from cellsignal.provenance.leaks import leaks, priors
from cellsignal.provenance.stages import Stage, changed_modules, changed_settings, read_stage
from cellsignal.provenance.walk import Ancestry, walk


@dataclass
class Verdict:
    """Three answers, each with its evidence: an empty list of problems is a yes."""

    artefact: str
    receipt_sha256: str
    checked: dict[str, int]  # what was counted: receipts, files, raw files
    intact: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)
    priors: dict[str, Any] = field(default_factory=dict)
    missing_sites: list[dict[str, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all three hold."""
        return not (self.intact or self.current or self.clean)

    def as_json(self) -> dict[str, Any]:
        """For `audit.json`."""
        return {**vars(self), "passed": self.passed}

    def as_text(self) -> str:
        """For people."""
        lines = [f"Audit of {self.artefact}: {'PASSED' if self.passed else 'FAILED'}"]
        counted = ", ".join(f"{number:,} {name}" for name, number in self.checked.items())
        lines.append(f"  checked {counted}; receipt {self.receipt_sha256[:16]}…")
        for name in ("intact", "current", "clean"):
            problems = getattr(self, name)
            lines.append(f"  {name}: {'yes' if not problems else 'NO'}")
            lines += [f"    - {problem}" for problem in problems]
        lines += [f"  prior {name}: {value}" for name, value in self.priors.items()]
        if self.missing_sites:
            lines.append(f"  {len(self.missing_sites)} sites were left out for unreadable images:")
            lines += [f"    - {site['site_id']}: {site['image']}: {site['problem']}" for site in self.missing_sites]
        return "\n".join(lines)


def audit(
    artefact: str | Path,
    raw_root: str | Path | None,
    library: str | Path,
    threads: int = 2,
    progress: Callable[[str], None] = lambda line: None,
) -> Verdict:
    """Audit one artefact (`submission.csv`, `scores.json`, a figure) from its receipt down.

    `raw_root` is the folder that raw paths are relative to (None: raw files are not rehashed, which
    counts as a problem if there are any); `library` the folder of scripts and package as they are now.
    Every file is read once, in pieces. Raises `BadInput` if the artefact has no readable receipt.
    """
    ancestry = walk(artefact)
    receipt = f"{artefact}.receipt.json"
    files, raw = _expected_files(ancestry), _expected_raw(ancestry)
    progress(f"{len(ancestry.receipts)} receipts, {len(files)} files, {len(raw)} raw files")
    problems = list(ancestry.problems)
    problems += _rehash(files, ancestry.results, threads)
    if raw and raw_root is None:
        problems.append(f"{len(raw)} raw files cannot be checked: the folder of raw data is not known")
    elif raw_root is not None:
        problems += _rehash(raw, Path(raw_root), threads)
    return Verdict(
        artefact=str(artefact),
        receipt_sha256=sha256_file(receipt),
        checked={"receipts": len(ancestry.receipts), "files": len(files), "raw files": len(raw)},
        intact=sorted(problems),
        current=_outdated(ancestry, Path(library)),
        clean=_or_unreadable(leaks, ancestry),
        priors=priors(ancestry),
        missing_sites=_missing_sites(ancestry),
    )


def _or_unreadable(check: Callable[[Ancestry], list[str]], ancestry: Ancestry) -> list[str]:
    """The check's answer. Tables too broken to open are no proof of cleanness; `intact` names them."""
    try:
        return check(ancestry)
    except (OSError, ValueError, KeyError) as error:
        return [f"cannot be checked, a table is unreadable ({str(error).splitlines()[0]})"]


def _expected_files(ancestry: Ancestry) -> dict[str, tuple[str, str]]:
    """Path relative to the results → (SHA-256, how it leads to the submission)."""
    expected = {}
    for receipt in ancestry.receipts.values():
        way = ancestry.path_to(receipt.path)
        for name, artefact in receipt.outputs.items():
            expected[name] = (artefact.sha256, way)
    return expected


def _expected_raw(ancestry: Ancestry) -> dict[str, tuple[str, str]]:
    return {
        name: (sha256, ancestry.path_to(receipt.path))
        for receipt in ancestry.receipts.values()
        for name, sha256 in receipt.raw.items()
    }


def _rehash(expected: dict[str, tuple[str, str]], folder: Path, threads: int) -> list[str]:
    def problem(item: tuple[str, tuple[str, str]]) -> str | None:
        name, (sha256, way) = item
        path = folder / name
        if not path.is_file():
            return f"{name}: missing (needed by {way})"
        found = sha256_file(path)
        if found == sha256:
            return None
        return f"{name}: SHA-256 {found[:16]}…, its receipt says {sha256[:16]}… (used by {way})"

    with ThreadPoolExecutor(threads) as pool:  # hashing releases the interpreter lock
        return [found for found in pool.map(problem, sorted(expected.items())) if found]


def _outdated(ancestry: Ancestry, library: Path) -> list[str]:
    """Stages that the present plan or code would make differently, with the settings and modules that differ."""
    problems: dict[str, set[str]] = {}
    for receipt in ancestry.receipts.values():
        made = receipt.stage
        found = _differences(receipt.rule, made, ancestry.results / made["path"], library)
        problems.setdefault(made["path"], set()).update(found)
    return [f"{path}: {', '.join(sorted(found))}" for path, found in sorted(problems.items()) if found]


def _differences(rule: str, made: dict[str, Any], path: Path, library: Path) -> list[str]:
    """What differs between a stage as a receipt holds it, and its file and the code as they are now."""
    if not path.is_file():
        return ["missing"]
    stage = Stage(rule, made["settings"], made["code"])
    try:
        found = changed_settings(stage, read_stage(path))
        found += changed_modules(stage, library / f"{rule}.py", library)
    except (BadInput, OSError, SyntaxError) as error:
        return [str(error)]
    edited = sha256_file(path) != made["sha256"]
    return found or (["not the file that the job read, though its settings are the same"] if edited else [])


def _missing_sites(ancestry: Ancestry) -> list[dict[str, str]]:
    found = []
    for receipt in ancestry.receipts.values():
        for name in receipt.outputs:
            path = ancestry.results / name
            if name.endswith(".problems.json") and path.is_file():
                found += read_json(path)
    return found
