"""The teacher is the average it should be, and learns from sites without labels but never their labels."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_training as tiny
import torch

from cellsignal.config.learning import MeanTeacher
from cellsignal.config.load import read_config
from cellsignal.mean_teacher import Teacher, average, consistency_weight, decay

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tiny.TEACHER


def filled(value: float):
    model = tiny.model()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(value)
    return model


def test_the_average_of_a_constant_student_has_its_closed_form_for_parameters_and_buffers():
    teacher, student = filled(1.0), filled(3.0)
    for _ in range(7):
        average(teacher, student, 0.9)
    expected = 3.0 + (1.0 - 3.0) * 0.9**7
    for name, tensor in teacher.state_dict().items():
        whole = not tensor.is_floating_point()
        torch.testing.assert_close(tensor, torch.full_like(tensor, 3 if whole else expected), msg=name)


def test_the_decay_is_that_of_the_last_reached_entry():
    settings = MeanTeacher()
    at = [decay(progress, 0.0, settings) for progress in (0, 0.2499, 0.25, 0.5, 0.75, 1)]
    assert at == [0.5, 0.5, 0.9, 0.99, 0.999, 0.999]
    assert decay(0.1, 0.0, MeanTeacher(decay=[[0.5, 0.9]])) == 0.0


def test_the_decay_of_deepnoises_code_steps_at_epochs_of_each_fine_tune_whatever_its_length():
    finetune = read_config([ROOT / "config.yaml"]).finetune
    at = [decay(0.5, epoch, finetune.mean_teacher) for epoch in (0, 0.99, 1, 9.9, 10, 19.9, 20, 160)]
    assert at == [0.5, 0.5, 0.9, 0.9, 0.99, 0.99, 0.999, 0.999]


def test_epochs_reach_the_teacher_unscaled(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("cellsignal.mean_teacher.decay", lambda progress, epoch, settings: seen.append(epoch) or 0.9)
    settings = MeanTeacher(decay=None, decay_epochs=[[0, 0.5], [1, 0.9]], consistency=0.0)
    tiny.run(tmp_path / "s", mean_teacher=settings, epochs_factor=0.5)  # 1.5 epochs of 6 batches
    assert seen == pytest.approx([step / 6 for step in range(9)])


def test_one_of_both_kinds_of_decay_is_given():
    for both in ({"decay": [[0.0, 0.5]], "decay_epochs": [[0, 0.5]]}, {"decay": None}):
        with pytest.raises(ValueError, match="expected one of them, the other null"):
            MeanTeacher(**both)
    with pytest.raises(ValueError, match="decay_epochs: starts"):
        MeanTeacher(decay=None, decay_epochs=[[1, 0.5], [1, 0.9]])


def test_the_consistency_ramp_starts_at_exp_minus_5_and_ends_at_the_weight():
    settings = MeanTeacher(consistency=100.0, ramp_epochs=5.0)
    assert consistency_weight(0, settings) == pytest.approx(100 * math.exp(-5))
    assert consistency_weight(2.5, settings) == pytest.approx(100 * math.exp(-1.25))
    assert consistency_weight(5, settings) == consistency_weight(80, settings) == 100.0
    assert consistency_weight(0, settings.model_copy(update={"ramp_epochs": 0.0})) == 100.0


def test_the_teacher_starts_as_the_student_and_never_learns_by_gradient():
    student = tiny.model()
    teacher = Teacher(student, SETTINGS)
    logits = teacher(torch.zeros(2, 3, 16, 16))
    assert not logits.requires_grad and not teacher.model.training and student.training
    assert all(torch.equal(a, b) for a, b in zip(teacher.model.parameters(), student.parameters(), strict=True))


def test_unlabelled_sites_are_read_with_the_labelled_ones_and_change_the_result(tmp_path):
    reader = tiny.Reader()
    none = tiny.sites(range(0))
    result = tiny.run(tmp_path / "a", reader, mean_teacher=SETTINGS, validation=none)
    batches = [rows for rows in reader.seen if len(rows) == 32]
    assert len(batches) == 18
    for rows in batches:
        assert (rows[:16] < 100).all() and (rows[16:] >= 140).all()
    counts = np.bincount(np.concatenate([rows[16:] for rows in batches]), minlength=200)[140:]
    assert counts.min() >= 4 and counts.max() <= 5
    alone = tiny.run(tmp_path / "b", mean_teacher=SETTINGS.model_copy(update={"unlabelled": False}), validation=none)
    assert not torch.equal(result.student.head.weight, alone.student.head.weight)


def test_withheld_labels_cannot_matter(tmp_path):
    honest = tiny.run(tmp_path / "a", mean_teacher=SETTINGS)
    leaking = tiny.sites(range(140, 200), labelled=True)
    other = tiny.run(tmp_path / "b", mean_teacher=SETTINGS, unlabelled=leaking)
    assert torch.equal(honest.student.head.weight, other.student.head.weight)


def test_stage_2_improves_on_its_start_and_reports_the_teacher(tmp_path):
    longer = tiny.OPTIMIZATION.model_copy(update={"epochs": 10.0})
    result = tiny.run(tmp_path / "s", mean_teacher=SETTINGS, optimization=longer)
    table = pd.read_csv(tmp_path / "s.csv")
    assert (table["consistency"] > 0).all()
    assert table["validation_accuracy"].iloc[-1] > 0.9
    reader = tiny.Reader()
    images = torch.from_numpy((reader.pixels[100:140] - 90.0) / 30.0).float()
    right = (result.teacher(images)[1].argmax(1).numpy() == reader.target[100:140]).mean()
    assert right == pytest.approx(table["validation_accuracy"].iloc[-1])
    assert not torch.equal(result.teacher.head.weight, result.student.head.weight)


def test_without_consistency_the_teacher_is_an_average_and_unlabelled_sites_are_left_alone(tmp_path):
    reader = tiny.Reader()
    only = SETTINGS.model_copy(update={"consistency": 0.0})
    averaged = tiny.run(tmp_path / "a", reader, mean_teacher=only)
    assert max(rows.max() for rows in reader.seen) < 140
    plain = tiny.run(tmp_path / "b")
    assert torch.equal(averaged.student.head.weight, plain.student.head.weight)
    assert pd.read_csv(tmp_path / "a.csv")["consistency"].isna().all()


def test_pseudo_labels_of_weight_0_leave_the_head_without_gradient_from_their_class(tmp_path):
    pseudo = tiny.sites(range(140, 180), weight=0.0)
    labelled = tiny.sites(range(100))
    right = tiny.run(tmp_path / "a", labelled=labelled + pseudo)
    wrong_classes = tiny.TrainingSites(pseudo.rows, (pseudo.target + 1) % 4, pseudo.weight, pseudo.mean, pseudo.std)
    wrong = tiny.run(tmp_path / "b", labelled=labelled + wrong_classes)
    assert torch.equal(right.student.head.weight, wrong.student.head.weight)
