"""One training loop: supervised (stage 1) and, with a mean teacher, semi-supervised (stage 2)."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cellsignal.batch import Views, batches_per_epoch, epoch_batches, prepare, shared_out
from cellsignal.checkpoints import Checkpoints, catch_sigterm, fingerprint, state_tensors
from cellsignal.config.learning import AugmentSettings, MeanTeacher, Optimization, PseudoLabelLoss
from cellsignal.devices import autocast, choose_device, gradient_scaler, place, reproducible
from cellsignal.distributed import process_group
from cellsignal.errors import raise_all
from cellsignal.evaluation import evaluate
from cellsignal.history import History, LossCheck, means, sentence, write_history
from cellsignal.loader import Reader, TrainingSites, prefetch
from cellsignal.losses import classification_loss, consistency_loss
from cellsignal.mean_teacher import Teacher, consistency_weight
from cellsignal.models import PerturbationModel
from cellsignal.processes import leads
from cellsignal.schedules import learning_rate, pseudo_label_share, scaled, total_steps
from cellsignal.selection import is_best, stalled

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
    pseudo_labels: PseudoLabelLoss | None = None,
    device: str | torch.device | None = None,
) -> TrainingResult:
    """Train `model` in place for the asked epochs; the result is the last epoch, or the best where that is asked.

    With `mean_teacher`, a teacher follows the student, and validation is the teacher's; if its consistency weighs
    anything, the student also sees weakly, and the teacher strongly augmented views of the labelled and the
    `unlabelled` sites (`batch.Views`). Pseudo-labelled sites are labelled ones of lower weight. Training is resumed
    from `state_dir` where that holds a state of the very same run, and continues bit-identically on a CPU with the
    same number of threads; remove the state with `checkpoints.clear_state` once the results are written. SIGTERM
    saves the state and ends the process. Processes that torchrun started share every batch out among themselves and
    end with the same weights; the first writes state, history and log.

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
        pseudo_labels: how pseudo-labelled sites are learned from; default: as labelled ones.
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
        for part in (optimization, augment, mean_teacher, pseudo_labels, model.settings)
    ]
    arrays = {name: np.asarray(array) for name, array in vars(sites).items()}
    run = fingerprint([settings, epochs_factor, seed, len(labelled)], arrays, model)

    optimization = scaled(optimization, epochs_factor)
    per_epoch, accumulate = batches_per_epoch(labelled, optimization), optimization.accumulate
    n_steps = total_steps(per_epoch, optimization)
    student = model
    place(student, device)
    teacher = Teacher(student, mean_teacher) if mean_teacher else None
    modules: dict[str, nn.Module] = {"student": student}
    if teacher:
        modules["teacher"] = teacher.model
    judged = teacher.model if teacher else student  # by validation
    if optimization.select == "best":
        modules["best"] = copy.deepcopy(judged)
    optimizer = create_optimizer(student, optimization)
    scaler = gradient_scaler(device, optimization.amp)
    pseudo_labels = pseudo_labels or PseudoLabelLoss()
    totals = torch.zeros(5, dtype=torch.float64, device=device)  # of an epoch: see `history.means`
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
        totals *= group.rank == 0  # a state holds the sums over all processes
        write_history(history_path, history)
        while step < n_steps and not stalled(history, optimization.patience):
            epoch, started = step // per_epoch, time.monotonic()
            end = min((epoch + 1) * per_epoch, n_steps)
            student.train()
            whole = epoch_batches(labelled, len(unlabelled), optimization, seed, epoch, range(step, end), per_epoch)
            wanted = shared_out(whole, labelled, group)
            for (chosen, share), pixels in prefetch(lambda part: reader.read(sites.rows[part[0]]), wanted):
                rate = learning_rate(step, per_epoch, optimization)
                for parameters in optimizer.param_groups:
                    parameters["lr"] = rate

                # Everything random in a step follows from seed and step, so a resumed run goes on exactly.
                generator = seed_step(seed, step)
                alpha = pseudo_label_share(step / n_steps, step / per_epoch, pseudo_labels, epochs_factor)
                views = Views(follows, pseudo_labels, alpha)
                batch = prepare(model, sites, chosen, share, pixels, augment, generator, device, views)
                n, s = share.labelled, len(batch.labels)
                with autocast(device, optimization.amp):
                    output = net(batch.seen, *batch.cell_type)
                    _, logits, margin_logits = output.at(s)
                    how = (optimization.label_smoothing, optimization.focal)
                    loss = classification_loss(
                        logits, batch.labels, model.settings, batch.weight, *how, margin_logits, count=n
                    )
                    if batch.weak_labels is not None:
                        loss = loss + classification_loss(
                            output.logits[s:], batch.weak_labels, model.settings, batch.weak_weight, *how,
                            count=n, margin=False,
                        )  # fmt: skip
                    total, drift = share.weight_labelled * loss, loss.new_zeros(())
                    if follows and teacher and batch.strong is not None:
                        followed = teacher(batch.strong, *(types[s:] for types in batch.cell_type))
                        drift = consistency_loss(output.logits[s:], followed)
                        drift_weight = consistency_weight(step / per_epoch, teacher.settings)
                        total = total + share.weight_all * drift_weight * drift

                scaler.scale(total / accumulate).backward()  # type: ignore[no-untyped-call]
                right = batch.labels.gather(1, logits.detach().argmax(1, keepdim=True)).sum()
                totals += torch.stack([loss.detach() * n, drift.detach() * n, right, *right.new_tensor([n, s])])
                losses.add(step, sites.rows[chosen], total)
                step += 1
                if step < end and (step - epoch * per_epoch) % accumulate:
                    continue  # further batches add their gradients

                if optimization.clip_norm is not None:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(student.parameters(), optimization.clip_norm)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                if teacher:
                    teacher.update(student, (step - 1) / n_steps, (step - 1) / per_epoch)
                looks = group.looks(step // accumulate)
                if step < end and looks and group.any(terminated.is_set() or checkpoints.due()):
                    save()

            losses.check()
            row = {"epoch": epoch + 1, "step": step, "rate": rate, **means(group.sum(totals), follows)}
            if (epoch + 1) % optimization.validate_every == 0 or step == n_steps:
                row |= evaluate(judged, reader, validation, optimization, group)
            history.append(row)
            if "best" in modules and is_best(history):
                modules["best"].load_state_dict(judged.state_dict())
            write_history(history_path, history)
            log(sentence(row, math.ceil(n_steps / per_epoch), time.monotonic() - started))
            totals.zero_()
            over = step == n_steps or stalled(history, optimization.patience)
            if group.any(terminated.is_set() or checkpoints.due(epoch_ended=True)) or over:
                save()
    if "best" in modules:
        judged.load_state_dict(modules["best"].state_dict())
    return TrainingResult(student.eval(), teacher.model if teacher else None, history)


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
