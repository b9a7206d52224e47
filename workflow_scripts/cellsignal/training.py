"""One training loop: supervised (stage 1) and, with a mean teacher, semi-supervised (stage 2)."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cellsignal.augment import Draws, standardize
from cellsignal.augment import augment as augmented
from cellsignal.checkpoints import Checkpoints, catch_sigterm, fingerprint, state_tensors
from cellsignal.config.learning import AugmentSettings, MeanTeacher, Optimization
from cellsignal.devices import autocast, choose_device, gradient_scaler, place, reproducible, to_device
from cellsignal.distributed import Group, process_group
from cellsignal.errors import raise_all
from cellsignal.history import History, LossCheck, means, sentence, write_history
from cellsignal.loader import Reader, Rows, TrainingSites, batches, batches_in, endless_batch, epoch_order, prefetch
from cellsignal.losses import classification_loss, consistency_loss
from cellsignal.mean_teacher import Teacher, consistency_weight
from cellsignal.models import PerturbationModel
from cellsignal.processes import leads
from cellsignal.schedules import learning_rate, scaled, total_steps

LOSS_CHECK_STEPS = 20  # on a GPU, where reading a loss waits for it

Log = Callable[[str], None]


@dataclass(frozen=True)
class TrainingResult:
    """The trained models, in evaluation mode on the training device, and the rows of the history."""

    student: PerturbationModel
    teacher: PerturbationModel | None
    history: History


def train(
    model: PerturbationModel,
    reader: Reader,
    labelled: TrainingSites,
    validation: TrainingSites,
    optimization: Optimization,
    augment: AugmentSettings,
    seed: int,
    state_dir: str | Path,
    history_path: str | Path,
    log: Log = print,
    unlabelled: TrainingSites | None = None,
    mean_teacher: MeanTeacher | None = None,
    epochs_factor: float = 1.0,
    device: str | torch.device | None = None,
) -> TrainingResult:
    """Train `model` in place for the asked epochs; the last epoch is the result, validation only a report.

    With `mean_teacher`, a teacher follows the student; while its consistency weighs anything, the student
    sees weakly and the teacher strongly augmented views of the labelled and the `unlabelled` sites, and
    validation is the teacher's. Pseudo-labelled sites are labelled ones of lower weight. Training is
    resumed from `state_dir` where that holds a state of the very same run, and continues bit-identically on
    a CPU with the same number of threads; remove the state with `checkpoints.clear_state` once the results
    are written. SIGTERM saves the state and ends the process. Processes that torchrun started share every batch
    out among themselves and end with the same weights; the first writes state, history and log.

    Args:
        model: with its initial weights.
        reader: pixels of all sites.
        labelled: sites with classes; weights below 1 for pseudo-labels.
        validation: sites with classes; may be empty.
        optimization: epochs, batches, optimizer, learning rate.
        augment: what training sites undergo.
        seed: every random choice follows from it.
        state_dir: directory for the resume state.
        history_path: CSV of `COLUMNS`, one row per epoch, rewritten whole after each; no times in it.
        log: takes one sentence per epoch.
        unlabelled: sites whose classes are not used.
        mean_teacher: settings of the teacher.
        epochs_factor: multiple of the epochs and the schedule.
        device: default: a GPU if there is one.

    Raises:
        BadInput: classes out of range, or no labelled sites.
        Fault: a loss or weight is not finite; names the step and the batch's sites, and keeps the state before.
        SystemExit: 143, after SIGTERM.
    """
    check_classes(labelled, validation, model.n_classes)
    device = choose_device(device)
    log = log if leads() else (lambda sentence: None)
    follows = mean_teacher is not None and mean_teacher.consistency > 0
    if unlabelled is None or not (follows and mean_teacher and mean_teacher.unlabelled):
        unlabelled = empty_like(labelled)
    sites = labelled + unlabelled
    settings = [
        part and part.model_dump(mode="json", exclude={"checkpoint_minutes"})
        for part in (optimization, augment, mean_teacher, model.settings)
    ]
    arrays = {name: np.asarray(array) for name, array in vars(sites).items()}
    run = fingerprint([settings, epochs_factor, seed, len(labelled)], arrays, model)

    optimization = scaled(optimization, epochs_factor)
    per_epoch = batches_in(len(labelled), optimization.batch_size)
    n_steps = total_steps(per_epoch, optimization)
    student = model
    place(student, device)
    teacher = Teacher(student, mean_teacher) if mean_teacher else None
    modules: dict[str, nn.Module] = {"student": student}
    if teacher:
        modules["teacher"] = teacher.model
    optimizer = create_optimizer(student, optimization)
    scaler = gradient_scaler(device, optimization.amp)
    totals = torch.zeros(4, dtype=torch.float64, device=device)  # of an epoch: loss, consistency, right, sites
    n_batch = min(optimization.batch_size, len(labelled)), optimization.batch_size if len(unlabelled) else 0
    losses = LossCheck(LOSS_CHECK_STEPS if device.type == "cuda" else 1, getattr(reader, "site_id", None))

    checkpoints = Checkpoints(state_dir, run, optimization.checkpoint_minutes, log)
    step, history = 0, []
    if note := checkpoints.restore(modules, optimizer, totals):
        step, history = note["step"], note["history"]
        scaler.load_state_dict(note["scaler"])
        log(f"resumed at step {step} of {n_steps}")

    def save() -> None:
        state = state_tensors(modules, optimizer)
        losses.check(state.values())  # what is saved last, and what is returned, is good
        note = {"step": step, "history": history, "scaler": scaler.state_dict()}
        checkpoints.save(state, group.sum(totals), note)
        if group.any(terminated.is_set()):
            log(f"SIGTERM: state saved at step {step} of {n_steps}")
            raise SystemExit(143)

    with (
        process_group(device) as group,
        group.wrap(student, optimization.sync_batch_norm) as net,
        catch_sigterm() as terminated,
        reproducible(device),
    ):
        share = group.share(*n_batch)
        totals *= group.rank == 0  # a state holds the sums over all processes
        write_history(history_path, history)
        while step < n_steps:
            epoch, started = step // per_epoch, time.monotonic()
            end = min((epoch + 1) * per_epoch, n_steps)
            student.train()
            whole = epoch_batches(labelled, len(unlabelled), optimization, seed, epoch, range(step, end), per_epoch)
            wanted = (batch[share.positions] for batch in whole)
            for chosen, pixels in prefetch(lambda indices: reader.read(sites.rows[indices]), wanted):
                # Everything random in a step follows from seed and step, so a resumed run goes on exactly.
                draws = Draws(seed_step(seed, step), share.whole, torch.from_numpy(share.positions))
                rate = learning_rate(step, per_epoch, optimization)
                for parameters in optimizer.param_groups:
                    parameters["lr"] = rate

                raw = to_device(pixels, device)
                mean, std, weight = (as_float(array[chosen]) for array in (sites.mean, sites.std, sites.weight))
                n = share.labelled  # which come first
                target, weight = torch.from_numpy(sites.target[chosen[:n]]).to(device), weight[:n].to(device)
                strong = augmented(standardize(raw, mean, std, augment, draws), augment, draws)
                seen = augmented(standardize(raw, mean, std), augment, draws, weak=True) if follows else strong

                with autocast(device, optimization.amp):
                    logits = net(channels_last(seen))[1]
                    loss = classification_loss(logits[:n], target, model.settings, weight, optimization.label_smoothing)
                    total, drift = share.weight_labelled * loss, loss.new_zeros(())
                    if follows and teacher:
                        drift = consistency_loss(logits, teacher(channels_last(strong)))
                        drift_weight = consistency_weight(step / per_epoch, teacher.settings)
                        total = total + share.weight_all * drift_weight * drift

                scaler.scale(total).backward()  # type: ignore[no-untyped-call]
                if optimization.clip_norm is not None:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(student.parameters(), optimization.clip_norm)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                if teacher:
                    teacher.update(student, step / n_steps)

                right = (logits[:n].detach().argmax(1) == target).sum()
                totals += torch.stack([loss.detach() * n, drift.detach() * n, right, right.new_tensor(n)])
                losses.add(step, sites.rows[chosen], total)
                step += 1
                if step < end and group.looks(step) and group.any(terminated.is_set() or checkpoints.due()):
                    save()

            losses.check()
            row = {"epoch": epoch + 1, "step": step, "rate": rate, **means(group.sum(totals), follows)}
            if (epoch + 1) % optimization.validate_every == 0 or step == n_steps:
                judged = teacher.model if teacher else student
                row |= evaluate(judged, reader, validation, optimization, group)
            history.append(row)
            write_history(history_path, history)
            log(sentence(row, math.ceil(n_steps / per_epoch), time.monotonic() - started))
            totals.zero_()
            if group.any(terminated.is_set() or checkpoints.due(epoch_ended=True)) or step == n_steps:
                save()
    return TrainingResult(student.eval(), teacher.model if teacher else None, history)


def epoch_batches(
    labelled: TrainingSites,
    n_unlabelled: int,
    optimization: Optimization,
    seed: int,
    epoch: int,
    steps: range,
    per_epoch: int,
) -> Iterator[Rows]:
    """Batches of indices for the given steps of an epoch: labelled sites, then as many unlabelled ones.

    Unlabelled sites are numbered on from the labelled ones.
    """
    classes = np.asarray(labelled.target) if optimization.balance_classes else None
    order = epoch_order(len(labelled), seed, epoch, classes)
    size = optimization.batch_size
    for step, batch in zip(steps, batches(order, size, start=steps.start - epoch * per_epoch), strict=False):
        others = endless_batch(n_unlabelled, size, step, seed) if n_unlabelled else batch[:0]
        yield np.concatenate([batch, len(labelled) + others])


def seed_step(seed: int, step: int) -> torch.Generator:
    """A CPU generator for augmentation; PyTorch's global ones (dropout) are seeded too."""
    augmentation, dropout = np.random.SeedSequence([seed, step]).generate_state(2, np.uint64).tolist()
    torch.manual_seed(dropout)
    return torch.Generator().manual_seed(augmentation)


