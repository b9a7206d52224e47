"""A comparison of two results as sentences and tables, for people."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.table import Table

Values = dict[str, Any]
SHOWN = 40  # rows of a table; the JSON has all
SHORT = 60  # characters of a value


def diff_text(found: Values) -> Iterator[str | Table]:
    """What `diff.diff` found: the causes, then the rows and scores."""
    yield f"a: {found['a']['path']}, receipt {found['a']['receipt_sha256'][:16]}…"
    yield f"b: {found['b']['path']}, receipt {found['b']['receipt_sha256'][:16]}…"
    if found["same_receipt"]:
        yield "\nThe same receipt: made from the same files, settings and code, into the same bytes."
        return
    yield "\nWhere they begin to differ" if found["origins"] else "\nNo cause: only names or places differ."
    kinds = Counter(origin["kind"] for origin in found["origins"])
    for place, origin in enumerate(found["origins"]):
        before = sum(kinds[kind] for kind in kinds if kind < origin["kind"])
        if place - before < SHOWN:
            effect = "" if origin["files_differ"] else " (no file of these stages differs)"
            yield f"  {_sentence(origin)}; in {_listed(origin['stages'])}{effect}"
        elif place - before == SHOWN:
            yield f"  and {kinds[origin['kind']] - SHOWN:,} more of this kind (--json lists all)"
    yield from _rows(found)
    if found["scores"]:
        yield "\nScores that differ"
        yield _table(found["scores"], ["name", "a", "b"])
    for problem in found["broken_receipts"]:
        yield f"BROKEN: {problem}"


def _sentence(origin: Values) -> str:
    kind, name, old, new = (origin[key] for key in ("kind", "name", "a", "b"))
    if kind == "setting":
        return f"setting {name}: {_short(old)} → {_short(new)}"
    if kind == "code":
        return f"code {name}: {'new' if old is None else 'no longer used' if new is None else 'changed'}"
    if kind == "package":
        return f"package {name}: {old or 'not used'} → {new or 'not used'}"
    if kind == "raw data":
        return f"raw data, {name}: changed"
    if kind in ("raw file", "input"):
        return f"{kind} {name}: {'read in b only' if old is None else 'read in a only' if new is None else 'changed'}"
    if kind == "jobs":
        letter = "a" if new is None else "b"
        return f"{len(old or new)} jobs of {name} in {letter} only: {_listed(old or new)}"
    return f"{name}: {old}, but {new}"


def _rows(found: Values) -> Iterator[str | Table]:
    rows = found["rows"]
    if rows is None:
        yield "\nNo rows were compared: the tables of wells are not beside both."
        return
    yield f"\n{rows['changed']:,} of {rows['of']:,} rows differ"
    for letter in ("a", "b"):
        if alone := rows[f"only_{letter}"]:
            yield f"  {len(alone):,} rows in {letter} only: {_listed(alone)}"
    if rows["table"]:
        since = Counter(row["since"] or "unknown" for row in rows["table"])
        yield "  first differing at " + "; ".join(f"{step}: {count:,}" for step, count in sorted(since.items()))
        yield _table(rows["table"], ["well_id", "a", "b", "since"])
        if len(rows["table"]) > SHOWN:
            yield f"  and {len(rows['table']) - SHOWN:,} more (--json lists all)"


def _table(rows: list[Values], columns: list[str]) -> Table:
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows[:SHOWN]:
        table.add_row(*(f"{row[c]:.4f}" if isinstance(row[c], float) else str(row[c]) for c in columns))
    return table


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _listed(names: list[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
