"""Walking the receipts from an artefact down to the raw images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

from cellsignal.errors import BadInput
from cellsignal.files import sha256_file
from cellsignal.provenance.receipts import SUFFIX, Receipt, read_receipt, receipt_path, results_folder


@dataclass
class Ancestry:
    """Every receipt behind an artefact.

    `top` is the path of the artefact's own receipt; `made_by` maps a receipt's path to the receipt that
    named it (the path to the submission); `problems` are broken edges found on the way.
    """

    results: Path
    top: str = ""
    receipts: dict[str, Receipt] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)  # of every receipt that is named and there
    broken: set[str] = field(default_factory=set)  # receipts whose hash is not what a job read

    def path_to(self, name: str) -> str:
        """`name → … → the submission's receipt`, for people."""
        chain = [name]
        while chain[-1] in self.made_by:
            chain.append(self.made_by[chain[-1]])
        return " → ".join(chain)

    @cached_property
    def maker(self) -> dict[str, Receipt]:
        """The receipt that lists each artefact."""
        return {name: receipt for receipt in self.receipts.values() for name in receipt.outputs}

    def behind(self, tops: Iterable[Receipt]) -> dict[str, Receipt]:
        """The receipts `tops` and all that they were made from, by path."""
        found: dict[str, Receipt] = {}
        waiting = list(tops)
        while waiting:
            receipt = waiting.pop()
            if receipt.path not in found:
                found[receipt.path] = receipt
                waiting += [self.receipts[name] for name in receipt.inputs if name in self.receipts]
        return found


def find_receipt(artefact: str | Path) -> Path:
    """The receipt of an artefact: the one of its own name, or one in its folder that lists it.

    Raises `BadInput` if there is neither.
    """
    path = Path(artefact)
    own = receipt_path(path)
    if own.exists():
        return own
    for beside in sorted(path.parent.glob(f"*{SUFFIX}")):
        try:
            receipt = read_receipt(beside)
            name = path.resolve().relative_to(results_folder(receipt, beside)).as_posix()
        except ValueError:  # not readable, or moved: the receipt of something else, for its own audit to name
            continue
        if name in receipt.outputs:
            return beside
    raise BadInput(f"{artefact}: has no receipt ({own.name}), nor is it listed in another of its folder")


def walk(artefact: str | Path) -> Ancestry:
    """The ancestry of an artefact that has a receipt. Raises `BadInput` if it has none that can be read."""
    first = find_receipt(artefact)
    receipt = read_receipt(first)
    ancestry = Ancestry(results_folder(receipt, first), receipt.path)
    waiting = [receipt.path]
    ancestry.receipts[receipt.path] = receipt
    ancestry.sha256[receipt.path] = sha256_file(first)
    while waiting:
        current = ancestry.receipts[waiting.pop()]
        for name, sha256 in current.inputs.items():
            _follow(name, sha256, current, ancestry, waiting)
    return ancestry


def _follow(name: str, sha256: str, user: Receipt, ancestry: Ancestry, waiting: list[str]) -> None:
    """Check one edge and, if its receipt was not met before, queue it. Each receipt is read once."""
    path = ancestry.results / name
    if name not in ancestry.made_by and name != ancestry.top:
        ancestry.made_by[name] = user.path
        try:
            receipt = read_receipt(path)
            results_folder(receipt, path)
            ancestry.receipts[name] = receipt
            waiting.append(name)
        except BadInput as error:
            sentence = str(error).replace(str(path), name)
            ancestry.problems.append(f"{sentence} (needed by {ancestry.path_to(user.path)})")
        if path.is_file():
            ancestry.sha256[name] = sha256_file(path)
    if ancestry.sha256.get(name, sha256) != sha256 and name not in ancestry.broken:
        ancestry.broken.add(name)  # one sentence, however many jobs read it
        ancestry.problems.append(
            f"{name}: not the receipt that {ancestry.path_to(user.path)} was made from; "
            "it was rewritten or edited later"
        )


class Made(Protocol):
    """A job as its receipt tells: its rule, and the paths of the receipts that it names."""

    @property
    def rule(self) -> str: ...

    @property
    def inputs(self) -> Iterable[str]: ...


def first_depths(jobs: Mapping[str, Made]) -> dict[str, int]:
    """Rule → how many jobs stand in the longest chain that ends with its first job. `jobs` by receipt's path."""
    inputs = {path: [name for name in job.inputs if name in jobs] for path, job in jobs.items()}
    depths: dict[str, int] = {}
    first: dict[str, int] = {}
    for path in TopologicalSorter(inputs).static_order():
        depths[path] = 1 + max((depths[name] for name in inputs[path]), default=0)
        rule = jobs[path].rule
        first[rule] = min(first.get(rule, depths[path]), depths[path])
    return first
