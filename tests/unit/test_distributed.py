"""Two processes on gloo train as one does: the same loss curve, the same weights within float tolerance."""

import os
import subprocess
import sys
from pathlib import Path

import distributed_training
import numpy as np
import pandas as pd
import pytest
import tiny_training as tiny
import torch
from safetensors.torch import load_file

from cellsignal.distributed import Group
from cellsignal.errors import BadInput

pytestmark = pytest.mark.usefixtures("one_thread")

START = f"""
import os, sys
os.environ["STARTED_BY"] = str(os.getpid())
from cellsignal.processes import torchrun
sys.exit(torchrun({distributed_training.__file__!r}, 2))
"""


def in_two_processes(out: Path, kind: str, **environment: str) -> subprocess.CompletedProcess:
    out.mkdir(exist_ok=True)
    environment = {"OUT": str(out), "KIND": kind, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    started = [sys.executable, "-c", START]
    return subprocess.run(started, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["supervised", "teacher", "plates"])
def test_two_processes_give_the_loss_curve_and_weights_of_one(tmp_path, kind):
    done = in_two_processes(tmp_path / "two", kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1  # one of them speaks
    result = tiny.run(tmp_path / "one", **distributed_training.changes(kind))
    one, two = pd.read_csv(tmp_path / "one.csv"), pd.read_csv(tmp_path / "two/state.csv")
    np.testing.assert_allclose(two.dropna(axis=1), one.dropna(axis=1), rtol=2e-3)
    of_two = load_file(tmp_path / "two/weights.safetensors")
    for name, expected in (result.teacher or result.student).state_dict().items():
        np.testing.assert_allclose(of_two[name], expected, rtol=0, atol=2e-3, err_msg=name)


def test_batch_norm_of_its_own_in_each_process_gives_another_curve(tmp_path):
    """The tolerance of the test above would notice a BatchNorm that is not synchronized."""
    done = in_two_processes(tmp_path / "two", "apart")
    assert done.returncode == 0, done.stderr
    tiny.run(tmp_path / "one", **distributed_training.changes("apart"))
    one, two = pd.read_csv(tmp_path / "one.csv")["loss"], pd.read_csv(tmp_path / "two/state.csv")["loss"]
    assert (abs(two / one - 1) > 2e-3).any()


def test_sigterm_saves_a_state_of_all_processes_from_which_both_go_on(tmp_path):
    whole = in_two_processes(tmp_path / "whole", "supervised")
    assert whole.returncode == 0, whole.stderr
    ended = in_two_processes(tmp_path / "ended", "supervised", END_AT="3")
    assert ended.returncode == 143, ended.stderr
    assert ended.stdout.count("SIGTERM: state saved at step") == 1
    assert not (tmp_path / "ended/weights.safetensors").exists()
    resumed = in_two_processes(tmp_path / "ended", "supervised")
    assert resumed.stdout.startswith("resumed at step ")
    assert (tmp_path / "ended/state.csv").read_bytes() == (tmp_path / "whole/state.csv").read_bytes()


def test_a_failing_process_ends_the_training(tmp_path):
    done = in_two_processes(tmp_path / "out", "unknown", END_AT="nothing")
    assert done.returncode not in (0, 143)
    assert "nothing" in done.stderr


@pytest.mark.parametrize(("labelled", "unlabelled", "n"), [(16, 16, 2), (7, 5, 3), (3, 0, 3)])
def test_the_shares_are_each_site_once_and_their_weighted_means_the_mean(monkeypatch, labelled, unlabelled, n):
    monkeypatch.setenv("WORLD_SIZE", str(n))
    shares = []
    for rank in range(n):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(Group(torch.device("cpu")).share(labelled, unlabelled))
    assert sorted(np.concatenate([s.positions for s in shares])) == list(range(labelled + unlabelled))
    values = np.random.default_rng(0).random(labelled + unlabelled)
    first = [s.weight_labelled * values[s.positions[: s.labelled]].mean() for s in shares]
    np.testing.assert_allclose(np.mean(first), values[:labelled].mean())
    np.testing.assert_allclose(np.mean([s.weight_all * values[s.positions].mean() for s in shares]), values.mean())


def test_more_gpus_than_sites_in_a_batch_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(BadInput, match="2 labelled sites for 4 GPUs"):
        Group(torch.device("cpu")).share(2)
