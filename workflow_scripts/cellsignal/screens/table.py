"""A screen that the user describes in one CSV file: which columns, or templates of them, mean what."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from cellsignal.config.screen import ScreenSettings, TableColumns, TableSettings
from cellsignal.errors import BadInput, raise_all
from cellsignal.screens import rows as checks
from cellsignal.screens.classes import mixed_types, usual_type
from cellsignal.screens.rows import Rows, read_rows
from cellsignal.sites import (
    DATASETS,
    WELL_TYPES,
    Screen,
    answer_table,
    listed,
    path_problem,
    plate_span,
    positions,
    site_table,
)


def metadata_files(settings: ScreenSettings, root: Path) -> list[Path]:
    """The user's CSV file."""
    return [root / _described(settings).metadata]


def _described(settings: ScreenSettings) -> TableSettings:
    if settings.table is None:
        raise BadInput("screen.table: missing, but screen.kind is table")
    return settings.table


def read(settings: ScreenSettings, root: Path) -> Screen:
    """The screen of the user's table below `root`. Raises `BadInput` with all its problems.

    Without `well`, each row is a well of its own. Labels of test treatment wells go to the answers. Rows
    and columns of the plate are known where every well of the table has a name like `B02`.
    """
    described = _described(settings)
    problems: list[str] = []
    raw = read_rows(metadata_files(settings, root)[0], [], problems)
    raise_all(problems, "metadata")
    assert raw is not None
    images, rows, problems = _fill_in(raw, described.columns, len(settings.channels))
    raise_all(problems, f"screen.table.columns, over {raw.file.iloc[0]}")
    table = rows.table
    row, column, problems = _positions(rows, settings, bool(described.columns.well))
    classes, index, found = _classes(rows, described.classes)
    hidden = ((table["dataset"] == "test") & (table["well_type"] == "treatment")).to_numpy()
    problems += found + checks.faults(
        rows,
        (table["label"] == "") & ~hidden,
        "label",
        "a class (only test treatment wells may be without one)",
    )
    problems += checks.bad_identifiers(rows, ["experiment", "plate", "plate_id", "well", "cell_type"])
    problems += checks.bad_choices(rows, "dataset", DATASETS) + checks.bad_choices(rows, "well_type", WELL_TYPES)
    problems += checks.bad_numbers(rows, "site")
    well_id = table["plate_id"] + "_" + table["well"]
    problems += checks.repeats(rows, "site_id", well_id + "_" + table["site"])
    problems += checks.disagreements(rows, "well", well_id, ["label", "cell_type", "dataset", "well_type"])
    problems += _image_problems(rows, images)
    raise_all(problems, "metadata")
    columns = table.drop(columns="label").assign(
        row=row, column=column, site=table["site"].astype(np.int64), sirna=np.where(hidden, -1, index)
    )
    known = hidden & (index >= 0)
    answers = answer_table(well_id[known], index[known])
    return Screen(site_table(columns, images), answers, classes)


def fill_in(text: str, table: pd.DataFrame) -> pd.Series:
    """A column, or a template such as `{plate}_{well}` filled in for each row.

    Raises `BadInput` where `text` names no column.
    """
    if text in table.columns:
        return table[text]
    parts = re.split(r"\{([^{}]*)\}", text)  # text, column, text, column, …, text
    fixed, fields = parts[::2], parts[1::2]
    unknown = [field for field in fields if field not in table.columns]
    if unknown or not fields or any("{" in f or "}" in f for f in fixed):
        wrong = listed(unknown) if unknown else repr(text)
        raise BadInput(
            f"{wrong} is no column; expected one of {listed(list(table.columns), 30)}, or a template of them"
        )
    filled = pd.Series(fixed[0], index=table.index, dtype=str)
    for field, after in zip(fields, fixed[1:], strict=True):
        filled = filled + table[field] + after
    return filled


