"""A rehearsal is the recipe at its true shape: what it changes is small, listed, and nothing else."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rehearsal_screen import CHANNELS, RINGS, draw_plate, read_tables, write_plate
from rehearsal_settings import changes, rehearsed
from rehearse import RECIPES, TEST_WELLS, check, clean, expected_jobs, files_of, mark, rules

from cellsignal.config.load import lay_over, read_config
from cellsignal.config.schema import Config
from cellsignal.files import write_json, write_text
from cellsignal.images import read_image

DATA = Path(os.environ.get("CELLSIGNAL_DATA", "unset"))
real = pytest.mark.skipif(not DATA.is_dir(), reason="CELLSIGNAL_DATA is not set: no real tables")

# What may differ; all else is the recipe's.
SMALL = (
    "results", "threads", "screen.name", "screen.kind", "screen.root", "screen.answers", "screen.image_size",
    ".backbone", ".backbone_options.", ".pretrained", ".epochs", "_epochs", ".steps", "batch_size",
    "checkpoint_minutes", "predict.views", "report.grad_cam_layer",
)  # fmt: skip


def both(name: str, folder: Path) -> tuple[Config, Config]:
    """A recipe, and its rehearsal as Snakemake reads it."""
    whole = read_config(files_of(name))
    values = whole.model_dump(mode="json")
    lay_over(values, rehearsed(whole, folder))
    return whole, Config.model_validate(values)


@pytest.mark.parametrize("name", RECIPES)
def test_only_images_networks_epochs_batches_and_threads_are_small(name: str, tmp_path: Path) -> None:
    whole, small = both(name, tmp_path)
    changed = changes(whole, small)
    assert [key for key in changed if not any(part in f"{key}." or key.endswith(part) for part in SMALL)] == []
    assert {"train.epochs", "screen.image_size", "models.0.backbone_options.growth_rate"} & set(changed)
    assert small.folds == whole.folds and small.pseudo_labels.rounds == whole.pseudo_labels.rounds
    assert [(m.name, m.head, m.ensemble) for m in small.models] == [(m.name, m.head, m.ensemble) for m in whole.models]
    assert not any(model.pretrained for model in small.models)


def test_a_list_of_changes_misses_none() -> None:
    config = read_config(files_of("config"))
    model = config.models[0].model_copy(update={"margin": 0.7, "backbone_options": {"depth": 1}})
    other = config.model_copy(update={"seed": 5, "models": [model, *config.models[1:]]})
    assert changes(config, other) == {
        "seed": [0, 5],
        "models.0.margin": [0.1, 0.7],
        "models.0.backbone_options.depth": [None, 1],
    }


def test_jobs_are_counted_from_the_recipes_numbers() -> None:
    """Against the counts that profiles/README.md tells of config.yaml: 10 trainings, 120 fine-tunes and predictions."""
    config = read_config(files_of("config"))
    folds, rounds = config.folds.count, config.pseudo_labels.rounds + 1
    jobs = expected_jobs(config)
    assert (jobs["train_model"], jobs["pseudo_labels"]) == (2 * folds, rounds - 1)
    assert jobs["finetune_cell_type"] == jobs["predict"] == 2 * folds * 4 * rounds
    capstone = expected_jobs(read_config(files_of("capstone")))  # three models, of which one votes, and no rounds
    assert capstone["train_model"] == 15 and capstone["finetune_cell_type"] == 20 and capstone["predict"] == 60


def test_a_folder_of_something_else_is_neither_used_nor_removed(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("x")
    for refused in (mark, clean):
        with pytest.raises(SystemExit, match="rehearsal"):
            refused(tmp_path)
    assert kept.exists()
    mark(tmp_path / "new")
    mark(tmp_path / "new")  # again: its own
    clean(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@real
def test_the_tables_are_rxrx1s_and_every_experiment_keeps_the_layout() -> None:
    tables = read_tables(DATA)
    drawn = tables.drawn
    assert len(drawn) * 2 == 125_510 and drawn.groupby(["experiment", "plate"]).ngroups == 204
    treatments = drawn[drawn["sirna"] < 1108]
    assert not treatments.duplicated(["experiment", "sirna"]).any()
    groups = pd.read_csv(DATA / "rxrx1-metadata/derived/plate_groups.csv").set_index("class")
    layout = pd.read_csv(DATA / "rxrx1-metadata/derived/exp_to_group.csv").set_index("experiment")["assignment"]
    for one in treatments.sample(2000, random_state=0).itertuples():
        assert groups.loc[one.sirna, f"p{layout[one.experiment]}"] == one.plate
    name = drawn["experiment"] + "_" + drawn["plate"].astype(str) + "_" + drawn["well"]
    of = pd.Series(drawn["sirna"].to_numpy(), name)
    assert (of[tables.answers["id_code"]].to_numpy() == tables.answers["sirna"].to_numpy()).all()
    assert len(tables.answers) == 8_853


@real
def test_a_smaller_screen_has_all_experiments_and_classes_without_gaps() -> None:
    tables = read_tables(DATA, classes_per_group=3)
    drawn = tables.drawn
    assert drawn["experiment"].nunique() == 51 and drawn.groupby(["experiment", "plate"]).ngroups == 204
    assert sorted(drawn["sirna"].unique()) == list(range(4 * 3 + 4 + 1))
    assert (drawn[drawn["sirna"] < 12].groupby(["experiment", "plate"]).size() <= 3).all()
    assert set(tables.kaggle["test"].columns) == {"id_code", "experiment", "plate", "well"}  # no class in it


def wells(experiment: str, plate: int, classes: list[int]) -> pd.DataFrame:
    names = [f"B{number:02}" for number in range(2, 2 + len(classes))]
    of_plate: dict[str, Any] = {"dataset": "train", "experiment": experiment, "plate": plate}
    return pd.DataFrame({**of_plate, "well": names, "sirna": classes})


def test_an_image_shows_its_class_whatever_the_plate() -> None:
    """By the nearest class in the means of rings, on a plate of another experiment, each normalized by itself."""
    classes = list(range(40))
    seen, asked = (features(draw_plate(wells(e, 1, classes), 16, 40)) for e in ("HUVEC-01", "RPE-02"))
    distance = ((asked[:, None] - seen[None]) ** 2).sum(-1)
    right = (distance.argmin(1) == np.arange(40)).mean()
    assert right > 0.5  # chance: 0.025


def features(pixels: np.ndarray) -> np.ndarray:
    """Means of four concentric rings of each channel (wells, 24), standardized over the plate."""
    height = pixels.shape[-1]
    outer = np.maximum.outer(*[np.abs(np.arange(height) - (height - 1) / 2)] * 2)
    rings = [pixels[..., (outer // (height / 2 / RINGS)) == ring].mean(-1) for ring in range(RINGS)]
    table = np.stack(rings, -1).mean(1).reshape(len(pixels), CHANNELS * RINGS)
    standardized: np.ndarray = (table - table.mean(0)) / table.std(0)
    return standardized


def test_a_plate_is_drawn_and_written_the_same_again(tmp_path: Path) -> None:
    plate = wells("U2OS-01", 3, [4, 1, 7])
    pixels = draw_plate(plate, 16, 9)
    assert pixels.shape == (3, 2, 6, 16, 16) and 10 < pixels.mean() < 200
    assert write_plate(tmp_path, plate, 16, 9) == 36
    file = tmp_path / "train/U2OS-01/Plate3/B03_s2_w5.png"
    read, _ = read_image(file, 16, 1)
    np.testing.assert_array_equal(read[0], pixels[1, 1, 4])
    before = file.stat().st_mtime_ns
    assert write_plate(tmp_path, plate, 16, 9) == 36 and file.stat().st_mtime_ns == before


def leave(results: Path, rule: str, unit: str, held: int | None, asked: int, gpu: int = 0) -> None:
    """What a job leaves: a benchmark, and, unless it is the audit, a run record."""
    columns = {"s": 90.0, "max_rss": 700.4, "rule_name": rule, "resources": str({"mem_mb": asked, "gpu": gpu})}
    path = results / "own/benchmarks" / f"{rule}/{unit}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([columns]).to_csv(path, sep="\t", index=False)
    if held is not None:
        write_json(results / f"own/logs/{rule}/{unit}.run.json", {"rule": rule, "seconds": 60, "peak_memory_mb": held})


def test_what_rules_held_stands_beside_what_they_asked_for(tmp_path: Path) -> None:
    """On a cluster a job is two Snakemakes more, 500 MB; a GPU's 4,000 MB cannot be seen without one."""
    leave(tmp_path, "predict", "a", held=900, asked=8000, gpu=1)
    leave(tmp_path, "predict", "b", held=1600, asked=8000, gpu=1)
    leave(tmp_path, "score", "x", held=2600, asked=3000)
    leave(tmp_path, "plate_map", "x", held=200, asked=3500)
    leave(tmp_path, "audit_verdict", "x", held=None, asked=4000)
    found = {rule["rule"]: rule for rule in rules(tmp_path, "own")}
    assert (found["predict"]["jobs"], found["predict"]["minutes"], found["predict"]["held_mb"]) == (2, 2.0, 1600)
    assert {name: rule["ask"] for name, rule in found.items()} == {
        "predict": "fits",  # 2,100 of 4,000
        "score": "too little",  # 3,100 of 3,000
        "plate_map": "much",  # 700 of 3,500
        "audit_verdict": "fits",  # by its benchmark, 1,200 of 4,000
    }
    assert found["audit_verdict"]["minutes"] == 1.5 and found["audit_verdict"]["held_mb"] == 700


