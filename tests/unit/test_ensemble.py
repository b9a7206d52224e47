"""Well probabilities are the mean softmax over classes, and a train well is judged out of fold only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.ensemble import (
    PredictionFile,
    add_unseen,
    ensemble,
    read_probabilities,
    write_probabilities,
)
from cellsignal.errors import BadInput
from cellsignal.predictions import read_predictions, write_predictions

CLASSES = 7
TEST = ["T_1_B03_1", "T_1_B03_2", "T_1_B04_1"]  # the second well has lost a site
TRAIN = {0: ["A_1_B03_1", "A_1_B03_2"], 1: ["B_1_B03_1", "B_1_B03_2"]}  # fold → sites it held out
SITES = pd.DataFrame({"site_id": TEST + TRAIN[0] + TRAIN[1]})
SITES["well_id"] = SITES["site_id"].str.rsplit("_", n=1).str[0]


@pytest.fixture
def files(tmp_path: Path) -> list[PredictionFile]:
    rng = np.random.default_rng(0)
    made = []
    for model in ("wide", "narrow"):
        for fold, held_out in TRAIN.items():
            sites = TEST + held_out
            path = tmp_path / f"{model}{fold}.h5"
            roles = ["test"] * len(TEST) + ["out_of_fold"] * len(held_out)
            write_predictions(
                path, sites, rng.normal(0, 3, (len(sites), CLASSES)), rng.normal(size=(len(sites), 2)), roles
            )
            made.append(PredictionFile(model, fold, path))
    return made


def by_loop(files: list[PredictionFile], well: str) -> np.ndarray:
    rows = []
    for file in files:
        predictions = read_predictions(file.path)
        for site, logits in zip(predictions.site_id, predictions.logits.astype(float), strict=True):
            if site.startswith(well + "_"):
                rows.append([np.exp(v) / sum(np.exp(w) for w in logits) for v in logits])
    return np.mean(rows, axis=0)


def test_mean_over_sites_models_and_folds(files: list[PredictionFile]) -> None:
    wells = ensemble(files, SITES)
    assert wells.well_id.tolist() == ["A_1_B03", "B_1_B03", "T_1_B03", "T_1_B04"]
    assert wells.role.tolist() == ["out_of_fold", "out_of_fold", "test", "test"]
    assert wells.probability.dtype == np.float32
    for well, row in zip(wells.well_id, wells.probability, strict=True):
        np.testing.assert_allclose(row, by_loop(files, well), rtol=1e-6)
    np.testing.assert_allclose(wells.probability.sum(axis=1), 1, rtol=1e-6)


def test_train_wells_only_by_the_fold_that_held_them_out(files: list[PredictionFile]) -> None:
    expected = by_loop([file for file in files if file.fold == 0], "A_1_B03")
    np.testing.assert_allclose(ensemble(files, SITES).of_wells(["A_1_B03"])[0], expected, rtol=1e-6)


def test_order_of_files_changes_no_bit(files: list[PredictionFile]) -> None:
    one, other = ensemble(files, SITES), ensemble(files[::-1], SITES)
    np.testing.assert_array_equal(one.probability, other.probability)


def test_a_well_that_two_folds_hold_out_is_voted_on_by_both(files: list[PredictionFile], tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    sites = TRAIN[0]
    path = tmp_path / "wide2.h5"
    write_predictions(path, sites, random.normal(0, 3, (2, CLASSES)), np.zeros((2, 2)), ["out_of_fold"] * 2)
    more = [*files, PredictionFile("wide", 2, path)]
    voters = [file for file in more if file.fold in (0, 2)]
    np.testing.assert_allclose(ensemble(more, SITES).of_wells(["A_1_B03"])[0], by_loop(voters, "A_1_B03"), rtol=1e-6)


def test_a_file_without_sites_changes_nothing(files: list[PredictionFile], tmp_path: Path) -> None:
    """A fold that holds out none of a cell type, which has no test wells either."""
    write_predictions(tmp_path / "none.h5", [], np.zeros((0, CLASSES)), np.zeros((0, 2)), [])
    wells = ensemble([*files, PredictionFile("wide", 2, tmp_path / "none.h5")], SITES)
    np.testing.assert_array_equal(wells.probability, ensemble(files, SITES).probability)


def test_a_site_that_one_model_and_fold_predict_twice_is_an_error(files: list[PredictionFile]) -> None:
    with pytest.raises(BadInput, match=r"predicted twice by model wide, fold 0: A_1_B03_1"):
        ensemble([*files, files[0]], SITES)


def test_unknown_sites_and_other_class_counts_are_told_together(files: list[PredictionFile], tmp_path: Path) -> None:
    write_predictions(tmp_path / "z.h5", ["X_1_B02_1"], np.zeros((1, CLASSES)), np.zeros((1, 2)), ["test"])
    write_predictions(tmp_path / "y.h5", TEST[:1], np.zeros((1, 3)), np.zeros((1, 2)), ["test"])
    odd = [PredictionFile("z", 0, tmp_path / "z.h5"), PredictionFile("y", 0, tmp_path / "y.h5")]
    with pytest.raises(BadInput) as caught:
        ensemble([*files, *odd], SITES)
    assert "site table lacks: X_1_B02_1" in str(caught.value)
    assert "y.h5: 3 classes; the others have 7" in str(caught.value)


def test_wells_without_images_get_a_uniform_row(files: list[PredictionFile]) -> None:
    wells = add_unseen(ensemble(files, SITES), ["T_1_B03", "T_1_B03b"])
    assert wells.well_id.tolist() == sorted(wells.well_id.tolist())
    unseen = wells.of_role("unseen")
    assert unseen.well_id.tolist() == ["T_1_B03b"]
    np.testing.assert_allclose(unseen.probability, 1 / CLASSES)
    assert len(wells.of_role("test", "out_of_fold").well_id) == 4


def test_round_trip_and_equal_bytes(files: list[PredictionFile], tmp_path: Path) -> None:
    wells = ensemble(files, SITES)
    write_probabilities(tmp_path / "1.h5", wells)
    found = read_probabilities(tmp_path / "1.h5")
    np.testing.assert_array_equal(found.probability, wells.probability)
    assert found.well_id.tolist() == wells.well_id.tolist()
    assert found.role.tolist() == wells.role.tolist()
    write_probabilities(tmp_path / "2.h5", found)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_a_missing_well_is_named(files: list[PredictionFile]) -> None:
    with pytest.raises(BadInput, match="no probabilities for 1 wells: Q_1_B02"):
        ensemble(files, SITES).of_wells(["Q_1_B02"])
