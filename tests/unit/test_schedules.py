"""Learning rates at the points that a recipe names."""

from pathlib import Path

import pytest

from cellsignal.config.learning import Optimization, PseudoLabelLoss, Schedule
from cellsignal.config.load import read_config
from cellsignal.schedules import learning_rate, pseudo_label_share, scaled, total_steps

ROOT = Path(__file__).resolve().parents[2]


def run(epochs: float, rate: float = 1.0, **schedule: object) -> Optimization:
    return Optimization(epochs=epochs, rate=rate, schedule=Schedule(**schedule))


def test_deepnoise_stage_1_steps():
    optimization = run(160, 3e-4, kind="step", steps=[[100, 1e-4], [140, 1e-5]])
    at = {epoch: learning_rate(epoch * 7, 7, optimization) for epoch in (0, 99, 100, 139, 140, 159)}
    assert at == {0: 3e-4, 99: 3e-4, 100: 1e-4, 139: 1e-4, 140: 1e-5, 159: 1e-5}


def test_deepnoise_stage_2_restarts_and_its_tail():
    optimization = run(165, 0.1, kind="cosine_restarts", minimum=1e-3, cycles=4, tail_epochs=5, tail_rate=1e-4)
    for start in (0, 40, 80, 120):
        assert learning_rate(start * 10, 10, optimization) == pytest.approx(0.1)
        assert learning_rate(start * 10 + 200, 10, optimization) == pytest.approx((0.1 + 1e-3) / 2)
        assert learning_rate(start * 10 + 399, 10, optimization) == pytest.approx(1e-3, rel=0.01)
    assert [learning_rate(step, 10, optimization) for step in (1600, 1649)] == [1e-4, 1e-4]


def test_a_factor_shortens_cycles_to_whole_epochs_and_leaves_the_tail():
    optimization = run(165, 0.1, kind="cosine_restarts", cycles=4, tail_epochs=5)
    assert scaled(optimization, 1.0) == optimization
    assert scaled(optimization, 0.5).epochs == 4 * 20 + 5
    assert scaled(optimization, 0.33).epochs == 4 * 13 + 5
    stepped = scaled(run(160, kind="step", steps=[[100, 0.1]], warmup_epochs=4), 0.25)
    assert (stepped.epochs, stepped.schedule.steps, stepped.schedule.warmup_epochs) == (
        40,
        [[25.0, 0.1]],
        1.0,
    )


def test_cosine_falls_from_the_rate_to_the_minimum():
    optimization = run(10, 2.0, kind="cosine", minimum=0.5)
    assert [learning_rate(step, 4, optimization) for step in (0, 20, 40)] == pytest.approx([2.0, 1.25, 0.5])


def test_warm_up_is_linear_and_the_schedule_follows_it():
    optimization = run(10, 1.0, kind="cosine", warmup_epochs=1)
    rates = [learning_rate(step, 4, optimization) for step in (0, 1, 2, 3, 4, 40)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.0])


def test_one_cycle_peaks_where_asked():
    optimization = run(10, 1.0, kind="one_cycle", peak_at=0.3, minimum=0.01)
    rates = [learning_rate(step, 10, optimization) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates.index(max(rates)) == 30
    assert max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.01)


def test_exponential_falls_once_per_epoch():
    optimization = run(10, 1.0, kind="exponential", gamma=0.9)
    assert [learning_rate(step, 5, optimization) for step in (0, 4, 5, 10)] == pytest.approx([1, 1, 0.9, 0.81])


def test_a_run_has_at_least_one_step_and_takes_fractions_of_an_epoch():
    assert total_steps(10, run(0.01)) == 1
    assert total_steps(10, run(2.5)) == 25
    assert learning_rate(0, 10, run(1, kind="constant")) == 1.0


def test_the_pseudo_labels_weight_is_0_up_to_t1_and_full_from_t2():
    ramp = PseudoLabelLoss(ramp=[0.2, 0.6])
    at = [pseudo_label_share(t, 0.0, ramp) for t in (0, 0.2, 0.3, 0.4, 0.6, 1)]
    assert at == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert pseudo_label_share(0.0, 0.0, PseudoLabelLoss()) == 1.0
    step = PseudoLabelLoss(ramp=[0.5, 0.5])
    assert [pseudo_label_share(t, 0.0, step) for t in (0.5, 0.51)] == [0.0, 1.0]


@pytest.mark.parametrize(("r", "start"), [(1.0, 20), (0.5, 10), (0.25, 5)])
def test_deepnoises_pseudo_labels_start_after_20_r_epochs(r, start):
    recipe = read_config([ROOT / "config.yaml"]).pseudo_labels
    at = [pseudo_label_share(0.9, epoch, recipe, r) for epoch in (0, start - 0.01, start, 100)]
    assert at == [0.0, 0.0, 1.0, 1.0]
    assert (recipe.weight, recipe.supervised_weight, recipe.view) == (0.05, 0.95, "weak")
