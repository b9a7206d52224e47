"""Small screens for tests: two experiments of two plates, eight siRNAs and two controls."""

import csv
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cellsignal.config.screen import ScreenSettings
from cellsignal.screens.rxrx1 import from_metadata
from cellsignal.sites import Screen

Row = dict[str, str]
SMALL = {"HUVEC-01": "train", "HUVEC-02": "test"}
WELLS = {"B02": 9, "B03": 8, "B04": 0, "B05": 1, "B06": 2, "B07": 3}  # class on plate 1; 4 more on plate 2
NAMES = {8: "n337250", 9: "EMPTY"} | {i: f"s{100 + i}" for i in range(8)}


def settings(kind: str, **values: object) -> ScreenSettings:
    """Settings of a two-channel screen."""
    defaults = {"name": "small", "kind": kind, "root": ".", "channels": ["nuclei", "actin"], "image_size": 16}
    return ScreenSettings.model_validate(defaults | values)


def public_rows(experiments: Mapping[str, str] = SMALL) -> list[Row]:
    """Rows of the public `metadata.csv`, 24 per experiment; `experiments`: name → `train` or `test`."""
    rows = []
    for experiment, dataset in experiments.items():
        for plate in ("1", "2"):
            for well, number in WELLS.items():
                sirna = number + 4 if plate == "2" and number < 4 else number
                kind = {8: "positive_control", 9: "negative_control"}.get(sirna, "treatment")
                for site in ("1", "2"):
                    well_id = f"{experiment}_{plate}_{well}"
                    rows.append({
                        "site_id": f"{well_id}_{site}", "well_id": well_id, "cell_type": experiment.split("-")[0],
                        "dataset": dataset, "experiment": experiment, "plate": plate, "well": well,
                        "site": site, "well_type": kind, "sirna": NAMES[sirna], "sirna_id": str(sirna),
                    })  # fmt: skip
    return rows


def screen_of(rows: list[Row]) -> Screen:
    """The screen of rows in the public schema; no file is read."""
    return from_metadata(pd.DataFrame(rows), settings("rxrx1"), "made-up rows")


def kaggle_rows(later: bool = False) -> dict[str, list[Row]]:
    """The same screen as Kaggle's four tables; `later`: with text labels as in the later release."""
    tables: dict[str, list[Row]] = {name: [] for name in ("train", "test", "train_controls", "test_controls")}
    for row in public_rows():
        if row["site"] == "2":
            continue
        number = int(row["sirna_id"])
        text = "UNTREATED" if number == 9 else f"sirna_{1100 - 100 * number}"  # another order than the numbers'
        new = {key: row[key] for key in ("experiment", "plate", "well")}
        new = {"id_code": row["well_id"], **new, "sirna": text if later else str(number)}
        if row["well_type"] != "treatment":
            tables[row["dataset"] + "_controls"].append(new | {"well_type": row["well_type"]})
        else:
            if row["dataset"] == "test":
                del new["sirna"]
            tables[row["dataset"]].append(new)
    return tables


def write_csv(path: Path, rows: list[Row]) -> Path:
    """Write rows as CSV: the header is line 1, `rows[i]` line i + 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_kaggle(root: Path, tables: dict[str, list[Row]]) -> Path:
    """Write Kaggle's four tables."""
    for name, rows in tables.items():
        write_csv(root / f"{name}.csv", rows)
    return root
