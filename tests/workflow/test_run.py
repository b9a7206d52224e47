"""What a run leaves behind: a submission, its score, figures, and a receipt for every artefact."""

import csv
import json
import socket

import h5py
import numpy as np
import pandas as pd
import pytest
from projects import Project

from cellsignal.embedding import plate_distances, well_vectors
from cellsignal.predictions import read_embedding
from cellsignal.sites import well_table

SCREEN, RECIPE = "results/tiny_screen", "results/tiny_screen/tiny"
FIGURES = [
    "accuracy_breakdown.svg",
    "augmentation_examples.png",
    "averaging.svg",
    "channel_attention.svg",
    "channel_variance.svg",
    "class_examples.png",
    "confusion.svg",
    "control_certainty.svg",
    "embed_tsne.png",
    "grad_cam.png",
    "image_means.svg",
    "kernel_bands.png",
    "layer_table.svg",
    "nearest_neighbours.png",
    "normalization_effect.svg",
    "plate_effect.svg",
    "plate_layout.svg",
    "plate_map.svg",
    "samples_per_class.svg",
    "score_ladder.svg",
    "site_images.png",
    "template_map.png",
    "training_curves.svg",
    "tsne_classes.png",
]
RECORDS = {"logs", "benchmarks", "stages", ".snakemake_timestamp"}  # what stands beside artefacts


def test_every_artefact_is_in_the_receipt_that_lies_beside_it_or_its_siblings(finished: Project) -> None:
    results = finished.folder / "results"
    receipts = finished.results("*.receipt.json")
    listed = {name for receipt in receipts for name in json.loads(receipt.read_text())["outputs"]}
    found = {path.relative_to(results).as_posix() for path in finished.results() if path not in receipts}
    artefacts = {name for name in found if not set(name.split("/")) & RECORDS}
    assert artefacts - listed == {"tiny_screen/tiny/audit.json"}  # the verdict on the receipts has none
    assert listed <= found


def test_receipts_name_no_machine_folder_or_time(finished: Project) -> None:
    receipts = finished.results("*.receipt.json")
    jobs = finished.planned("--forceall")
    assert len(receipts) == sum(jobs.values()) - jobs["audit_verdict"] - jobs["all"]
    for receipt in receipts:
        text = receipt.read_text()
        assert str(finished.folder) not in text and socket.gethostname() not in text
        assert not {"host", "started", "seconds"} & set(json.loads(text))


def test_every_job_left_a_log_and_a_run_record(finished: Project) -> None:
    records = finished.results("*.run.json")
    assert len(records) == len(finished.results("*.receipt.json"))
    assert all(record.with_name(record.name.replace(".run.json", ".log")).is_file() for record in records)
    measured = [json.loads(record.read_text()) for record in records]
    assert all(one["seconds"] > 0 for one in measured)
    held = {
        rule: max(one["peak_memory_mb"] for one in measured if one["rule"] == rule)
        for rule in ("submission", "predict")
    }
    assert 30 < held["submission"] < held["predict"] < 4000  # MB: pandas alone; PyTorch, timm and a tiny network
    assert len(finished.results("benchmarks/**/*.tsv")) == len(records) + 1  # audit_verdict has one, too


def test_the_submission_has_one_row_per_test_treatment_well_sorted(finished: Project) -> None:
    metadata = pd.concat(pd.read_csv(path) for path in finished.results("raw/metadata/*.csv"))
    test = metadata[(metadata["dataset"] == "test") & (metadata["well_type"] == "treatment")]
    with open(finished.folder / RECIPE / "submission.csv", newline="") as handle:
        header, *rows = csv.reader(handle)
    assert header == ["id_code", "sirna"]
    assert [well for well, _ in rows] == sorted(set(test["well_id"])) and len(rows) == 8
    assert sorted(int(sirna) for _, sirna in rows) <= list(range(8))


def test_the_scores_are_those_of_the_submission(finished: Project) -> None:
    scores = json.loads((finished.folder / RECIPE / "scores.json").read_text())
    submission = pd.read_csv(finished.folder / RECIPE / "submission.csv").set_index("id_code")["sirna"]
    metadata = pd.concat(pd.read_csv(path) for path in finished.results("raw/metadata/*.csv"))
    truth = metadata.drop_duplicates("well_id").set_index("well_id")["sirna_id"].loc[submission.index]
    assert scores["test"]["wells"] == 8
    assert scores["test"]["accuracy"] == (submission == truth).mean()
    assert scores["out_of_fold"]["wells"] == 16  # both train experiments, each held out once
    names = [rung["name"] for rung in scores["ladder"]["rungs"]]
    assert names[:3] == ["baseline", "ensemble, round 0", "ensemble, round 1"]