def create_optimizer(model: nn.Module, optimization: Optimization) -> torch.optim.Optimizer:
    """The optimizer of the settings; Adam's weight decay is added to the gradient, AdamW's to the step."""
    parameters, decay = [p for p in model.parameters() if p.requires_grad], optimization.weight_decay
    if optimization.optimizer == "sgd":
        momentum = optimization.momentum
        return torch.optim.SGD(parameters, lr=optimization.rate, momentum=momentum, weight_decay=decay, fused=True)
    kind: type[torch.optim.Optimizer] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimization.optimizer]
    return kind(parameters, lr=optimization.rate, weight_decay=decay, fused=True)  # type: ignore[call-arg]


@torch.inference_mode()
def evaluate(
    model: PerturbationModel,
    reader: Reader,
    sites: TrainingSites,
    optimization: Optimization,
    group: Group,
) -> dict[str, float]:
    """Cross entropy without margin, and accuracy, of unaugmented sites; nothing where there are no sites."""
    if not len(sites):
        return {}
    device = group.device
    training, sums = model.training, torch.zeros(2, dtype=torch.float64, device=device)  # of loss, of right ones
    group.align(model)
    model.eval()
    mine, size = np.arange(group.rank, len(sites), group.n), optimization.batch_size
    indices = (mine[start : start + size] for start in range(0, len(mine), size))
    for chosen, pixels in prefetch(lambda chosen: reader.read(sites.rows[chosen]), indices):
        mean, std = as_float(sites.mean[chosen]), as_float(sites.std[chosen])
        with autocast(device, optimization.amp):
            logits = model(channels_last(standardize(to_device(pixels, device), mean, std)))[1].float()
        target = torch.from_numpy(sites.target[chosen]).to(device)
        sums += torch.stack([F.cross_entropy(logits, target, reduction="sum"), (logits.argmax(1) == target).sum()])
    model.train(training)
    loss, right = group.sum(sums).tolist()
    return {"validation_loss": loss / len(sites), "validation_accuracy": right / len(sites)}


def check_classes(labelled: TrainingSites, validation: TrainingSites, n_classes: int) -> None:
    """Raise BadInput if there is nothing to train on, or a class is not below `n_classes`."""
    problems = [] if len(labelled) > 1 else [f"{len(labelled)} labelled sites; training needs two at least"]
    for name, sites in (("labelled", labelled), ("validation", validation)):
        outside = (sites.target < 0) | (sites.target >= n_classes)
        if outside.any():
            found = ", ".join(map(str, np.unique(sites.target[outside])[:5].tolist()))
            problems.append(f"{int(outside.sum())} {name} sites have class {found}; expected 0 to {n_classes - 1}")
    raise_all(problems, "training")


def empty_like(sites: TrainingSites) -> TrainingSites:
    """No sites, of as many channels."""
    return TrainingSites(*(array[:0] for array in vars(sites).values()))


def as_float(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
