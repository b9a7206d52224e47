"""Training learns, resumes bit-identically, and stops where it must. Kills: test_kills.py."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_training as tiny
import torch

from cellsignal.checkpoints import clear_state
from cellsignal.config.learning import AugmentSettings, Schedule
from cellsignal.errors import BadInput, Fault
from cellsignal.history import COLUMNS, LossCheck
from cellsignal.tensors import read_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = Path(tiny.__file__)


def weights(result) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in result.student.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def in_a_process(state: Path, die_at: int, number: int):
    arguments = [sys.executable, SCRIPT, state, str(die_at), str(int(number))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


def test_a_separable_problem_is_learned_and_the_history_tells_of_it(tmp_path):
    result = tiny.run(tmp_path / "s", optimization=tiny.OPTIMIZATION.model_copy(update={"epochs": 12.0}))
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table) == COLUMNS
    assert list(table["epoch"]) == list(range(1, 13))
    assert list(table["step"]) == [6 * epoch for epoch in range(1, 13)]
    assert table["validation_accuracy"].iloc[-1] > 0.9 > table["validation_accuracy"].iloc[0]
    assert table["loss"].iloc[-1] < table["loss"].iloc[0]
    assert table["consistency"].isna().all()
    assert not result.student.training and result.teacher is None


def test_the_seed_decides_weights_and_history_and_nothing_of_the_callers_is_disturbed(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = tiny.run(tmp_path / "a")
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    second, other = tiny.run(tmp_path / "b"), tiny.run(tmp_path / "c", seed=6)
    assert same(weights(first), weights(second)) and not same(weights(first), weights(other))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_sigterm_saves_the_state_and_exits_with_143(tmp_path):
    done = in_a_process(tmp_path / "state", die_at=8, number=signal.SIGTERM)
    assert done.returncode == 143, done.stderr
    assert "SIGTERM: state saved at step" in done.stdout
    said = []
    resumed = tiny.run(tmp_path / "state", log=said.append)
    assert said[0].startswith("resumed at step ")
    assert same(weights(resumed), weights(tiny.run(tmp_path / "whole")))


def test_a_finished_run_comes_back_without_training_even_if_its_history_was_removed(tmp_path):
    first = weights(tiny.run(tmp_path / "s"))
    history = (tmp_path / "s.csv").read_bytes()
    (tmp_path / "s.csv").unlink()
    reader = tiny.Reader()
    assert same(weights(tiny.run(tmp_path / "s", reader)), first)
    assert reader.seen == [] and (tmp_path / "s.csv").read_bytes() == history
    clear_state(tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("change", [
    {"seed": 6},
    {"optimization": tiny.OPTIMIZATION.model_copy(update={"rate": 1e-3})},
    {"augment": AugmentSettings()},
    {"labelled": tiny.sites(range(99))},
    {"epochs_factor": 2.0},
    {"model": tiny.build_model(tiny.MODEL, 3, 4, seed=2)},
])  # fmt: skip
def test_a_state_of_another_run_is_not_resumed_and_this_is_said(tmp_path, change):
    tiny.run(tmp_path / "s")
    said = []
    tiny.run(tmp_path / "s", log=said.append, **change)
    assert "state of other settings, data or initial weights; starting anew" in said[0]


def test_a_damaged_state_is_not_used_and_this_is_said(tmp_path):
    first = weights(tiny.run(tmp_path / "s"))
    state = tmp_path / "s" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    said = []
    assert same(weights(tiny.run(tmp_path / "s", log=said.append)), first)
    assert "not a readable safetensors file" in said[0]


def test_states_are_written_after_every_epoch_where_minutes_are_0(tmp_path, monkeypatch):
    saved = []
    real = tiny.train.__globals__["Checkpoints"].save
    monkeypatch.setattr(
        "cellsignal.training.Checkpoints.save",
        lambda self, state, totals, note: (saved.append(note["step"]), real(self, state, totals, note)),
    )
    tiny.run(tmp_path / "s", optimization=tiny.OPTIMIZATION.model_copy(update={"checkpoint_minutes": 0.0}))
    assert saved == [6, 12, 18]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_optimizer_resumes_exactly(tmp_path, optimizer):
    optimization = tiny.OPTIMIZATION.model_copy(update={"optimizer": optimizer, "weight_decay": 1e-3})
    whole = weights(tiny.run(tmp_path / "whole", optimization=optimization))

    class Stop(tiny.Reader):
        def read(self, rows):
            if len(self.seen) == 9:
                raise BadInput("stop here")
            return super().read(rows)

    with pytest.raises(BadInput, match="stop here"):
        tiny.run(tmp_path / "s", Stop(), optimization=optimization)
    assert same(weights(tiny.run(tmp_path / "s", optimization=optimization)), whole)


def test_a_loss_that_is_not_finite_stops_the_run_naming_step_and_sites(tmp_path):
    wild = tiny.OPTIMIZATION.model_copy(update={"optimizer": "sgd", "rate": 1e30, "clip_norm": None})
    softmax = tiny.model(head="softmax")
    with pytest.raises(Fault, match=r"(loss is (nan|inf) at|not finite after) step \d+; .*batch: E-1_1_B\d+_1, "):
        tiny.run(tmp_path / "s", optimization=wild, model=softmax)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_state_before_a_loss_that_is_not_finite_is_kept_and_good(tmp_path, monkeypatch, what):
    """A finite loss may have a gradient that is not: the weights after that step are not saved either."""
    whole = weights(tiny.run(tmp_path / "whole"))
    real, calls = tiny.train.__globals__["classification_loss"], []

    def spoiled(*arguments, **named):
        calls.append(loss := real(*arguments, **named))
        if len(calls) < 9:
            return loss
        return loss * float("nan") if what == "loss" else loss + (loss - loss.detach()).clamp_min(0).sqrt()

    with monkeypatch.context() as patched, pytest.raises(Fault) as error:
        patched.setattr("cellsignal.training.classification_loss", spoiled)
        tiny.run(tmp_path / "s")
    assert ("loss is nan at step 8" if what == "loss" else "not finite after step 8") in str(error.value)
    state, note = read_tensors(tmp_path / "s/state.safetensors")
    assert note["step"] == 8 and all(tensor.isfinite().all() for tensor in state.values())
    said = []
    assert same(weights(tiny.run(tmp_path / "s", log=said.append)), whole)
    assert said[0] == "resumed at step 8 of 18"


def test_losses_looked_at_seldom_are_told_for_the_step_where_it_happened():
    """On a GPU, 20 steps at a time."""
    losses = LossCheck(20, np.array(["a", "b", "c"]))
    for step, loss in enumerate([1.0, 1.0, float("inf"), 1.0]):
        losses.add(step, np.array([step % 3]), torch.tensor(loss))
    with pytest.raises(Fault, match="loss is inf at step 2; sites of its batch: c"):
        losses.check()
    losses = LossCheck(3)
    losses.add(0, np.array([7]), torch.tensor(float("nan")))
    losses.add(1, np.array([8]), torch.tensor(1.0))
    with pytest.raises(Fault, match="loss is nan at step 0; sites of its batch: 7"):
        losses.add(2, np.array([9]), torch.tensor(1.0))


def test_classes_out_of_range_and_missing_sites_are_refused_together(tmp_path):
    labelled, validation = tiny.sites(range(1)), tiny.sites(range(100, 110), labelled=False)
    with pytest.raises(BadInput) as error:
        tiny.run(tmp_path / "s", labelled=labelled, validation=validation)
    assert "1 labelled sites" in str(error.value)
    assert "10 validation sites have class -1; expected 0 to 3" in str(error.value)


def test_validation_can_be_rarer_or_absent_and_epochs_fractional(tmp_path):
    optimization = tiny.OPTIMIZATION.model_copy(update={"epochs": 3.5, "validate_every": 2})
    tiny.run(tmp_path / "a", optimization=optimization)
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == [6, 12, 18, 21]
    assert list(table["validation_loss"].isna()) == [True, False, True, False]
    tiny.run(tmp_path / "b", validation=tiny.sites(range(0)))
    assert pd.read_csv(tmp_path / "b.csv")["validation_accuracy"].isna().all()


def test_each_epoch_visits_sites_in_an_order_of_its_own_at_the_scheduled_rates(tmp_path):
    schedule = Schedule(kind="step", steps=[[1, 1e-3], [2, 1e-4]])
    reader = tiny.Reader()
    optimization = tiny.OPTIMIZATION.model_copy(update={"schedule": schedule})
    tiny.run(tmp_path / "s", reader, optimization=optimization, validation=tiny.sites(range(0)))
    epochs = [np.concatenate(reader.seen[6 * e : 6 * e + 6]) for e in range(3)]
    assert all(len(set(epoch.tolist())) == 96 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert list(pd.read_csv(tmp_path / "s.csv")["rate"]) == [3e-3, 1e-3, 1e-4]
