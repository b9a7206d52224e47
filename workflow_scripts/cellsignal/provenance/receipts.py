"""Receipts: what a job read and wrote, by hash.

`{output}.receipt.json` holds the rule, its wildcards, its stage file (hash and content, because planning
with other settings rewrites the file), the hash of each input's receipt, of each raw input and of each
output, the seed and the package versions. It holds no time, host or absolute path: two runs that produce
the same bytes write the same receipt. All paths are relative to the folder of results, which is found
from the receipt's own path, so a moved or archived project still verifies. A checksum over its own content
shows a damaged receipt even where no other receipt names it, as the submission's.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput
from cellsignal.files import canonical_json, sha256_file, sha256_text, write_text

FORMAT = 3
SUFFIX = ".receipt.json"
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "skimage": "scikit-image"}


@dataclass(frozen=True)
class Artefact:
    """A file by its content."""

    sha256: str
    bytes: int


@dataclass
class Receipt:
    """One job's receipt. Paths are relative to the folder of results, raw paths to the screen's root."""

    path: str
    rule: str
    wildcards: dict[str, str]
    stage: dict[str, Any]  # {"path": …, "sha256": …, "settings": …, "code": …}
    inputs: dict[str, str]  # path of a receipt → its SHA-256
    reads: list[str]  # artefacts that the job opened, each listed in one of those receipts
    raw: dict[str, str]  # path of a raw file → its SHA-256
    outputs: dict[str, Artefact]
    seed: int | None = None
    packages: dict[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """The receipt as canonical JSON."""
        content: dict[str, Any] = dict(vars(self), format=FORMAT)
        content["outputs"] = {path: vars(artefact) for path, artefact in self.outputs.items()}
        content["checksum"] = sha256_text(canonical_json(content))
        return canonical_json(content)


def receipt_path(output: str | Path) -> Path:
    """Where the receipt of an output lies."""
    return Path(f"{output}{SUFFIX}")


def write_receipt(receipt: Receipt, results: str | Path) -> None:
    """Write a receipt atomically under the folder of results."""
    write_text(Path(results) / receipt.path, receipt.as_text())


def read_receipt(path: str | Path) -> Receipt:
    """Read a receipt. Raises `BadInput` if the file is missing, not a receipt, edited, or of another format."""
    try:
        text = Path(path).read_bytes().decode("utf-8")  # read_text would take a carriage return for a line's end
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise BadInput(f"{path}: receipt of another version of cellsignal; remove it to make its files again")
        del content["checksum"]
        outputs = {name: Artefact(**artefact) for name, artefact in content.pop("outputs").items()}
        receipt = Receipt(outputs=outputs, **content)
        if receipt.as_text() != text:
            raise BadInput(f"{path}: differs from its own checksum; it was damaged or edited after the run")
        return receipt
    except FileNotFoundError as error:
        raise BadInput(f"{path}: receipt missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not a receipt ({error})") from error


def is_of_stage(path: str | Path, stage: str | Path) -> bool:
    """Whether there is a receipt, and of a stage file as it is now.

    A receipt that is younger than the stage file need not be read: planning keeps the time of a file that it does
    not change, and changes none that a job still reads.
    """
    path, stage = Path(path), Path(stage)
    if path.is_file() and stage.stat().st_mtime_ns <= path.stat().st_mtime_ns:
        return True
    try:
        return bool(read_receipt(path).stage["sha256"] == sha256_file(stage))
    except BadInput:
        return False


def results_folder(receipt: Receipt, path: str | Path) -> Path:
    """The folder of results that a receipt lies in, from its own relative path.

    Raises `BadInput` if the receipt does not lie where it says, as when it was copied over another.
    """
    parts = Path(receipt.path).parts
    absolute = Path(path).resolve()
    if absolute.parts[-len(parts) :] != parts:
        raise BadInput(f"{path}: this is the receipt of {receipt.path}; it was moved or swapped")
    return Path(*absolute.parts[: -len(parts)])


def hash_outputs(outputs: Sequence[str | Path], results: str | Path) -> dict[str, Artefact]:
    """Hash every output; a folder stands for all files in it. Keys are relative to `results`."""
    hashed = {}
    for output in map(Path, outputs):
        files = sorted(p for p in output.rglob("*") if p.is_file()) if output.is_dir() else [output]
        for path in files:
            name = path.resolve().relative_to(Path(results).resolve()).as_posix()
            hashed[name] = Artefact(sha256_file(path), path.stat().st_size)
    return dict(sorted(hashed.items()))


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of the installed distributions among `names` (top-level imports), and of Python."""
    versions = {"python": platform.python_version()}
    for name in names:
        distribution = DISTRIBUTIONS.get(name, name)
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue  # the standard library
    return dict(sorted(versions.items()))


def check_inputs(artefacts: Sequence[str | Path], receipts: Mapping[str, Receipt], results: str | Path) -> list[str]:
    """Problems of a job's inputs: each artefact must be listed in one of its receipts, with its size.

    Sizes only: hashing a 200 GB store before every job is the audit's work.
    """
    listed: dict[str, Artefact] = {}
    for receipt in receipts.values():
        listed |= receipt.outputs
    problems = []
    for path in map(Path, artefacts):
        name = path.resolve().relative_to(Path(results).resolve()).as_posix()
        if path.is_dir():
            continue
        if name not in listed:
            problems.append(f"{name}: read without a receipt that lists it")
        elif path.stat().st_size != listed[name].bytes:
            problems.append(
                f"{name}: {path.stat().st_size} bytes, its receipt says {listed[name].bytes}; "
                "it was changed after it was written"
            )
    return problems
