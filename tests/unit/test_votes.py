"""What averaging is worth: accuracies of sites, wells and ensembles, with intervals over experiments."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.ensemble import PredictionFile, ensemble
from cellsignal.intervals import resampled
from cellsignal.predictions import write_predictions
from cellsignal.votes import all_votes

CLASSES = pd.DataFrame({"sirna": range(4), "name": list("abcd"), "well_type": ["treatment"] * 3 + ["positive_control"]})


@pytest.fixture
def sites() -> pd.DataFrame:
    """Six experiments of two plates with ten treatment wells of two sites each."""
    rows = [
        (f"E{e}_{p}_W{w}_{s}", f"E{e}_{p}_W{w}", f"E{e}", f"E{e}_{p}", w % 3)
        for e in range(6) for p in range(2) for w in range(10) for s in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["site_id", "well_id", "experiment", "plate_id", "sirna"])


def test_votes_are_those_of_a_loop_over_out_of_fold_sites_and_wells(tmp_path: Path, sites: pd.DataFrame) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(len(sites), 4)) + 1.5 * np.eye(4)[sites["sirna"]]
    logits[:, 3] += 3  # a control class, which no treatment well holds
    files = []
    for fold in (0, 1):  # of even and of odd experiments; and a test site, which does not count
        rows = sites["experiment"].str[1:].astype(int).to_numpy() % 2 == fold
        role = np.where(sites.loc[rows, "well_id"] == "E0_0_W0", "test", "out_of_fold")
        files.append(PredictionFile("m", fold, tmp_path / f"{fold}.h5"))
        write_predictions(files[-1].path, sites.loc[rows, "site_id"], logits[rows], np.zeros((rows.sum(), 1)), role)
    table = all_votes({"m, round 0": files}, {"all": ensemble(files, sites)}, sites, CLASSES).set_index("unit")
    counted = (sites["well_id"] != "E0_0_W0").to_numpy()
    right = (logits[:, :3].argmax(1) == sites["sirna"])[counted]
    found = table.loc["site"]
    assert (found["accuracy"], found["count"]) == (right.mean(), counted.sum())
    assert (found["low"], found["high"]) == resampled(right, sites.loc[counted, "experiment"])
    assert (found["groups"], found["resampled"]) == (6, "experiment")
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mean = pd.DataFrame(share[counted]).groupby(sites.loc[counted, "well_id"].to_numpy()).mean()
    wells = sites[counted].drop_duplicates("well_id").set_index("well_id").loc[mean.index]
    right = mean[[0, 1, 2]].to_numpy().argmax(1) == wells["sirna"].to_numpy()
    for unit in ("well", "ensemble"):
        assert (table.loc[unit, "accuracy"], table.loc[unit, "count"]) == (right.mean(), 119)
        assert tuple(table.loc[unit, ["low", "high"]]) == resampled(right, wells["experiment"])


def test_a_model_without_out_of_fold_wells_has_no_accuracy(tmp_path: Path, sites: pd.DataFrame) -> None:
    path = tmp_path / "m.h5"
    write_predictions(path, sites["site_id"], np.zeros((len(sites), 4)), np.zeros((len(sites), 1)), ["test"] * 240)
    files = [PredictionFile("m", 0, path)]
    table = all_votes({"m": files}, {"all": ensemble(files, sites)}, sites, CLASSES)
    assert table["count"].tolist() == [0, 0, 0] and table["accuracy"].isna().all()
