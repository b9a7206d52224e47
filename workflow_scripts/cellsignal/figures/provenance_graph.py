"""The provenance page: how a result was made, from raw data down, for readers who have never used the workflow."""

import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cellsignal.figures import style
from cellsignal.figures.page_base import document
from cellsignal.figures.provenance_page import SCRIPT, page_style
from cellsignal.figures.rule_graph import RAW, Box, Step, direct, rule_graph
from cellsignal.figures.rule_words import words

WIDTH, HEIGHT, COLUMN, ROW = 316, 154, 336, 194  # of a box; from box to box
TALLER = 18  # the box of the result, which shows its hash in full
LANE = 30  # at the left and right, for lines that go back or skip layers
SHORT = 10  # digits of a hash where it only has to be told from others
MANY = 12  # settings under one name that are summed up; rows of a table that is not open at once


def provenance_graph(steps: Sequence[Step], result: str, receipt: str) -> str:
    """The page as HTML that needs nothing else.

    `steps` are all jobs behind `result`, `receipt` is the path of its receipt, which is among them. Raises
    `KeyError` if it is not.
    """
    boxes = rule_graph(steps)
    top = {step.path: step for step in steps}[receipt]
    name = result.rsplit("/", 1)[-1]
    columns = max(sum(box.layer == layer for box in boxes) for layer in range(len(boxes)))
    width, height = 2 * LANE + COLUMN * columns - (COLUMN - WIDTH), ROW * (1 + max(box.layer for box in boxes)) + TALLER
    drawing = "\n".join(
        [
            f'<ol class="graph" style="--h: {height}px">',
            f'<li class="lines" aria-hidden="true">{_edges(boxes, width, height)}</li>',
            *(_box(box, boxes, top, width) for box in boxes),
            "</ol>",
        ]
    )
    body = f"""<main>
<h1>How {escape(name)} was made</h1>
<p>Each box is one kind of job, from the raw data at the top to the result at the bottom. Select a box to see its
jobs, what they depended on, and the fingerprints of what they made.</p>
<p>Every job left a <b>receipt</b>: a small file that names the settings and the code it ran with, everything it
read and every file it wrote, each by its SHA-256 hash. A hash is a fingerprint: change one byte, and it is
another. Receipts name the receipts of the jobs before them, so one hash stands for all {len(steps):,} of them, that
of the result's own receipt:</p>
<code class="hash">{top.sha256}</code>
<p class="muted">SHA-256 of <code>{escape(receipt)}</code>. {_total(steps)} Paths are below the folder
<code>results</code>. Print the hash there with
<code>sha256sum</code>; have every file read again and compared with <code>snakemake audit</code>.</p>
{drawing}
</main>
<aside class="hint muted"><p>Select a box to see its jobs.</p></aside>"""
    return document(f"How {name} was made", page_style(width), body, SCRIPT)


def _total(steps: Sequence[Step]) -> str:
    files, size = sum(step.files for step in steps), sum(step.bytes for step in steps)
    return f"Behind it stand {files:,} files of {_size(size)}, made by {len(steps):,} jobs."


def _box(box: Box, boxes: Sequence[Box], top: Step, width: int) -> str:
    title, sentence = words(box.rule)
    result = top in box.steps
    left, upper = _corner(box, width)
    place = f"--x: {left:g}px; --y: {upper:g}px; --w: {WIDTH}px; --h: {HEIGHT + TALLER * result}px"
    kind = "result" if result else "source" if box.rule == RAW else "rule"
    count = f"{box.rule} × {len(box.steps):,}" if box.steps else f"{_foreign(boxes):,} files"
    return f"""<li class="{kind}" id="box-{escape(box.rule)}" data-rule="{escape(box.rule)}"
 style="{place}"><details name="box"{" open" * result}>
<summary><span class="head"><span class="title">{escape(title)}</span>
<span class="count mono">{escape(count)}</span></span>
<span class="what">{escape(sentence)}</span>
<span class="facts">{_facts(box, result)}</span>{_from(box, boxes)}</summary>
<div class="detail">
<h2>{escape(title)}</h2>
<p>{escape(sentence)}</p>
{_sources(box, boxes)}{_settings(box)}{_receipts(box)}</div>
</details></li>"""