def test_the_audit_passed(finished: Project) -> None:
    verdicts = json.loads((finished.folder / RECIPE / "audit.json").read_text())
    assert [verdict["artefact"] for verdict in verdicts] == [f"{RECIPE}/submission.csv", f"{RECIPE}/scores.json"]
    for verdict in verdicts:
        assert verdict["passed"] and not (verdict["intact"] or verdict["current"] or verdict["clean"])
        assert verdict["checked"]["raw files"] == 12 * (5 * 2 * 6 + 1)  # plates × (wells × sites × channels + table)
        assert verdict["priors"]["method"] == "assignment" and verdict["missing_sites"] == []


def test_every_figure_is_drawn(finished: Project) -> None:
    figures = {path.name: path.read_bytes() for path in finished.results("figures/*.[ps][nv]g")}
    assert sorted(figures) == FIGURES
    for name, content in figures.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml"), name
        assert len(content) > 5000, name


def test_averaging_gives_every_model_its_own_accuracy(finished: Project) -> None:
    """Names and files come by different ways; each site's accuracy is computed here from the file of that name."""
    figure = pd.read_csv(finished.folder / RECIPE / "figures/averaging.csv")
    of_sites = figure[figure["unit"] == "site"].set_index("name")["accuracy"]
    truth = pd.read_parquet(finished.folder / SCREEN / "sites.parquet").set_index("site_id")["sirna"]
    names = {
        "baseline (reference)": ("baseline", 0),
        "byobnet, round 0": ("byobnet", 0),
        "byobnet, round 1": ("byobnet", 1),
    }
    assert set(of_sites.index) == set(names)
    for name, (model, number) in names.items():
        right = []
        for path in (finished.folder / RECIPE / "predictions" / model).glob(f"fold*/*/round{number}.h5"):
            with h5py.File(path) as file:
                held_out = file["role"][()] == b"out_of_fold"
                called = file["logits"][()][held_out][:, :8].argmax(axis=1)  # treatments only; they come first
                right += (called == truth.loc[file["site_id"][()][held_out].astype(str)]).tolist()
        assert right and of_sites[name] == pytest.approx(sum(right) / len(right), abs=1e-5)
    assert len(set(of_sites)) > 1  # else nothing is told apart


def test_plate_effect_gives_every_model_its_own_distances(finished: Project) -> None:
    """Each model's rows are those of the embeddings in its own folder."""
    folder = finished.folder / RECIPE
    figure = pd.read_csv(folder / "figures/plate_effect.csv")
    sites = pd.read_parquet(finished.folder / SCREEN / "sites.parquet")
    wells = well_table(sites).set_index("well_id", drop=False)
    receipt = json.loads((folder / "figures/plate_effect.svg.receipt.json").read_text())
    files = [finished.folder / "results" / name for name in receipt["reads"] if "/predictions/" in name]
    assert len(files) == figure["model"].nunique() > 1
    for path in files:
        model = path.relative_to(folder / "predictions").parts[0]
        found = read_embedding(path)
        seen = np.isin(found.role, ["out_of_fold", "control"])
        names, vectors = well_vectors(
            found.embedding[seen], sites.set_index("site_id").loc[found.site_id[seen], "well_id"]
        )
        own = figure[figure["model"].str.startswith(f"{model}, ")]["distance"].to_numpy()
        assert own == pytest.approx(plate_distances(vectors, wells.loc[names])["distance"].to_numpy(), abs=1e-5)


def test_nothing_half_written_and_no_resume_state_is_left(finished: Project) -> None:
    assert not list(finished.folder.rglob("*.part*"))
    assert finished.results("state/**/*") == []


def test_answers_are_nowhere_but_in_their_table(finished: Project) -> None:
    sites = pd.read_parquet(finished.folder / SCREEN / "sites.parquet")
    hidden = sites[(sites["dataset"] == "test") & (sites["well_type"] == "treatment")]
    answers = pd.read_parquet(finished.folder / SCREEN / "answers.parquet")
    assert set(hidden["sirna"]) == {-1} and len(answers) == 8
    readers = {
        json.loads(receipt.read_text())["rule"]
        for receipt in finished.results("*.receipt.json")
        if "tiny_screen/answers.parquet" in json.loads(receipt.read_text())["reads"]
    }
    assert readers == {"score"}
