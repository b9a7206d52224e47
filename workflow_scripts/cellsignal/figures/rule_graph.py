"""The graph of a run's rules: which fed which, and where to draw them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cellsignal.provenance.walk import Ancestry, first_depths

RAW = "raw data"
"""Stands for the raw files that no job made, in place of a rule's name."""


@dataclass(frozen=True)
class Step:
    """One job, as its receipt tells. `inputs` are the paths of the receipts that it names."""

    path: str
    sha256: str
    rule: str
    wildcards: dict[str, str]
    stage: str  # path of its settings file
    stage_sha256: str
    settings: dict[str, Any]
    inputs: tuple[str, ...]
    files: int  # that it wrote
    bytes: int
    raw: int = 0  # raw files that it read
    foreign: int = 0  # those of them that no job made


@dataclass
class Box:
    """All jobs of one rule. `sources` counts the receipts that they name, by the rule that made them."""

    rule: str
    steps: list[Step]
    sources: dict[str, int] = field(default_factory=dict)
    later: set[str] = field(default_factory=set)  # sources that come after this box: a round before feeds it
    layer: int = 0
    column: float = 0.0


def steps_behind(ancestry: Ancestry) -> list[Step]:
    """The jobs that an audit would walk."""
    receipts = ancestry.receipts.values()
    made = {artefact.sha256 for receipt in receipts for artefact in receipt.outputs.values()}
    return [
        Step(
            path=receipt.path,
            sha256=ancestry.sha256[receipt.path],
            rule=receipt.rule,
            wildcards=receipt.wildcards,
            stage=receipt.stage["path"],
            stage_sha256=receipt.stage["sha256"],
            settings=receipt.stage["settings"],
            inputs=tuple(receipt.inputs),
            files=len(receipt.outputs),
            bytes=sum(artefact.bytes for artefact in receipt.outputs.values()),
            raw=len(receipt.raw),
            foreign=sum(sha256 not in made for sha256 in receipt.raw.values()),
        )
        for receipt in receipts
    ]


def rule_graph(steps: Sequence[Step]) -> list[Box]:
    """One box per rule in reading order, and one for raw files that no job made, if there are any.

    Rules that feed one another in rounds (pseudo-labels and what trains on them) make a circle, which is
    opened where a rule is fed by one whose first job came no earlier than its own.
    """
    by_path = {step.path: step for step in steps}
    boxes: dict[str, Box] = {}
    for step in sorted(steps, key=lambda step: step.path):
        boxes.setdefault(step.rule, Box(step.rule, [])).steps.append(step)
    for box in boxes.values():
        for name in (name for step in box.steps for name in step.inputs if name in by_path):
            source = by_path[name].rule
            box.sources[source] = box.sources.get(source, 0) + 1
    foreign = {rule: sum(step.foreign for step in box.steps) for rule, box in boxes.items()}
    if any(foreign.values()):
        boxes[RAW] = Box(RAW, [])
        for rule, count in foreign.items():
            if count:
                boxes[rule].sources[RAW] = count
    first = first_depths(by_path) | {RAW: 0}
    for box in boxes.values():
        box.later = {source for source in box.sources if first[source] >= first[box.rule]}
    for rule in sorted(boxes, key=lambda rule: (first[rule], rule)):
        earlier = [boxes[source].layer for source in boxes[rule].sources if source not in boxes[rule].later]
        boxes[rule].layer = 1 + max(earlier, default=-1)
    _place(boxes)
    return sorted(boxes.values(), key=lambda box: (box.layer, box.column))


def direct(boxes: Iterable[Box]) -> set[tuple[str, str]]:
    """The edges (source, rule) that are not also a way through another box: what is worth drawing boldly."""
    sources = {box.rule: set(box.sources) - box.later for box in boxes}
    behind: dict[str, set[str]] = {}

    def ancestors(rule: str) -> set[str]:
        if rule not in behind:
            behind[rule] = set().union(*({source} | ancestors(source) for source in sources[rule]))
        return behind[rule]

    return {
        (source, rule)
        for rule, named in sources.items()
        for source in named
        if not any(source in ancestors(other) for other in named - {source})
    }


def _place(boxes: dict[str, Box]) -> None:
    """Columns: each layer is centred, its boxes in the order of the boxes above that feed them."""
    layers: dict[int, list[Box]] = {}
    for box in boxes.values():
        layers.setdefault(box.layer, []).append(box)
    returning = set().union(*(box.later for box in boxes.values()))  # at the left, where the lines back run
    for _, row in sorted(layers.items()):
        row.sort(key=lambda box: (box.rule not in returning, _above(box, boxes), box.rule))
        for place, box in enumerate(row):
            box.column = place - (len(row) - 1) / 2


def _above(box: Box, boxes: dict[str, Box]) -> float:
    columns = [boxes[source].column for source in box.sources if boxes[source].layer == box.layer - 1]
    return sum(columns) / len(columns) if columns else 0.0