def _facts(box: Box, result: bool) -> str:
    """The settings file, what came out and the receipt, in two short lines."""
    if not box.steps:
        return "Not made by the workflow: where its records begin."
    stages = {step.stage: step.stage_sha256 for step in box.steps}
    stage, sha256 = next(iter(stages.items()))
    if len(stages) == 1:
        settings = f'Settings: <span class="mono">{escape(Path(stage).stem)} {sha256[:SHORT]}</span>'
    else:
        folder = Path(os.path.commonpath([Path(name).parent for name in stages])).name
        settings = f'Settings: <span class="mono">{len(stages):,} files in {escape(folder)}/</span>'
    receipt = ""
    if len(box.steps) == 1:
        shown = box.steps[0].sha256 if result else box.steps[0].sha256[:SHORT]
        receipt = f', receipt <span class="mono">{shown}</span>'
    return f"{settings}<br>Made {_made(box.steps)}{receipt}"


def _from(box: Box, boxes: Sequence[Box]) -> str:
    """Where lines cannot be drawn, on a phone: the boxes that it read from."""
    names = ", ".join(words(other.rule)[0] for other in boxes if other.rule in box.sources)
    return f'\n<span class="from">Read from: {escape(names)}</span>' if names else ""


def _made(steps: Sequence[Step]) -> str:
    files = sum(step.files for step in steps)
    return f"{files:,} {'file' if files == 1 else 'files'}, {_size(sum(step.bytes for step in steps))}"


def _sources(box: Box, boxes: Sequence[Box]) -> str:
    """What the jobs read, with links to the boxes that it came from."""
    if not box.steps:
        return ""
    lines = [
        f'<li><a href="#box-{escape(source)}" data-rule="{escape(source)}">{escape(words(source)[0])}</a>: '
        f"{_named(source, count)}{_round(source, box)}</li>"
        for source, count in ((other.rule, box.sources[other.rule]) for other in boxes if other.rule in box.sources)
    ]
    raw = sum(step.raw for step in box.steps)
    if raw and RAW not in box.sources:
        lines.append(f"<li>{raw:,} raw images and tables that the simulation drew, each by its hash</li>")
    nothing = "<p>Nothing but their settings.</p>" if not lines else ""
    return f"<h3>What they read</h3>\n{nothing}<ul>\n{chr(10).join(lines)}\n</ul>\n" if lines else nothing


def _named(source: str, count: int) -> str:
    if source == RAW:
        return f"{count:,} files, each by its hash"
    return "once" if count == 1 else f"{count:,} times"


def _round(source: str, box: Box) -> str:
    return " (of the round before)" if source in box.later else ""


def _settings(box: Box) -> str:
    """Settings that all jobs share, and those that differ between them."""
    if not box.steps:
        return ""
    values: dict[str, dict[str, None]] = {}
    for step in box.steps:
        for name, value in _leaves(step.settings):
            values.setdefault(name, {})[value] = None
    rows = [
        f'<tr><td class="mono">{_breakable(name)}</td><td class="mono">{escape(_several(list(found)))}</td></tr>'
        for name, found in values.items()
    ]
    if not rows:
        return "<h3>Their settings</h3>\n<p>None: they depend on their code and on what they read.</p>\n"
    head = "<tr><th>setting</th><th>value</th></tr>"
    return (
        f'<details class="part"{" open" * (len(rows) <= MANY)}><summary>Their settings ({len(rows):,})</summary>\n'
        f'<table class="settings">{head}\n{chr(10).join(rows)}\n</table></details>\n'
    )


def _breakable(name: str) -> str:
    """A dotted name that may be broken where people would."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _several(values: list[str]) -> str:
    if len(values) <= 4:
        return " | ".join(values)
    return f"differs between jobs ({len(values):,} values)"


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its dotted name; a group with too many entries as their number."""
    if len(settings) > MANY and above and not any(isinstance(value, dict) for value in settings.values()):
        yield above.removesuffix("."), f"{len(settings):,} entries"
        return
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{above}{key}", text if len(text) <= 200 else f"{text[:199]}…"


