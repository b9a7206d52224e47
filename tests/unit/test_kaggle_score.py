"""Kaggle's numbers, to the digit."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.errors import BadInput
from cellsignal.kaggle_score import kaggle_score, truncated

DATA = os.environ.get("CELLSIGNAL_DATA", "")
PUBLIC = ["HEPG2-08", "HUVEC-17", "RPE-08", "U2OS-04"]
LEFT_OUT = ["HUVEC-18"]


@pytest.mark.parametrize(
    ("correct", "wells", "score"),
    [
        (14301, 14359, 0.99596),
        (14325, 14359, 0.99763),
        (2, 3, 0.66666),
        (0, 5, 0.0),
        (5, 5, 1.0),
        (29, 100, 0.29),
    ],
)
def test_truncated_not_rounded(correct: int, wells: int, score: float) -> None:
    assert truncated(correct, wells) == score


def test_the_published_scores_would_differ_if_rounded() -> None:
    assert round(2 / 3, 5) == 0.66667 != truncated(2, 3)
    assert math.isnan(truncated(0, 0))


@pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is not set: no real tables")
def test_splits_of_the_real_test_table() -> None:
    wells = pd.read_csv(Path(DATA) / "rxrx1-metadata" / "kaggle-original" / "test.csv")
    wells = wells.rename(columns={"id_code": "well_id"})
    answers = wells[["well_id"]].assign(sirna=np.arange(len(wells)) % 1108)
    private = ~wells["experiment"].isin(PUBLIC + LEFT_OUT)
    predicted = answers.copy()
    predicted.loc[np.flatnonzero(private)[: 14359 - 14301], "sirna"] = -1  # DeepNoise's number of errors
    table = kaggle_score(predicted, answers, wells, PUBLIC, LEFT_OUT).set_index("split")
    assert table["wells_in_split"].to_dict() == {"all": 19897, "public": 4431, "private": 14359}
    assert table.loc["private", "accuracy"] == 0.99596
    assert table.loc["public", "accuracy"] == 1.0


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    wells = pd.DataFrame({"well_id": ["a", "b", "c", "d"], "experiment": ["E1", "E1", "E2", "E3"]})
    return wells, pd.DataFrame({"well_id": ["d", "c", "a"], "sirna": [1, 2, 3]})


def test_only_known_wells_count(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    wells, answers = tables
    predicted = pd.DataFrame({"well_id": list("abcd"), "sirna": [3, 9, 0, 1]})
    table = kaggle_score(predicted, answers, wells, ["E1"], ["E3"]).set_index("split")
    assert table["correct"].to_dict() == {"all": 2, "public": 1, "private": 0}
    assert table["wells"].to_dict() == {"all": 3, "public": 1, "private": 1}
    assert kaggle_score(predicted, answers, wells)["split"].tolist() == ["all"]
    assert math.isnan(kaggle_score(predicted, answers.iloc[:0], wells)["accuracy"].iloc[0])


def test_all_problems_at_once(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    wells, answers = tables
    predicted = pd.DataFrame({"well_id": list("abc"), "sirna": 0})
    strange = pd.concat([answers, pd.DataFrame({"well_id": ["z"], "sirna": [0]})])
    with pytest.raises(BadInput) as caught:
        kaggle_score(predicted, strange, wells, ["E9"], ["E1"])
    text = str(caught.value)
    assert "score.public_experiments: E9 is no test experiment; these are E1, E2, E3" in text
    assert "1 wells are not in the test set, first z" in text
    assert "2 wells are not in the submission, first d" in text
