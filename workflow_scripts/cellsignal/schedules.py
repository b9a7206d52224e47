"""Learning rates over a run, as a pure function of the step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cellsignal.config.learning import Optimization, PseudoLabelLoss, Schedule

ONE_CYCLE_START = 25.0  # the peak rate over the first one (Smith & Topin 2018; fastai, PyTorch)


def scaled(optimization: Optimization, factor: float) -> Optimization:
    """`optimization` with its epochs, and the epochs named in its schedule, multiplied by `factor`.

    Cosine restarts follow DeepNoise: cycles of a whole number of epochs, ⌊40·r⌋, and an unscaled tail.
    """
    if factor == 1.0:
        return optimization
    schedule = optimization.schedule
    epochs = optimization.epochs * factor
    if schedule.kind == "cosine_restarts":
        cycle = (optimization.epochs - schedule.tail_epochs) / schedule.cycles * factor
        cycle = math.floor(cycle + 1e-9) if cycle >= 1 else cycle
        epochs = schedule.cycles * cycle + schedule.tail_epochs
    schedule = schedule.model_copy(
        update={
            "warmup_epochs": schedule.warmup_epochs * factor,
            "steps": [[epoch * factor, rate] for epoch, rate in schedule.steps],
        }
    )
    return optimization.model_copy(update={"epochs": epochs, "schedule": schedule})


def total_steps(steps_per_epoch: int, optimization: Optimization) -> int:
    """Number of optimizer steps of a run, at least one."""
    return max(1, round(optimization.epochs * steps_per_epoch))


def learning_rate(step: int, steps_per_epoch: int, optimization: Optimization) -> float:
    """Rate of step `step` (0-based); the schedule's closing value is reached at step = `total_steps`."""
    schedule, peak = optimization.schedule, optimization.rate
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / math.ceil(warmup)
    run = total_steps(steps_per_epoch, optimization) - warmup
    moment = Moment(step - warmup, run, step / steps_per_epoch, steps_per_epoch)
    return SCHEDULES[schedule.kind](moment, peak, schedule)


def pseudo_label_share(progress: float, epoch: float, settings: PseudoLabelLoss, epochs_factor: float = 1.0) -> float:
    """α / α_f at `progress` (0-1 of the run) and `epoch`: 0 before the start, (t - T1) / (T2 - T1) on the ramp, then 1.

    Lee (2013), Pseudo-Label, eq. 16. (The explainability paper's text drops α_f between T1 and T2.) The start in epochs
    is multiplied by `epochs_factor`: DeepNoise's 20 r.
    """
    if epoch < settings.start_epochs * epochs_factor - 1e-9:
        return 0.0
    if settings.ramp is None:
        return 1.0
    start, end = settings.ramp
    if progress <= start:
        return 0.0
    return 1.0 if progress >= end else (progress - start) / (end - start)


@dataclass(frozen=True)
class Moment:
    """Where a run stands."""

    step: float  # since the warm-up ended
    run: float  # steps from the warm-up's end to the run's
    epoch: float  # since the run began, warm-up included
    steps_per_epoch: int


def _constant(moment: Moment, peak: float, schedule: Schedule) -> float:
    return peak


def _step(moment: Moment, peak: float, schedule: Schedule) -> float:
    reached = [rate for start, rate in schedule.steps if moment.epoch >= start - 1e-9]
    return reached[-1] if reached else peak


def _cosine(moment: Moment, peak: float, schedule: Schedule) -> float:
    return _fall(peak, schedule.minimum, moment.step / moment.run if moment.run > 0 else 1.0)


def _cosine_restarts(moment: Moment, peak: float, schedule: Schedule) -> float:
    cycles = moment.run - schedule.tail_epochs * moment.steps_per_epoch
    if moment.step >= cycles:
        return schedule.tail_rate if schedule.tail_epochs else schedule.minimum
    return _fall(peak, schedule.minimum, moment.step * schedule.cycles / cycles % 1.0)


def _one_cycle(moment: Moment, peak: float, schedule: Schedule) -> float:
    top = schedule.peak_at * moment.run
    if moment.step < top:
        return _fall(peak / ONE_CYCLE_START, peak, moment.step / top)
    return _fall(peak, schedule.minimum, (moment.step - top) / (moment.run - top) if moment.run > top else 1.0)


def _exponential(moment: Moment, peak: float, schedule: Schedule) -> float:
    return float(peak * schedule.gamma ** math.floor(moment.step / moment.steps_per_epoch))


def _fall(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at 1."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


SCHEDULES: dict[str, Callable[[Moment, float, Schedule], float]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "one_cycle": _one_cycle,
    "exponential": _exponential,
}
