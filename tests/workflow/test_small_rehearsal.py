"""A small rehearsal of RxRx1: all 51 experiments and the recipe's own folds, from the real tables to a submission.

Smaller than `make rehearse` in what takes time: 24 of the 1,108 siRNAs, one plate of each experiment, one model
without fine-tunes, no figures: 88 jobs, most of whose time is that of starting Python.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from projects import Project
from rehearsal_screen import Tables, read_tables, write_screen
from rehearsal_settings import SCREEN, rehearsed

from cellsignal.config.load import read_config

DATA = os.environ.get("CELLSIGNAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is unset: the real tables are not here")

RESULTS = f"results/{SCREEN}"
OWN = f"{RESULTS}/deepnoise"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return read_tables(Path(str(DATA)), classes_per_group=6, one_plate=True)


@pytest.fixture(scope="module")
def small(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("small") / "project")
    write_screen(project.folder / "raw", tables)
    config = read_config([project.folder / "config.yaml"])
    settings = rehearsed(config, project.folder)
    settings |= {
        "results": "results",
        "models": settings["models"][:1],
        "train": {"epochs": 6.0, "batch_size": 32, "rate": 1.0e-2, "schedule": {"kind": "one_cycle"}},
        "finetune": None,
        "pseudo_labels": {"rounds": 0},
        "balance": {"plate_groups": False},  # which are read off four plates
    }  # fmt: skip
    (project.folder / "small.yaml").write_text(yaml.safe_dump(settings))
    project.run(f"{OWN}/submission.csv", f"{OWN}/scores.json", recipe="small.yaml")
    return project


def test_every_experiment_is_packed_and_every_fold_trained(small: Project, tables: Tables) -> None:
    sites = pd.read_parquet(small.folder / RESULTS / "sites.parquet")
    assert len(sites) == 2 * len(tables.drawn) and sites["experiment"].nunique() == 51
    records = [small.read_json(str(path.relative_to(small.folder))) for path in small.results("*.run.json")]
    jobs = Counter(record["rule"] for record in records)
    folds = read_config([small.folder / "config.yaml"]).folds.count
    assert jobs["pack_plate"] == 51 and jobs["train_model"] == folds and jobs["predict"] == 4 * folds


def test_the_submission_has_a_row_per_test_well_and_passes_the_audit(small: Project, tables: Tables) -> None:
    submission = pd.read_csv(small.folder / OWN / "submission.csv")
    assert sorted(submission["id_code"]) == sorted(tables.kaggle["test"]["id_code"])
    assert "passed" in small.audit(f"{OWN}/submission.csv").lower()


def test_something_is_learned_through_51_experiments(small: Project, tables: Tables) -> None:
    """Against the classes that the images were drawn with, most of which the workflow has never been given."""
    drawn = tables.drawn[tables.drawn["dataset"] == "test"]
    name = drawn["experiment"] + "_" + drawn["plate"].astype(str) + "_" + drawn["well"]
    truth = pd.Series(drawn["sirna"].to_numpy(), name)
    submission = pd.read_csv(small.folder / OWN / "submission.csv")
    right = np.mean(submission["sirna"].to_numpy() == truth[submission["id_code"]].to_numpy())
    assert right > 0.9  # chance: 0.04