def test_a_rehearsal_that_lacks_something_fails_with_a_sentence_for_each(tmp_path: Path) -> None:
    config = read_config(files_of("capstone"), {"recipe": "own", "results": str(tmp_path)})
    (nothing,) = check("capstone", config, tmp_path)
    assert "no submission.csv, audit.json, scores.json" in nothing
    for rule, jobs in expected_jobs(config).items():
        for number in range(jobs):
            leave(tmp_path, rule, str(number), held=1, asked=1)
    job = {"receipt": "own/submission.csv.receipt.json"}
    write_text(tmp_path / "own/submission.csv", "id_code,sirna\n" + "HEPG2-08_1_B03,1\n" * TEST_WELLS)
    write_text(tmp_path / "own/submission.csv.receipt.json", "{}")
    write_json(tmp_path / "own/audit.json", [{"artefact": "submission.csv", "passed": True}])
    write_json(tmp_path / "own/scores.json", {})
    write_json(tmp_path / "own/stages/jobs.json", [job])
    assert check("capstone", config, tmp_path) == []

    write_text(tmp_path / "own/submission.csv", "id_code,sirna\nHEPG2-08_1_B03,1\n")
    write_json(tmp_path / "own/audit.json", [{"artefact": "submission.csv", "passed": False}])
    (tmp_path / "own/benchmarks/train_model/7.tsv").unlink()
    (tmp_path / "own/submission.csv.receipt.json").unlink()
    told = "\n".join(check("capstone", config, tmp_path))
    for sentence in (
        "1 rows; expected 19,897",
        "did not pass",
        "14 jobs of train_model",
        "1 of 1 planned jobs left no",
    ):
        assert sentence in told
