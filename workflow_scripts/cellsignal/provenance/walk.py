"""Walking the receipts from an artefact down to the raw images."""

from dataclasses import dataclass, field
from pathlib import Path

from cellsignal.errors import BadInput
from cellsignal.files import sha256_file
from cellsignal.provenance.receipts import Receipt, read_receipt, receipt_path, results_folder


@dataclass
class Ancestry:
    """Every receipt behind an artefact.

    `made_by` maps a receipt's path to the receipt that named it (the path to the submission);
    `problems` are broken edges found on the way.
    """

    results: Path
    receipts: dict[str, Receipt] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def path_to(self, name: str) -> str:
        """`name ← … ← the submission`, for people."""
        chain = [name]
        while chain[-1] in self.made_by:
            chain.append(self.made_by[chain[-1]])
        return " → ".join(chain)


def walk(artefact: str | Path) -> Ancestry:
    """The ancestry of an artefact that has a receipt. Raises `BadInput` if it has none."""
    first = receipt_path(artefact)
    receipt = read_receipt(first)
    results = results_folder(receipt, first)
    ancestry = Ancestry(results)
    waiting = [receipt.path]
    ancestry.receipts[receipt.path] = receipt
    while waiting:
        current = ancestry.receipts[waiting.pop()]
        for name, sha256 in current.inputs.items():
            _follow(name, sha256, current, ancestry, waiting)
    return ancestry


def _follow(name: str, sha256: str, user: Receipt, ancestry: Ancestry, waiting: list[str]) -> None:
    """Check one edge and, if its receipt was not met before, queue it."""
    known = name in ancestry.receipts
    if not known:
        ancestry.made_by[name] = user.path
    path = ancestry.results / name
    try:
        receipt = ancestry.receipts[name] if known else read_receipt(path)
        if not known:
            results_folder(receipt, path)
    except BadInput as error:
        ancestry.problems.append(f"{error} (needed by {ancestry.path_to(user.path)})")
        return
    if sha256_file(path) != sha256:
        ancestry.problems.append(
            f"{name}: not the receipt that {ancestry.path_to(user.path)} was made from; "
            "it was rewritten or edited later"
        )
    if not known:
        ancestry.receipts[name] = receipt
        waiting.append(name)
