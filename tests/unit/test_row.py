"""The story of a row agrees with the artefacts, each number computed here in another way."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table
from small_project import CELL_TYPE, RECIPE, SCREEN, Project

from cellsignal.errors import BadInput
from cellsignal.files import read_json, sha256_file, write_json
from cellsignal.provenance.finished import find_results
from cellsignal.provenance.receipts import receipt_path
from cellsignal.provenance.row import trace_row
from cellsignal.provenance.row_text import row_text
from cellsignal.sites import read_table

WELL = "C_2_B03"  # gene 5


def folder(project: Project) -> Path:
    return project.results / RECIPE


def shown(story: dict[str, Any]) -> str:
    """The story as it is printed."""
    console = Console(width=200)
    with console.capture() as printed:
        for line in row_text(story):
            console.print(line)
    return printed.get()


def softmax_of(project: Project, model: str, fold: int, number: int, site: str) -> np.ndarray:
    """Class probabilities of a site in a prediction file."""
    with h5py.File(folder(project) / f"predictions/{model}/fold{fold}/{CELL_TYPE}/round{number}.h5") as file:
        place = [name.decode() for name in file["site_id"][()]].index(site)
        exponents = np.exp(file["logits"][place].astype(float))
    return exponents / exponents.sum()


def test_a_test_row_has_every_vote_of_every_round(finished: Project) -> None:
    story = trace_row(WELL, folder(finished))
    votes = {(vote["model"], vote["fold"], vote["round"]): vote for vote in story["votes"]}
    assert sorted(votes) == [("deep", f, r) for f in (0, 1) for r in (0, 1)] + [("plain", f, 0) for f in (0, 1)]
    for (model, fold, number), vote in votes.items():
        expected = softmax_of(finished, model, fold, number, f"{WELL}_1")
        assert vote["probability_of_final"] == pytest.approx(expected[5], rel=1e-6)
        assert vote["probability"] == pytest.approx(expected[:6].max(), rel=1e-6)
        assert (vote["sites"], vote["role"], vote["views"]) == (1, "test", 4)
        assert vote["reference"] == (model == "plain")
        assert vote["normalization"] == ("experiment" if model == "plain" else "plate")
        assert vote["weights"]["sha256"] == sha256_file(finished.results / vote["weights"]["path"])
        assert vote["predictions"]["sha256"] == sha256_file(finished.results / vote["predictions"]["path"])


def test_the_steps_follow_the_ladder_from_votes_to_submission(finished: Project) -> None:
    steps = trace_row(WELL, folder(finished))["steps"]
    raw = [np.mean([softmax_of(finished, "deep", f, r, f"{WELL}_1") for f in (0, 1)], axis=0) for r in (0, 1)]
    temperature = read_json(folder(finished) / "priors.json")["temperature"]
    calibrated = raw[1] ** (1 / temperature) / (raw[1] ** (1 / temperature)).sum()
    in_group = calibrated[[3, 4, 5]] / calibrated[[3, 4, 5]].sum()  # plate C_2 holds classes 3, 4 and 5
    assert [step["step"] for step in steps] == [
        "reference plain", "ensemble, round 0", "ensemble, round 1", f"temperature {temperature:g}",
        "plate groups, rotation 0", "balancing: assignment",
    ]  # fmt: skip
    reference = np.mean([softmax_of(finished, "plain", f, 0, f"{WELL}_1") for f in (0, 1)], axis=0)
    for step, expected in zip(steps, [reference, raw[0], raw[1], calibrated], strict=False):
        assert step["sirna"] == expected[:6].argmax()
        assert step["probability"] == pytest.approx(expected[:6].max(), rel=1e-4)
        assert step["probability_of_final"] == pytest.approx(expected[5], rel=1e-4)
    assert steps[4]["probability"] == steps[4]["probability_of_final"] == pytest.approx(in_group.max(), rel=1e-4)
    assigned = read_table(folder(finished) / "assignment.parquet").set_index("well_id").loc[WELL]
    assert (steps[5]["sirna"], steps[4]["class"]) == (assigned["sirna"], "gene5")
    assert steps[5]["probability"] == pytest.approx(assigned["probability"])


def test_what_was_submitted_and_what_is_true(finished: Project) -> None:
    story = trace_row(WELL, folder(finished))
    rows = pd.read_csv(finished.submission).set_index("id_code")["sirna"]
    assert story["submission"] == {"path": f"{RECIPE}/submission.csv", "sirna": rows[WELL]}
    assert story["truth"] == {"class": "gene5", "sirna": 5, "from": "the answers, by score", "outcome": "correct"}


def test_without_a_score_the_truth_of_a_test_well_stays_unknown(project: Project) -> None:
    receipt_path(folder(project) / "scores.json").unlink()
    story = trace_row(WELL, folder(project))
    assert story["truth"] is None and story["submission"]
    assert {vote["model"] for vote in story["votes"]} == {"deep"}  # references are behind the scores only
    assert "truth not known" in "\n".join(line for line in row_text(story) if isinstance(line, str))


def test_the_statistics_are_the_rows_of_the_tables(finished: Project) -> None:
    found = trace_row(WELL, folder(finished))["statistics"]
    assert [(row["scheme"], row["group"], row["channel"]) for row in found] == [
        ("experiment", "C", "nuclei"), ("experiment", "C", "actin"),
        ("plate", "C_2", "nuclei"), ("plate", "C_2", "actin"),
    ]  # fmt: skip
    table = read_table(finished.results / SCREEN / "normalization/plate.parquet")
    expected = table[(table["group"] == "C_2") & (table["channel"] == 1)].iloc[0]
    assert found[3] == {
        "scheme": "plate", "group": "C_2", "channel": "actin", "mean": expected["mean"], "std": expected["std"],
        "pixels": expected["pixels"],
    }  # fmt: skip


def test_the_priors_are_those_of_its_experiment(finished: Project) -> None:
    priors = trace_row(WELL, folder(finished))["priors"]
    recorded = read_json(folder(finished) / "priors.json")
    assert priors["rotation"] == recorded["rotations"]["C"]
    assert (priors["method"], priors["temperature"]) == ("assignment", recorded["temperature"])


def test_the_pseudo_label_it_got_and_the_company_it_kept(finished: Project) -> None:
    (given,) = trace_row(WELL, folder(finished))["pseudo_labels"]
    labels = read_table(folder(finished) / "rounds/0/pseudo_labels.parquet").set_index("well_id")
    assert given["own"]["sirna"] == labels.loc[WELL, "sirna"] and given["own"]["weight"] == 0.5
    assert given["own"]["probability"] == pytest.approx(labels.loc[WELL, "probability"])
    assert (given["round"], given["trainings"], given["itself"]) == (0, 2, True)
    assert given["wells"] == sorted(labels.index) and len(labels) == 6
    assert given["wells_of_class"] == list(labels.index[labels["sirna"] == 5])
    assert given["sha256"] == sha256_file(finished.results / given["path"])


def test_the_images_are_named_with_the_hashes_that_were_packed(finished: Project) -> None:
    images = trace_row(WELL, folder(finished))["images"]
    assert [image["image"] for image in images] == ["C/Plate2/B03_s1_w1.png", "C/Plate2/B03_s1_w2.png"]
    for image in images:
        assert image["site_id"] == f"{WELL}_1"
        assert image["sha256"] == sha256_file(finished.raw / image["image"]) and image["left_out_for"] is None
    assert "site left out, for the image" not in shown(trace_row(WELL, folder(finished)))


def test_a_site_that_was_left_out_says_for_what(project: Project) -> None:
    problem = {"site_id": f"{WELL}_1", "image": "C/Plate2/B03_s1_w2.png", "problem": "is empty (0 bytes)"}
    write_json(project.results / SCREEN / "plates/C_2.problems.json", [problem])
    story = trace_row(WELL, folder(project))
    assert [image["left_out_for"] for image in story["images"]] == ["another image of its site", "is empty (0 bytes)"]
    assert "site left out, for the image" in shown(story) and "is empty (0 bytes)" in shown(story)


def test_a_train_well_is_told_by_the_models_that_did_not_see_it(finished: Project) -> None:
    story = trace_row("B_1_B02", folder(finished))
    assert {(vote["model"], vote["fold"], vote["role"]) for vote in story["votes"]} == {
        ("deep", 1, "out_of_fold"), ("plain", 1, "out_of_fold"),
    }  # fmt: skip
    assert story["role"] == "out_of_fold" and story["submission"] is None
    assert story["truth"] == {"class": "gene5", "sirna": 5, "from": "its label"}
    assert [step["step"].split()[0] for step in story["steps"]] == [
        "reference", "ensemble,", "ensemble,", "temperature",
    ]  # fmt: skip
    assert story["pseudo_labels"][0]["own"] is None and not story["pseudo_labels"][0]["itself"]
    assert "Priors of the layout: none on a well that is not submitted; temperature" in shown(story)


def test_without_the_predictions_it_says_which_are_not_there(project: Project) -> None:
    gone = folder(project) / f"predictions/deep/fold0/{CELL_TYPE}/round0.h5"
    gone.unlink()
    with pytest.raises(BadInput, match=r"predictions/deep/fold0/.*round0\.h5: not there"):
        trace_row(WELL, folder(project))


def test_class_shares_of_its_plate_are_the_last_step_of_an_out_of_fold_well(tmp_path: Path) -> None:
    project = Project(tmp_path, "balance: {method: none, plate_groups: false, label_shift: 3.0}\n")
    project.run()
    scored = read_table(folder(project) / "wells.parquet").set_index("well_id").loc["B_1_B02"]
    *_, before, last = trace_row("B_1_B02", folder(project))["steps"]
    assert (last["step"], last["sirna"]) == ("temperature and class shares of the plate", scored["predicted"])
    assert last["probability"] == pytest.approx(scored["probability"])
    assert before["step"] == "ensemble, round 1" and before["probability"] != pytest.approx(last["probability"])
    assert "class shares of each plate from its own predictions, train's counting as 3 wells" in str(project.audit())


def test_a_control_well_may_be_a_control(finished: Project) -> None:
    story = trace_row("A_1_B05", folder(finished))
    expected = softmax_of(finished, "deep", 0, 1, "A_1_B05_1")
    assert story["role"] == "control" and story["steps"][2]["sirna"] == expected.argmax()


def test_a_well_that_no_model_predicted_says_so(finished: Project) -> None:
    story = trace_row("C_1_B05", folder(finished))  # a control of the test experiment, trained on
    assert story["votes"] == [] and story["steps"] == [] and story["role"] is None
    assert "\nNo model predicted this well." in list(row_text(story))


def test_a_broken_receipt_is_told(project: Project) -> None:
    receipt = receipt_path(project.results / SCREEN / "plates/A_1.h5")
    receipt.write_text(receipt.read_text().replace("pack_plate", "pick_plate"))
    story = trace_row(WELL, folder(project))
    assert any("A_1.h5.receipt.json: differs from its own checksum" in problem for problem in story["broken_receipts"])
    assert any(str(line).startswith("BROKEN: ") for line in row_text(story))


def test_the_text_has_every_table(finished: Project) -> None:
    lines = list(row_text(trace_row(WELL, folder(finished))))
    assert sum(isinstance(line, Table) for line in lines) == 4
    text = "\n".join(line for line in lines if isinstance(line, str))
    assert f"6 wells of its cell type, 1 of them with its final class ({WELL}), trained 2 fine-tunes of round 1" in text
    assert "plate groups used in C: rotation 0 leads by" in text
    assert "Priors: balancing by assignment, a class at most once per experiment; temperature " in text
    assert "submitted as gene5; truth gene5, from the answers, by score (correct)" in text
    assert (
        f"Receipt {RECIPE}/submission.csv.receipt.json, SHA-256 {sha256_file(receipt_path(finished.submission))}"
        in text
    )


def test_an_unknown_well_and_a_folder_without_results_are_errors(finished: Project, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no well of the screen; the nearest are C_2_B0"):
        trace_row("C_2_B09", folder(finished))
    with pytest.raises(BadInput, match=r"no well of the screen$"):
        trace_row("???", folder(finished))
    with pytest.raises(BadInput, match="neither a submission nor scores"):
        trace_row(WELL, tmp_path)
    with pytest.raises(BadInput, match=r"0 recipes with a submission or scores \(none\)"):
        find_results(tmp_path)
    assert find_results(finished.results) == folder(finished)
