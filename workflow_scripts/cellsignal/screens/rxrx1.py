"""RxRx1's public release: one metadata table, and `images/EXPERIMENT/PlateN/WELL_sS_wC.png`.

Its metadata holds the labels of the test wells: they go to the answers and nowhere else.
Source: https://www.rxrx.ai/rxrx1
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cellsignal.config.screen import ScreenSettings
from cellsignal.errors import raise_all
from cellsignal.screens import rows as checks
from cellsignal.screens.classes import numbered_classes
from cellsignal.screens.rows import Rows, joined, read_rows
from cellsignal.sites import DATASETS, WELL_TYPES, Screen, answer_table, positions, site_table

METADATA = [
    "site_id", "well_id", "cell_type", "dataset", "experiment", "plate", "well", "site", "well_type",
    "sirna", "sirna_id",
]  # fmt: skip


def metadata_files(settings: ScreenSettings, root: Path) -> list[Path]:
    """The metadata table, or, where `settings.metadata` is a folder, the CSV files in it, sorted.

    A simulated screen has one file per plate in `metadata`.
    """
    default = "metadata" if settings.kind == "simulated" else "metadata.csv"
    path = root / (settings.metadata or default)
    files = sorted(path.glob("*.csv")) if path.is_dir() else []
    return files or [path]


def read(settings: ScreenSettings, root: Path) -> Screen:
    """The screen of a metadata table below `root`. Raises `BadInput` with all its problems."""
    problems: list[str] = []
    parts = [read_rows(path, METADATA, problems) for path in metadata_files(settings, root)]
    raise_all(problems, "metadata")
    return screen_of(joined([p for p in parts if p is not None]), settings)


def from_metadata(metadata: pd.DataFrame, settings: ScreenSettings, source: str) -> Screen:
    """The screen of a metadata table in memory; messages call it `source`."""
    raise_all([f"{source}: column {c} is missing" for c in METADATA if c not in metadata.columns], "metadata")
    table = metadata[METADATA].astype(str).reset_index(drop=True)
    line = pd.Series(np.arange(len(table)) + 2, dtype=np.int64)
    return screen_of(Rows(table, pd.Series(source, index=table.index), line), settings)


def screen_of(rows: Rows, settings: ScreenSettings) -> Screen:
    """The screen of rows in the public schema. Raises `BadInput` with all their problems."""
    table = rows.table
    classes, index, problems = numbered_classes(rows, "sirna_id", names="sirna")
    hidden = ((table["dataset"] == "test") & (table["well_type"] == "treatment")).to_numpy()
    unknown = (table["sirna_id"] == "").to_numpy() & ~hidden
    problems += checks.faults(rows, unknown, "sirna_id", "a class number (only test treatment wells may lack it)")
    problems += checks.bad_identifiers(rows, ["experiment", "plate", "cell_type"])
    problems += checks.bad_wells(rows, "well", settings.plate_rows, settings.plate_columns)
    problems += checks.bad_numbers(rows, "site")
    problems += checks.bad_choices(rows, "dataset", DATASETS)
    problems += checks.bad_choices(rows, "well_type", WELL_TYPES)
    problems += checks.bad_composites(rows, "well_id", ["experiment", "plate", "well"])
    problems += checks.bad_composites(rows, "site_id", ["well_id", "site"])
    problems += checks.repeats(rows, "site_id")
    of_well = ["cell_type", "dataset", "well_type", "sirna_id"]
    problems += checks.disagreements(rows, "well", table["well_id"], of_well)
    raise_all(problems, "metadata")
    return screen_from_columns(table, index, classes, hidden, settings, "images/" + table["experiment"])


def screen_from_columns(
    table: pd.DataFrame,
    index: np.ndarray,
    classes: pd.DataFrame,
    hidden: np.ndarray,
    settings: ScreenSettings,
    folders: pd.Series,
) -> Screen:
    """The screen of checked rows, one per site, with images named as RxRx1 names them.

    `index`: class of each row, −1 where unknown; `hidden` (bool): rows whose label goes to the answers;
    `folders`: the folder that holds each row's `PlateN`.
    """
    row, column, _ = positions(table["well"], settings.plate_rows, settings.plate_columns)
    columns = table[["experiment", "plate", "well", "cell_type", "dataset", "well_type"]].assign(
        plate_id=table["experiment"] + "_" + table["plate"],
        row=row,
        column=column,
        site=table["site"].astype(np.int64),
        sirna=np.where(hidden, -1, index),
    )
    stems = folders + "/Plate" + table["plate"] + "/" + table["well"] + "_s" + table["site"] + "_w"
    endings = [f"{channel}.png" for channel in range(1, len(settings.channels) + 1)]
    images = [[stem + ending for ending in endings] for stem in stems.tolist()]
    sites = site_table(columns, images)
    known = hidden & (index >= 0)
    well_id = columns["plate_id"] + "_" + columns["well"]
    return Screen(sites, answer_table(well_id[known], index[known]), classes)
