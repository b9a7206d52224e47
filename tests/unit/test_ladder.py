"""Every rung is there, with and without plate groups, and its number is what a loop counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from cellsignal.assignment import balance
from cellsignal.ladder import ladder
from cellsignal.plate_groups import PlateGroups

GROUPS = PlateGroups(("1", "2"), {c: c % 2 for c in range(12)}, {})


@pytest.fixture
def screen() -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    rows = [(f"T{e}", str(j + 1), c) for e in range(6) for j in range(2) for c in range(12) if c % 2 == j]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "sirna"])
    wells["plate_id"] = wells["experiment"] + "_" + wells["plate"]
    wells["well_id"] = [f"w{i:03d}" for i in range(len(wells))]
    logits = rng.normal(size=(len(wells), 13)) + 1.5 * np.eye(13)[wells["sirna"]]
    answers = wells.loc[rng.random(len(wells)) < 0.7, ["well_id", "sirna"]].iloc[::-1]
    return softmax(logits, axis=1), wells.drop(columns="sirna"), answers


def test_every_rung(screen: tuple) -> None:
    p, wells, answers = screen
    table = ladder(p, wells, answers, GROUPS, treatments=range(12), references={"all zero": np.zeros(len(wells), int)})
    assert table["name"].tolist() == [
        "all zero", "raw", "+ plate groups", "+ uniqueness", "+ iterative", "+ assignment",
        "+ uniqueness + plate groups", "+ iterative + plate groups", "+ assignment + plate groups",
    ]  # fmt: skip
    truth = dict(zip(answers["well_id"], answers["sirna"], strict=True))
    for row in table.iloc[1:].itertuples():
        groups = GROUPS if row.plate_groups else None
        chosen = balance(p, wells, row.method, groups, treatments=range(12)).assigned
        right = sum(truth.get(w, -1) == c for w, c in zip(wells["well_id"], chosen, strict=True))
        assert (row.correct, row.wells) == (right, len(answers))
        assert row.accuracy == right / len(answers)
    score = table.set_index("name")["accuracy"]
    assert score["raw"] < score["+ uniqueness"] < score["+ assignment + plate groups"]


def test_without_groups_and_without_the_rule(screen: tuple) -> None:
    p, wells, answers = screen
    assert ladder(p, wells, answers)["plate_groups"].sum() == 0
    train = pd.DataFrame({"experiment": ["A", "A"], "sirna": [3, 3]})
    assert ladder(p, wells, answers, train_wells=train)["name"].tolist() == ["raw"]
    assert ladder(p[:, :4], wells, answers)["name"].tolist() == ["raw"]  # 6 wells on a plate, 4 classes


def test_no_answers(screen: tuple) -> None:
    p, wells, answers = screen
    table = ladder(p, wells, answers.iloc[:0], GROUPS)
    assert table["accuracy"].isna().all() and (table["wells"] == 0).all()
