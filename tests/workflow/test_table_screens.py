"""A user's own screen: broken images stop the run or are left out and listed; scores without a test set."""

import json

import numpy as np
import pandas as pd
import pytest
from projects import Project, job_counts
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from table_screen import MISSING, PLATES, TRUNCATED, settings, truncate, write_screen

SCREEN = "results/my_screen"


@pytest.fixture
def own(fresh: Project) -> Project:
    """A project with a table screen that was not run yet, its images in `data/`."""
    write_screen(fresh.folder / "data", PLATES)
    fresh.overlay(settings(fresh.folder / "data"))
    return fresh


def test_a_table_that_is_wrong_stops_the_planning_with_every_row(own: Project) -> None:
    table = own.folder / "data/sites.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace("P1,dim", "../P1,dim")
    lines[4] = lines[4].replace("P1,dim", "P1,")
    table.write_text("\n".join([*lines, lines[-1]]) + "\n")
    output = own.fail("all")
    assert f"{table} line 3: plate is '../P1'" in output
    assert f"{table} line 5: label is ''; expected a class" in output
    assert f"{table} line {len(lines) + 1}: image" in output and "is already in line" in output
    assert not (own.folder / "results").exists()


def test_missing_images_stop_the_run_all_at_once(own: Project) -> None:
    for name in MISSING:
        (own.folder / "data" / name).unlink()
    output = own.fail("packed")
    assert "images missing; restore them, or set pack.allow_missing_sites: true" in output
    assert all(name in output for name in MISSING)
    assert not own.results("*.parquet") and not own.results("*.h5")


def test_a_truncated_image_stops_its_plate_and_leaves_nothing_half_written(own: Project) -> None:
    truncate(own.folder / "data" / TRUNCATED)
    output = own.fail("packed", "--keep-going")
    assert "plate P2: 1 of 12 sites unreadable" in output and f"{TRUNCATED} is truncated or damaged" in output
    assert "(site P2_7_1)" in output and "pack.allow_missing_sites: true" in output
    assert [path.name for path in own.results("*.h5")] == ["P1.h5", "P3.h5", "P4.h5"]
    assert not list(own.folder.rglob("*.part*"))
    write_screen(own.folder / "data", PLATES)  # the image restored
    assert job_counts(own.run("packed", "--dry-run"))["pack_plate"] == 1


def test_broken_images_that_are_allowed_are_left_out_and_listed(allowed: Project) -> None:
    listed = json.loads((allowed.folder / SCREEN / "problems.json").read_text())
    assert sorted(problem["image"] for problem in listed) == MISSING  # seen without opening an image
    (packing,) = json.loads((allowed.folder / SCREEN / "plates/P2.problems.json").read_text())
    assert packing["image"] == TRUNCATED and packing["problem"].startswith("is truncated or damaged")
    (verdict,) = json.loads((allowed.folder / SCREEN / "tiny/audit.json").read_text())
    assert verdict["passed"] and verdict["artefact"] == f"{SCREEN}/tiny/scores.json"
    assert sorted(site["image"] for site in verdict["missing_sites"]) == sorted([TRUNCATED, *MISSING])


def test_a_screen_without_test_wells_ends_in_out_of_fold_metrics(allowed: Project) -> None:
    scores = json.loads((allowed.folder / SCREEN / "tiny/scores.json").read_text())
    wells = pd.read_parquet(allowed.folder / SCREEN / "tiny/wells.parquet")
    seen = wells[wells["role"] == "out_of_fold"]
    assert len(wells) == 48 and len(seen) == 44  # four sites are left out
    assert scores["out_of_fold"]["wells"] == 44 and scores["test"] is None
    assert scores["out_of_fold"]["accuracy"] == accuracy_score(seen["sirna"], seen["predicted"])
    assert np.isclose(
        scores["out_of_fold"]["balanced_accuracy"], balanced_accuracy_score(seen["sirna"], seen["predicted"])
    )
    assert scores["ladder"]["of"] == "out-of-fold wells"
    assert not allowed.results("submission.csv") and len(allowed.results("figures/*.[ps][nv]g")) == 24
