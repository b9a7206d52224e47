"""`gpu: 2` trains in two processes; without GPUs they share the CPU, which is all that differs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from projects import Project

WEIGHTS = "results/tiny_screen/tiny/models/byobnet/fold0/stage1/weights.safetensors"
RECORD = "results/tiny_screen/tiny/logs/train_model/byobnet_fold0.run.json"


def losses(project: Project) -> np.ndarray:
    return pd.read_csv((project.folder / WEIGHTS).with_name("history.csv"))["loss"].to_numpy()


def processes(folder: Path) -> int:
    return json.loads((folder / RECORD).read_text())["processes"]


def test_a_rule_that_is_given_two_gpus_trains_in_two_processes(finished: Project, project: Project) -> None:
    (project.folder / WEIGHTS).unlink()
    project.run(WEIGHTS, "--set-resources", "train_model:gpu=2")
    assert (processes(finished.folder), processes(project.folder)) == (1, 2)
    np.testing.assert_allclose(losses(project), losses(finished), rtol=1e-3)
    log = (project.folder / RECORD).with_name("byobnet_fold0.log").read_text()
    assert log.count("epoch 1/1") == 1
