"""The audit of a submission: intact, current, clean.

*Intact*: every artefact, stage file, receipt and raw file has the bytes that the receipts say.
*Current*: the present code and settings are those that made it. *Clean*: nothing leaked into training.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from cellsignal.errors import BadInput
from cellsignal.files import read_json, sha256_file
from cellsignal.provenance.current import current, raw_folder
from cellsignal.provenance.integrity import Progress, check_bytes
from cellsignal.provenance.leaks import clean, priors
from cellsignal.provenance.verdict import Verdict
from cellsignal.provenance.walk import Ancestry, find_receipt, walk

__all__ = ["Verdict", "audit"]


def audit(
    artefact: str | Path,
    raw_root: str | Path | None,
    library: str | Path,
    threads: int = 2,
    quick: bool = False,
    checkout: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
    digest: Callable[[str], str] = sha256_file,
) -> Verdict:
    """Audit one artefact (`submission.csv`, `scores.json`, a figure) from its receipt down.

    Every file is read once, in pieces. Raises `BadInput` if the artefact has no receipt.

    Args:
        raw_root: the folder that raw paths are relative to; None: where the plan beside the recipe says.
        library: the folder of scripts and package as they are now.
        threads: files hashed at once.
        quick: check receipts and sizes only; no artefact is opened.
        checkout: the folder whose configuration files are compared with the plan; None: they are not, as
            while Snakemake runs: its plan is the present configuration.
        progress: called while files are read.
        digest: the SHA-256 of the file at a path; one that remembers serves audits in a row, which share files.
    """
    receipt = find_receipt(artefact)
    try:
        ancestry = walk(artefact)
    except BadInput as error:  # there is a receipt, but a broken one: an answer, not a question wrongly put
        unknown = ["cannot be told: the artefact's receipt is broken"]
        return Verdict(str(artefact), sha256_file(receipt), {"receipts": 1}, [str(error)], unknown, unknown)
    root = Path(raw_root) if raw_root is not None else raw_folder(ancestry)
    intact, broken = check_bytes(ancestry, root, threads, quick, progress, digest)
    intact.problems += _not_listed(artefact, ancestry)
    answers = {
        "intact": intact,
        "current": current(ancestry, Path(library), Path(checkout) if checkout else None),
        "clean": clean(ancestry, broken, open_tables=not quick),
    }
    used = priors(ancestry, broken)
    return Verdict(
        artefact=str(artefact),
        receipt_sha256=ancestry.sha256[ancestry.top],
        checked={
            "receipts": len(ancestry.receipts),
            "files": len(ancestry.maker),
            "raw files": sum(len(made.raw) for made in ancestry.receipts.values()),
        },
        **{question: answer.problems for question, answer in answers.items()},
        evidence={question: answer.evidence for question, answer in answers.items()},
        priors=used,
        warnings=[f"balancing: {note}" for note in used.get("notes", [])],
        missing_sites=_missing_sites(ancestry, broken),
        quick=quick,
    )


def _not_listed(artefact: str | Path, ancestry: Ancestry) -> list[str]:
    """The artefact must be one of its receipt's outputs: it might have been put beside another's."""
    path = Path(artefact).resolve()
    listed = [ancestry.results / name for name in ancestry.receipts[ancestry.top].outputs]
    return [] if path in listed else [f"{artefact}: its receipt does not list it"]


def _missing_sites(ancestry: Ancestry, broken: Collection[str]) -> list[dict[str, str]]:
    """Sites that were left out, from the problems reports that are what their receipts say."""
    return [
        site
        for name in sorted(ancestry.maker)
        if name.endswith(".problems.json") and name not in broken
        for site in _read(ancestry.results / name)
    ]


def _read(path: Path) -> list[dict[str, str]]:
    """A problems report; none where a quick audit, which saw its size only, meets a damaged one."""
    try:
        return list(read_json(path))
    except ValueError:
        return []
