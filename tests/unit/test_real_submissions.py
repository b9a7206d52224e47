"""Two real submissions to the RxRx1 competition: known scores, and the rotations that they imply."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.assignment import LEAST_Z, balance
from cellsignal.config.labelling import Method
from cellsignal.ensemble import WellProbabilities
from cellsignal.kaggle_score import kaggle_score
from cellsignal.ladder import ladder
from cellsignal.plate_groups import PlateGroups, derive_groups, infer_rotations
from cellsignal.submission import read_submission, write_submission

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import real_votes  # noqa: E402

DATA = Path(os.environ.get("CELLSIGNAL_DATA", ""))
TABLES, SUBMISSIONS = DATA / "rxrx1-metadata", DATA / "rxrx1-predictions"
pytestmark = pytest.mark.skipif(
    "CELLSIGNAL_DATA" not in os.environ, reason="CELLSIGNAL_DATA is not set: no real submissions"
)

PUBLIC, LEFT_OUT = ["HEPG2-08", "HUVEC-17", "RPE-08", "U2OS-04"], ["HUVEC-18"]
TYPES = ["treatment"] * 1108 + ["positive_control"] * 30 + ["negative_control"]
CLASSES = pd.DataFrame({"sirna": range(1139), "name": [str(i) for i in range(1139)], "well_type": TYPES})
TRUST = 0.15  # probability of the submitted class, about the accuracy of the submissions


@pytest.fixture(scope="module")
def wells() -> pd.DataFrame:
    table = pd.read_csv(TABLES / "kaggle-original" / "test.csv", dtype=str)
    table = table.rename(columns={"id_code": "well_id"})
    table["plate_id"] = table["experiment"] + "_" + table["plate"]
    return table


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    table = pd.read_csv(TABLES / "derived" / "test_labels_partial.csv")
    return table.rename(columns={"id_code": "well_id"})[["well_id", "sirna"]]


@pytest.fixture(scope="module")
def groups() -> PlateGroups:
    found, reason = derive_groups(pd.read_csv(TABLES / "kaggle-original" / "train.csv", dtype={"plate": str}))
    assert found is not None, reason
    return found


def submitted(name: str, wells: pd.DataFrame) -> pd.DataFrame:
    return read_submission(SUBMISSIONS / f"submission_{name}.csv", wells, CLASSES, by_name=False)


def probabilities(submission: pd.DataFrame) -> np.ndarray:
    p = np.full((len(submission), 1108), (1 - TRUST) / 1107)
    p[np.arange(len(submission)), submission["sirna"]] = TRUST
    return p


@pytest.mark.parametrize(("name", "score"), [("a", 0.1846), ("b", 0.1355)])
def test_known_scores(name: str, score: float, wells: pd.DataFrame, answers: pd.DataFrame) -> None:
    table = kaggle_score(submitted(name, wells), answers, wells, PUBLIC, LEFT_OUT).set_index("split")
    assert table.loc["all", "wells"] == 8853
    assert round(table.loc["all", "correct"] / 8853, 4) == score
    assert table["wells_in_split"].to_dict() == {"all": 19897, "public": 4431, "private": 14359}


@pytest.mark.parametrize("name", ["a", "b"])
def test_written_again_it_is_the_same_file(name: str, wells: pd.DataFrame, tmp_path: Path) -> None:
    source = SUBMISSIONS / f"submission_{name}.csv"
    sample = TABLES / "kaggle-original" / "sample_submission.csv"
    write_submission(tmp_path / "s.csv", submitted(name, wells), wells, CLASSES, by_name=False, sample=sample)
    assert (tmp_path / "s.csv").read_text().split() == source.read_text().split()


@pytest.mark.parametrize("name", ["a", "b"])
def test_rotations_of_the_test_experiments(name: str, wells: pd.DataFrame, groups: PlateGroups) -> None:
    layouts = pd.read_csv(TABLES / "derived" / "exp_to_group.csv").set_index("experiment")["assignment"]
    rotation_of_layout = {layouts[e]: rotation for e, rotation in groups.rotation.items()}
    rotation_of_layout[3] = ({0, 1, 2, 3} - set(rotation_of_layout.values())).pop()  # only in test
    table = infer_rotations(np.log(probabilities(submitted(name, wells))), wells, groups)
    expected = table["experiment"].map(layouts).map(rotation_of_layout)
    sure = table["z"] >= LEAST_Z
    # both submissions are close to random on U2OS-04, which is far brighter than the rest; a is wrong on it
    assert table.loc[~sure, "experiment"].tolist() == ["U2OS-04"]
    assert (table["rotation"] == expected)[sure].all()
    assert sure.sum() == 17


@pytest.mark.parametrize("method", ["uniqueness", "iterative", "assignment"])
def test_real_plates_with_missing_wells_hold_no_class_twice(
    method: Method, wells: pd.DataFrame, groups: PlateGroups
) -> None:
    lacking = ["HUVEC-18", "RPE-09"]  # a well of each has no images; RPE-09 here lacks twenty more
    chosen = wells[wells["experiment"].isin(lacking)]
    chosen = chosen.drop(index=chosen.index[chosen["experiment"] == "RPE-09"][:20]).reset_index(drop=True)
    assert chosen.groupby("experiment").size().to_dict() == {"HUVEC-18": 1107, "RPE-09": 1087}
    every = WellProbabilities(
        wells["well_id"].to_numpy(str), probabilities(submitted("a", wells)).astype(np.float32), np.full(len(wells), "")
    )
    result = balance(every.of_wells(chosen["well_id"]), chosen, method, groups)
    table = chosen.assign(sirna=result.assigned)
    assert not table.duplicated(["experiment", "sirna"]).any()
    for plate, on_plate in table.groupby("plate_id"):
        assert len({groups.group_of[sirna] for sirna in on_plate["sirna"]}) == 1, plate


def test_real_ladder(wells: pd.DataFrame, answers: pd.DataFrame, groups: PlateGroups) -> None:
    some = wells["experiment"].isin(["HUVEC-17", "RPE-08"]).to_numpy()  # two experiments with known labels
    p = (probabilities(submitted("a", wells)) + probabilities(submitted("b", wells))) / 2
    both = WellProbabilities(wells["well_id"].to_numpy(str), p.astype(np.float32), np.full(len(p), "test"))
    chosen = wells[some].reset_index(drop=True)
    p = both.of_wells(chosen["well_id"])
    table = ladder(p, chosen, answers, groups, methods=["uniqueness", "assignment"])
    assert (table["wells"] == 2216).all()
    score = table.set_index("name")["accuracy"]
    assert score["raw"] < score["+ uniqueness"] < score["+ uniqueness + plate groups"]
    assert score["raw"] < score["+ assignment"] < score["+ assignment + plate groups"]


def test_the_recorded_votes_of_real_wells_are_what_ensemble_and_balancing_give() -> None:
    """One set of `benchmarks/real_votes.json` again: the author's seven submissions through the workflow's own code."""
    recorded = json.loads((ROOT / "benchmarks/results/real_votes.json").read_text())["all seven of the author"]
    screen = real_votes.read_screen(DATA)
    paths = [SUBMISSIONS / file for file in real_votes.VOTES["all seven of the author"]]
    few = [("none", False), ("assignment", True), ("none", True)]
    found = real_votes.measured(paths, screen, DATA, few)
    by_method = {(rung["method"], rung["plate_groups"]): rung["correct"] for rung in recorded["rungs"]}
    again = {(rung["method"], rung["plate_groups"]): rung["correct"] for rung in found["rungs"]}
    assert again["none", False] == by_method["none", False] and again["none", True] == by_method["none", True]
    assert (
        abs(again["assignment", True] - by_method["assignment", True]) <= 50
    )  # equal votes are parted by the last bit
    assert by_method["none", False] < by_method["none", True] < by_method["assignment", True]
    rotations = found["rotations"]
    assert rotations == recorded["rotations"]
    assert (rotations["of"], rotations["used"], rotations["used_and_wrong"]) == (18, 17, [])
    assert rotations["refused"] == ["U2OS-04"]  # far brighter than the rest


def test_the_two_steps_of_the_capstone_reach_what_is_known_of_them() -> None:
    recorded = json.loads((ROOT / "benchmarks/results/real_votes.json").read_text())
    raw = {name: one["rungs"][0] for name, one in recorded.items()}
    assert all(rung["method"] == "none" and not rung["plate_groups"] for rung in raw.values())
    assert round(raw["first step"]["accuracy"], 4) == 0.1170 and round(raw["second step"]["accuracy"], 4) == 0.1355
    assert {one["wells"] for one in recorded.values()} == {8853}
