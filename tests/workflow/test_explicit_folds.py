"""Folds that are no partition, or that hold out nothing: the whole workflow runs, and every place says so."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from projects import Project
from test_run import FIGURES

from cellsignal.cli import main

SCREEN = "results/tiny_screen"
RECIPE = f"{SCREEN}/tiny"
HELD_OUT = [["HUVEC-01", "RPE-01"], ["HUVEC-01", "HUVEC-02"]]  # HUVEC-01 twice, RPE-02 never, fold 1 without RPE
NOTHING = {"folds": {"count": 1}, "balance": {"temperature": 1.0}}


@pytest.fixture(scope="module")
def no_partition(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run with folds of our own on a screen of two cell types, of which the test set has one only."""
    project = Project.create(tmp_path_factory.mktemp("no_partition") / "project")
    project.overlay(
        {
            "screen": {"simulated": {"cell_types": {"HUVEC": [2, 1], "RPE": [2, 0]}}},
            "folds": {"count": 2, "held_out": HELD_OUT},
            "models": [{"name": "byobnet", "backbone": "test_byobnet", "head": "softmax", "normalization": "plate"}],
            "pseudo_labels": {"rounds": 0},
        }
    )
    project.run("all")
    return project


@pytest.fixture(scope="module")
def all_of_train(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny recipe with nothing held out."""
    project = Project.create(tmp_path_factory.mktemp("all_of_train") / "project")
    project.overlay(NOTHING)
    project.run("all")
    return project


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / RECIPE / name).read_text())


def rows_of(project: Project, training: str) -> pd.DataFrame:
    return pd.read_parquet(project.folder / RECIPE / "models/byobnet" / training / "rows.parquet")


def test_wells_are_judged_by_every_fold_that_held_them_out_and_by_no_other(no_partition: Project) -> None:
    for fold, groups in enumerate(HELD_OUT):
        rows = rows_of(no_partition, f"fold{fold}/stage1")
        experiment = rows["site_id"].str.split("_").str[0]
        assert set(experiment[rows["role"] == "validation"]) == set(groups)
        assert not set(experiment[rows["role"] == "train"]) & set(groups)
    wells = pd.read_parquet(no_partition.folder / RECIPE / "wells.parquet")
    judged = wells[wells["role"] == "out_of_fold"]
    assert set(judged["experiment"]) == {"HUVEC-01", "HUVEC-02", "RPE-01"}
    assert set(wells.loc[wells["experiment"] == "RPE-02", "role"]) == {""}
    assert read(no_partition, "scores.json")["out_of_fold"]["wells"] == len(judged) == 3 * 8
    votes = {}
    for path in (no_partition.folder / RECIPE / "predictions/byobnet").glob("fold*/*/round0.h5"):
        with h5py.File(path) as file:
            logits, site = file["logits"][()].astype(float), file["site_id"][()].astype(str)
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        for name, row in zip(site, share / share.sum(axis=1, keepdims=True), strict=True):
            votes.setdefault(name.rsplit("_", 1)[0], []).append(row)
    with h5py.File(no_partition.folder / RECIPE / "ensembles/round0.h5") as file:
        found = dict(zip(file["well_id"][()].astype(str), file["probability"][()], strict=True))
    assert {len(votes[well]) for well in judged.loc[judged["experiment"] == "HUVEC-01", "well_id"]} == {4}  # × 2 sites
    assert {len(votes[well]) for well in judged.loc[judged["experiment"] != "HUVEC-01", "well_id"]} == {2}
    for well in judged["well_id"]:
        np.testing.assert_allclose(found[well], np.mean(votes[well], axis=0), atol=1e-6)


def test_a_cell_type_that_a_fold_does_not_hold_out_is_trained_without_validation(no_partition: Project) -> None:
    folder = no_partition.folder / RECIPE
    assert set(rows_of(no_partition, "fold1/RPE/round0")["role"]) == {"train"}  # nor has RPE test wells
    history = pd.read_csv(folder / "models/byobnet/fold1/RPE/round0/history.csv")
    assert history["loss"].notna().all() and history["validation_accuracy"].isna().all()
    with h5py.File(folder / "predictions/byobnet/fold1/RPE/round0.h5") as file:
        assert file["site_id"].shape == (0,)  # an empty file, which the ensemble took


def check_the_end(project: Project) -> list[dict[str, Any]]:
    """A submission, every figure, and a passed audit, whose verdicts are returned."""
    submission = pd.read_csv(project.folder / RECIPE / "submission.csv")
    assert len(submission) == 8 and submission["sirna"].between(0, 7).all()
    figures = {path.name: path.stat().st_size for path in project.results("figures/*.[ps][nv]g")}
    assert sorted(figures) == FIGURES and min(figures.values()) > 3000
    verdicts: list[dict[str, Any]] = read(project, "audit.json")
    assert all(verdict["passed"] for verdict in verdicts) and len(verdicts) == 2
    return verdicts


def test_folds_that_are_no_partition_end_in_a_passed_audit_that_names_them(no_partition: Project) -> None:
    told = "\n".join(check_the_end(no_partition)[0]["evidence"]["clean"])
    assert "held out: never: RPE-02; fold 0: HUVEC-01, RPE-01; fold 1: HUVEC-01, HUVEC-02" in told


def text_of(project: Project, figure: str) -> str:
    """The words of an SVG figure."""
    return (project.folder / RECIPE / "figures" / figure).read_text()


def test_training_on_everything_ends_in_a_submission_and_a_passed_audit(all_of_train: Project) -> None:
    told = "\n".join(check_the_end(all_of_train)[0]["evidence"]["clean"])
    assert "held out: never: HUVEC-01, HUVEC-02" in told and "temperature 1.0, given in the settings" in told
    train = rows_of(all_of_train, "fold0/stage1")
    assert set(train["role"]) == {"train"} and train["site_id"].str.startswith(("HUVEC-01", "HUVEC-02")).sum() == 80


def test_every_place_says_that_nothing_was_held_out(all_of_train: Project) -> None:
    scores = read(all_of_train, "scores.json")
    note = "no fold holds out a well"
    assert scores["out_of_fold"]["wells"] == 0 and scores["out_of_fold"]["caveat"].startswith(note)
    assert scores["controls"] == [] and scores["test"]["wells"] == 8
    assert scores["ladder"]["of"] == "test wells" and len(scores["ladder"]["rungs"]) > 3
    page = (all_of_train.folder / RECIPE / "figures/overview.html").read_text()
    assert note in page and "fold 0 held out no wells" in page
    for name, words in (
        ("confusion.svg", "No fold held out wells"),
        ("control_certainty.svg", "No fold held out wells"),
        ("averaging.svg", "No fold held out wells"),
        ("accuracy_breakdown.svg", "no wells were held out"),
        ("training_curves.svg", "no validation: none was held out"),
        ("channel_attention.svg", "held out no wells"),
    ):
        assert words in text_of(all_of_train, name), name


def test_progress_and_row_work_without_out_of_fold_wells(
    all_of_train: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(all_of_train.folder)
    assert main(["progress", RECIPE]) == 0
    assert main(["row", "HUVEC-03_1_B03", "--results", str(Path(RECIPE))]) == 0
    out = capsys.readouterr().out
    assert "HUVEC-03_1_B03" in out


def test_a_temperature_that_cannot_be_fitted_stops_the_planning(fresh: Project) -> None:
    fresh.overlay({"folds": {"count": 1}})
    output = fresh.fail("all")
    assert (
        "balance.temperature: null, but no fold holds anything out" in output
        and not (fresh.folder / "results").exists()
    )