def _receipts(box: Box) -> str:
    """Every job, its receipt and its settings file, with their hashes."""
    rows = [
        f'<tr data-receipt="{escape(step.path)}"><td>{escape(_job(step))}<br><span class="muted">'
        f"{_made([step])}{f'; read {step.raw:,} raw files' if step.raw else ''}</span></td>"
        f'<td class="mono">{step.sha256}<br>{escape(step.path)}<br><span class="muted">'
        f"{step.stage_sha256}<br>{escape(step.stage)}</span></td></tr>"
        for step in box.steps
    ]
    if not rows:
        return ""
    head = "<tr><th>job</th><th>its receipt and, in grey, its settings file, each with its SHA-256</th></tr>"
    counted = f"{len(rows):,} {'job' if len(rows) == 1 else 'jobs'}"
    return (
        f'<details class="part"{" open" * (len(rows) <= MANY)}><summary>{counted}</summary>\n'
        f"<table>{head}\n{chr(10).join(rows)}\n</table></details>\n"
    )


def _job(step: Step) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in step.wildcards.items() if value) or step.rule


def _foreign(boxes: Sequence[Box]) -> int:
    return sum(step.foreign for box in boxes for step in box.steps)


def _corner(box: Box, width: int) -> tuple[float, float]:
    return width / 2 + box.column * COLUMN - WIDTH / 2, float(box.layer * ROW)


def _edges(boxes: Sequence[Box], width: int, height: int) -> str:
    """Lines between boxes. Those that skip a box are only shown when one of their ends is selected."""
    places = {box.rule: _corner(box, width) for box in boxes}
    bold = direct(boxes)
    lines = []
    for box in boxes:
        for source in sorted(box.sources):
            kind = "loop" if source in box.later else "direct" if (source, box.rule) in bold else "skip"
            path = _PATHS[kind](*places[source], *places[box.rule], width)
            arrow = ' marker-end="url(#arrow)"' if kind != "loop" else ' marker-end="url(#back)"'
            lines.append(
                f'<path class="{kind}" data-from="{escape(source)}" data-to="{escape(box.rule)}" d="{path}"{arrow}/>'
            )
            if kind == "loop" and source != box.rule:
                x, y = LANE * 0.4 - 6, (places[source][1] + places[box.rule][1] + HEIGHT) / 2
                turn = f'text-anchor="middle" transform="rotate(-90 {x:g} {y:g})"'
                lines.append(f'<text x="{x:g}" y="{y:g}" {turn}>next round</text>')
    marker = '<marker id="{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    arrows = "".join(
        marker.format(name) + f'<path d="M0 0 8 4 0 8z" style="fill: {fill}; stroke: none"/></marker>'
        for name, fill in (("arrow", "#8a8a8a"), ("near", style.BLUE), ("back", "#B34700"))
    )
    return (
        f'<svg class="edges" width="{width}" height="{height}" focusable="false"><defs>{arrows}</defs>'
        f"{chr(10).join(lines)}</svg>"
    )


def _down(x: float, y: float, to_x: float, to_y: float, width: int) -> str:
    start, end, bend = x + WIDTH / 2, to_x + WIDTH / 2, (ROW - HEIGHT) * 0.6
    return f"M{start:g} {y + HEIGHT:g}C{start:g} {y + HEIGHT + bend:g} {end:g} {to_y - bend:g} {end:g} {to_y:g}"


def _aside(x: float, y: float, to_x: float, to_y: float, width: int) -> str:
    """Past the boxes in between, at the right: through the gap below, along the lane, through the gap above."""
    gap = (ROW - HEIGHT) / 2
    start, end, lane = x + WIDTH * 0.6, to_x + WIDTH * 0.6, width - LANE / 3
    return f"M{start:g} {y + HEIGHT:g}V{y + HEIGHT + gap:g}H{lane:g}V{to_y - gap:g}H{end:g}V{to_y:g}"


def _back(x: float, y: float, to_x: float, to_y: float, width: int) -> str:
    """Up at the left, to what the next round begins with."""
    if (x, y) == (to_x, to_y):  # its own earlier round
        return f"M{x:g} {y + HEIGHT * 0.85:g}h{-LANE * 0.5:g}V{y + HEIGHT * 0.65:g}H{x:g}"
    lane = LANE * 0.4
    if x > lane + WIDTH:  # a box stands between: below it
        return f"M{x + WIDTH / 2:g} {y + HEIGHT:g}v{(ROW - HEIGHT) / 2:g}H{lane:g}V{to_y + HEIGHT * 0.4:g}H{to_x:g}"
    return f"M{x:g} {y + HEIGHT * 0.5:g}H{lane:g}V{to_y + HEIGHT * 0.4:g}H{to_x:g}"


_PATHS = {"direct": _down, "skip": _aside, "loop": _back}


def _size(number: int) -> str:
    """Bytes as people say them."""
    value = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
