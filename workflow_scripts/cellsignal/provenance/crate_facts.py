"""What a crate is made of, and what it says in words, numbers and dates: versions, licences, times, formats."""

import ast
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cellsignal.files import canonical_json, sha256_text
from cellsignal.provenance.receipts import Artefact, Receipt
from cellsignal.provenance.walk import first_depths

SOFTWARE_LICENCE = ("https://spdx.org/licenses/MIT", "MIT License", "Licence of the software, see LICENSE.")
RXRX1_LICENCE = (
    "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC BY-NC-SA 4.0",
    "Licence of the images and of what was made from them: RxRx1, Recursion.",
)
DATA_LICENCES = {
    "mitocheck": (
        "https://creativecommons.org/licenses/by/4.0/",
        "CC BY 4.0",
        "Licence of the images and of what was made from them: MitoCheck.",
    ),
    "rxrx1": RXRX1_LICENCE,
    "kaggle": RXRX1_LICENCE,
    "simulated": SOFTWARE_LICENCE,
}
"""By the screen's name, else by its kind."""
FORMATS = {
    ".h5": "application/x-hdf5",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".rst": "text/x-rst",
    ".safetensors": "application/octet-stream",
    ".sig": "text/plain",
    ".smk": "text/plain",
    ".yaml": "application/yaml",
}


@dataclass
class Material:
    """What goes into a crate. Paths are relative to the crate, except those of receipts and artefacts, which
    are relative to the folder of results."""

    artefact: str
    top: str  # the artefact's receipt
    products: list[str]  # the artefact, the scores and the figures
    receipts: dict[str, Receipt]
    sha256: dict[str, str]  # of each receipt
    library: str  # folder of the scripts
    files: dict[str, Path | str] = field(default_factory=dict)  # path in the crate → file to copy, or text
    referenced: dict[str, Artefact] = field(default_factory=dict)  # artefacts that stay where they are
    images: dict[str, set[str]] = field(default_factory=dict)  # path of a receipt → images it made
    records: dict[str, dict[str, Any]] = field(default_factory=dict)  # path of a receipt → its run record
    raw_bytes: dict[str, int] = field(default_factory=dict)  # raw file → size, where the raw data is at hand
    plan: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)  # modules that are no longer those that ran


def file_format(path: str) -> str:
    """The media type of a file, by its suffix."""
    suffix = PurePosixPath(path).suffix.lower()
    return FORMATS.get(suffix) or mimetypes.types_map.get(suffix, "text/plain")


def compact(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known, and with lists of one unpacked, as RO-Crate 1.1 recommends."""
    return {
        name: unpacked(value) if isinstance(value, list) else str(value) if isinstance(value, int) else value
        for name, value in properties.items()
        if value is not None and value != []
    }


def unpacked(values: list[Any]) -> Any:
    """A list of one as its element."""
    return values[0] if len(values) == 1 else values


def data_licence(plan: Mapping[str, Any]) -> tuple[str, str, str]:
    """(identifier, name, description) of the licence of the screen's data."""
    screen = plan.get("screen", {})
    unknown = ("#data-licence", "Licence of the data", "The provider of the images states it; it is not recorded here.")
    return DATA_LICENCES.get(screen.get("name")) or DATA_LICENCES.get(screen.get("kind")) or unknown


def code_version(material: Material) -> str:
    """The git commits that the run records name, else a digest of the code that the receipts hold."""
    found = {
        f"git {git['commit']}{' with uncommitted changes' if git['dirty'] else ''}"
        for record in material.records.values()
        if (git := record.get("git"))
    }
    digests = {name: sha for receipt in material.receipts.values() for name, sha in receipt.stage["code"].items()}
    return ", ".join(sorted(found)) or f"code {sha256_text(canonical_json(digests))}"


def package_page(name: str, version: str) -> str:
    """Where a version of a package is to be had."""
    if name == "python":
        return f"https://docs.python.org/release/{version}/"
    return f"https://pypi.org/project/{name}/{version}/"


def docstring(source: Path | str | None) -> str:
    """The first line of what a script says of itself."""
    if not isinstance(source, Path):
        return ""
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split("\n")[0]


def rules_in_order(receipts: Mapping[str, Receipt]) -> list[str]:
    """The rules, by how long a chain of jobs stands before their first one."""
    first = first_depths(receipts)
    return sorted(first, key=lambda rule: (first[rule], rule))


def words(receipt: Receipt, record: Mapping[str, Any]) -> str:
    """What a job did, in a sentence."""
    read = "read " + _counted(len(receipt.reads), "artefact")
    read += f" and {_counted(len(receipt.raw), 'raw file')}" if receipt.raw else ""
    gpus = f", on {', '.join(record['gpus'])}" if record.get("gpus") else ""
    seed = f", seed {receipt.seed}" if receipt.seed is not None else ""
    return f"{receipt.rule} {read} and made {_counted(len(receipt.outputs), 'file')}{seed}{gpus}."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def times(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`startTime` of the first and `endTime` of the last of these jobs, where they were recorded."""
    known = list(records)
    if not known:
        return {}
    return {"startTime": _iso(min(record["started"] for record in known)), "endTime": end(known)}


def end(records: Iterable[Mapping[str, Any]]) -> str:
    """When the last of these jobs ended; empty where nothing was recorded."""
    ends = [record["started"] + record["seconds"] for record in records]
    return _iso(max(ends)) if ends else ""


def modified(material: Material) -> str:
    """When the result's receipt was written."""
    source = material.files[f"results/{material.top}"]
    assert isinstance(source, Path)
    return _iso(source.stat().st_mtime)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def readme(material: Material) -> str:
    """The crate's README.md."""
    receipt = f"results/{material.top}"
    result = f"results/{material.artefact}"
    return f"""# {material.artefact}

A run of cellsignal, packed as a Provenance Run Crate (RO-Crate 1.1). `ro-crate-metadata.json` describes every
file and every job for machines; this page is for people.

| | |
|---|---|
| `{result}` | the result |
| `{receipt}` | its receipt, SHA-256 `{material.sha256[material.top]}` |
| `results/**/*.receipt.json` | what every job read and wrote, by SHA-256: {len(material.receipts):,} receipts |
| `results/**/stages/` | settings and code digests of every job; `plan.json`: the whole configuration |
| `Snakefile`, `rules/`, `{material.library}/` | the code |
| `envs/requirements.txt` | the pinned environment; the receipts name the versions that ran |

Images, image stores, model weights and other files above a megabyte are not here, nor are tables that tell the
labels of test wells: {len(material.referenced):,} files are named by SHA-256 and size in their receipts.

The result's receipt names those of all jobs before it by SHA-256, down to the raw images: if it has the hash
above, which `sha256sum {receipt}` prints, no receipt was exchanged. In this folder,
`cellsignal audit {result}` follows them all. It names as missing what is not here, and nothing else; with
those files back in their places, it passes.
"""
