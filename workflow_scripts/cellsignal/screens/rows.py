"""Rows of CSV files that remember their file and line, and the checks whose messages name both."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from cellsignal.sites import IDENTIFIER, IDENTIFIER_RULE, SHOWN, listed, plate_span, positions

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}  # as spreadsheets write them


@dataclass(frozen=True)
class Rows:
    """`table`: str columns; `file` and `line`: where each row stands (lines count from 1, as in editors)."""

    table: pd.DataFrame
    file: pd.Series
    line: pd.Series


def read_rows(path: Path, required: Sequence[str], problems: list[str]) -> Rows | None:
    """The rows of a CSV file (UTF-8, a header, commas), every value a str.

    What is wrong is appended to `problems`; None if the file, or a `required` column, is not there.
    """
    if not path.is_file():
        columns = f" with columns {', '.join(required)}" if required else ""
        problems.append(f"{path}: no such file; expected a CSV file{columns}")
        return None
    records: list[list[str]] = []
    lines: list[int] = []
    width, before = 0, 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            header = next(reader, [])
            width, before = len(header), reader.line_num
            if width == 1 and (found := [word for sign, word in OTHER_SEPARATORS.items() if sign in header[0]]):
                problems.append(f"{path}: columns are separated by {found[0]}; expected commas")
                return None
            for record in reader:
                if len(record) == width:
                    records.append(record)
                    lines.append(before + 1)
                elif record:
                    problems.append(f"{path} line {before + 1}: {len(record)} values; expected {width}")
                before = reader.line_num
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{path} near line {before + 1}: {error}; expected CSV in UTF-8")
        return None
    missing = [c for c in required if c not in header]
    repeated = sorted({c for c in header if header.count(c) > 1})
    problems += [f"{path}: column {c} is missing; found {listed(header, 20) or 'an empty file'}" for c in missing]
    problems += [f"{path}: column {c} occurs more than once; expected once" for c in repeated]
    if missing or repeated:
        return None
    if not records:
        problems.append(f"{path}: no rows; expected at least one below the header")
        return None
    table = pd.DataFrame(dict(zip(header, zip(*records, strict=True), strict=True)), dtype=str)
    return Rows(table, pd.Series(str(path), index=table.index), pd.Series(lines, dtype=np.int64))


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several files below one another; a column that a file lacks is empty in its rows."""
    return Rows(
        pd.concat([p.table for p in parts], ignore_index=True).fillna(""),
        pd.concat([p.file for p in parts], ignore_index=True),
        pd.concat([p.line for p in parts], ignore_index=True),
    )


def faults(
    rows: Rows, bad: pd.Series | np.ndarray, key: str, expected: str, shown: pd.Series | None = None
) -> list[str]:
    """One sentence per file and distinct value of `key` among the `bad` rows.

    `shown`: words on what was found, in place of the quoted value.
    """
    bad = np.asarray(bad, dtype=bool)
    if not bad.any():
        return []
    found = (rows.table[key] if shown is None else shown)[bad]
    groups = rows.line[bad].groupby([rows.file[bad], found], sort=False).agg(list)
    sentences = []
    for place, lines in groups.iloc[:SHOWN].items():
        file, value = cast(tuple[str, str], place)
        where = f"line {lines[0]}" if len(lines) == 1 else f"lines {listed(lines)}"
        sentences.append(f"{file} {where}: {key} is {value if shown is not None else repr(value)}; expected {expected}")
    if len(groups) > SHOWN:
        sentences.append(f"{len(groups) - SHOWN} more values of {key} with this fault")
    return sentences


def bad_identifiers(rows: Rows, keys: Sequence[str]) -> list[str]:
    """Values that cannot name a file: `../x`, an empty one, …"""
    return [
        fault
        for key in keys
        for fault in faults(rows, ~rows.table[key].str.fullmatch(IDENTIFIER), key, IDENTIFIER_RULE)
    ]


def bad_choices(rows: Rows, key: str, choices: Sequence[str]) -> list[str]:
    """Values of `key` that are not among `choices`."""
    return faults(rows, ~rows.table[key].isin(choices), key, f"{', '.join(choices[:-1])} or {choices[-1]}")


def bad_numbers(rows: Rows, key: str) -> list[str]:
    """Values of `key` that are no whole numbers from 0."""
    return faults(rows, ~rows.table[key].str.fullmatch("[0-9]{1,9}"), key, "a whole number")


def bad_wells(rows: Rows, key: str, plate_rows: int, plate_columns: int) -> list[str]:
    """Wells that are not on the plate."""
    inside = positions(rows.table[key], plate_rows, plate_columns)[2]
    size = f"{plate_rows} x {plate_columns} plate"
    return faults(rows, ~inside, key, f"a well of the {size}, {plate_span(plate_rows, plate_columns)}")


def bad_composites(rows: Rows, key: str, parts: Sequence[str]) -> list[str]:
    """Values of `key` that are not the values of `parts` joined by underscores."""
    expected = rows.table[parts[0]]
    for part in parts[1:]:
        expected = expected + "_" + rows.table[part]
    bad = (rows.table[key] != expected).to_numpy()
    shown = rows.table[key] + ", not " + expected
    return faults(rows, bad, key, f"the row's own {'_'.join('{' + p + '}' for p in parts)}", shown)


def repeats(rows: Rows, key: str, values: pd.Series | None = None) -> list[str]:
    """Rows whose `key` occurred in an earlier row, in this file or another."""
    values = rows.table[key] if values is None else values
    again = values.duplicated(keep="first")
    if not again.any():
        return []
    first = ~again & values.isin(values[again])
    places = dict(zip(values[first], rows.file[first] + " line " + rows.line[first].astype(str), strict=True))
    sentences = [
        f"{file} line {line}: {key} {value!r} is already in {places[value]}; expected once"
        for file, line, value in zip(rows.file[again], rows.line[again], values[again], strict=True)
    ]
    more = len(sentences) - SHOWN
    return sentences[:SHOWN] + ([f"{more} more rows repeat a {key}"] if more > 0 else [])


def disagreements(rows: Rows, unit: str, values: pd.Series, keys: Sequence[str]) -> list[str]:
    """Rows of one unit (a well; `values` names it) whose `keys` differ from the unit's first row."""
    sentences = []
    for key in keys:
        first = rows.table[key].groupby(values, sort=False).transform("first")
        bad = (rows.table[key] != first).to_numpy()
        if bad.any():
            shown = rows.table[key] + " in " + unit + " " + values
            sentences += faults(rows, bad, key, f"the same in every row of a {unit}", shown)
    return sentences