def _fill_in(raw: Rows, columns: TableColumns, channels: int) -> tuple[list[list[str]], Rows, list[str]]:
    """The images of each row; the rows with the site table's columns, as text, and `label`; the problems."""
    problems: list[str] = []

    def value(key: str, text: str) -> pd.Series:
        try:
            return fill_in(text, raw.table)
        except BadInput as error:
            problems.append(f"screen.table.columns.{key}: {error}")
            return pd.Series("x", index=raw.table.index, dtype=str)

    if len(columns.images) not in (1, channels):
        problems.append(
            f"screen.table.columns.images: {len(columns.images)} columns for {channels} channels; "
            f"expected {channels}, or 1 whose files hold all channels"
        )
    paths = [value(f"images[{i}]", text) for i, text in enumerate(columns.images)]
    images = [list(of_row) for of_row in zip(*paths, strict=True)]
    table = pd.DataFrame({"label": value("label", columns.label), "plate": value("plate", columns.plate)})
    if columns.experiment is None:
        table["experiment"] = table["plate_id"] = table["plate"]
    else:
        table["experiment"] = value("experiment", columns.experiment)
        table["plate_id"] = table["experiment"] + "_" + table["plate"]
    if columns.well is None:
        table["well"] = (table.groupby("plate_id").cumcount() + 1).astype(str)
    else:
        table["well"] = value("well", columns.well)
    if columns.site is None:
        table["site"] = (table.groupby(["plate_id", "well"]).cumcount() + 1).astype(str)
    else:
        table["site"] = value("site", columns.site)
    defaults = {"cell_type": "cells", "dataset": "train", "well_type": "treatment"}
    for key, default in defaults.items():
        text = getattr(columns, key)
        table[key] = default if text is None else value(key, text)
    return images, Rows(table.astype(str), raw.file, raw.line), problems


def _positions(rows: Rows, settings: ScreenSettings, named: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Row and column of each well, and problems; all −1 unless every well is named like `B02`.

    One name that is no position (`P365`) shows that the others (`P12`) are none, either.
    """
    row, column, inside = positions(rows.table["well"], settings.plate_rows, settings.plate_columns)
    if not named or (row < 0).any():
        nowhere = np.full(len(row), -1, dtype=np.int64)
        return nowhere, nowhere, []
    size = f"{settings.plate_rows} x {settings.plate_columns} plate"
    span = plate_span(settings.plate_rows, settings.plate_columns)
    return row, column, checks.faults(rows, ~inside, "well", f"a well of the {size}, {span}")


def _classes(rows: Rows, given: list[str] | None) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Class table, class index of each row (−1: no label) and problems."""
    labels = rows.table["label"]
    names = sorted(set(labels) - {""}) if given is None else given
    problems = mixed_types(rows, "label")
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        problems.append(f"screen.table.classes: {listed(repeated)} listed more than once; expected once")
    if not names:
        problems.append(f"{rows.file.iloc[0]}: no row has a label; expected some")
    strange = (labels != "") & ~labels.isin(names)
    problems += checks.faults(rows, strange, "label", f"one of screen.table.classes: {listed(names, 30)}")
    usual = usual_type(labels, rows.table["well_type"])
    kinds = [usual.get(name, WELL_TYPES[0]) for name in names]
    classes = pd.DataFrame({
        "sirna": np.arange(len(names)),
        "name": pd.Series(names, dtype=str),
        "well_type": pd.Series(kinds, dtype=str),
    })  # fmt: skip
    index = labels.map({name: i for i, name in enumerate(names)}).fillna(-1).to_numpy(np.int64)
    return classes, index, problems


def _image_problems(rows: Rows, images: list[list[str]]) -> list[str]:
    """Paths that leave the root or name no file, and images of two rows."""
    owner: dict[str, int] = {}
    problems = []
    for i, paths in enumerate(images):
        where = f"{rows.file.iloc[i]} line {rows.line.iloc[i]}"
        for path in paths:
            if fault := path_problem(path):
                problems.append(f"{where}: image {path!r} {fault}")
            elif owner.setdefault(path, i) != i:
                problems.append(
                    f"{where}: image {path!r} is already in line {rows.line.iloc[owner[path]]}; expected once"
                )
    return problems
