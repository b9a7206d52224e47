"""What a recipe can switch on in the one training loop, each against what it should be."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_training as tiny
import torch
from torch import nn

from cellsignal.config.learning import AugmentSettings, Finetuning, MeanTeacher, Optimization, PseudoLabelLoss, Schedule
from cellsignal.errors import BadInput
from cellsignal.loader import TrainingSites
from cellsignal.models import PerturbationModel
from cellsignal.selection import is_best, stalled

pytestmark = pytest.mark.usefixtures("one_thread")

STILL = AugmentSettings(flips=False, rotations=False)
CUT = AugmentSettings(cutmix=1.0)
PLATES = np.repeat(np.arange(5), [30, 30, 20, 17, 3])


def weights(result) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in (result.teacher or result.student).state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def options(**changes) -> Optimization:
    return tiny.OPTIMIZATION.model_copy(update=changes)


class Stop(tiny.Reader):
    """Fails at a read, as a kill would end the run."""

    def read(self, rows):
        if len(self.seen) == self.die_at:
            raise BadInput("stop here")
        self.seen.append(np.asarray(rows))
        return self.pixels[rows]


class Flat(nn.Module):
    """A backbone without BatchNorm or dropout: one linear layer."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(tiny.CHANNELS * tiny.SIZE**2, self.num_features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


def linear(seed: int = 0) -> PerturbationModel:
    torch.manual_seed(seed)
    settings = tiny.MODEL.model_copy(update={"embedding": None, "dropout": 0.0, "head": "softmax"})
    return PerturbationModel(Flat(), settings, tiny.CHANNELS, tiny.CLASSES)


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path):
    common = {"optimizer": "sgd", "momentum": 0.9, "rate": 0.01, "schedule": Schedule(kind="constant")}
    large = options(batch_size=24, **common)
    small = options(batch_size=8, accumulate=3, **common)
    of_large, of_small, every_batch = (
        tiny.run(tmp_path / name, labelled=tiny.sites(range(96)), model=linear(), optimization=how, augment=STILL)
        for name, how in (("large", large), ("small", small), ("each", small.model_copy(update={"accumulate": 1})))
    )
    for name, expected in weights(of_large).items():
        torch.testing.assert_close(weights(of_small)[name], expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(weights(every_batch)["head.weight"], weights(of_large)["head.weight"], atol=1e-4)


@pytest.mark.parametrize(("name", "how", "changes"), [
    ("accumulate", {"accumulate": 4}, {}),
    ("cutmix", {}, {"augment": CUT}),
    ("best", {"select": "best", "patience": 5}, {}),
    ("plates", {"plate_batches": True}, {"labelled": replace(tiny.sites(range(100)), plate=PLATES)}),
])  # fmt: skip
def test_every_option_resumes_exactly(tmp_path, name, how, changes):
    arguments = {"optimization": options(**how), **changes}
    whole = weights(tiny.run(tmp_path / "whole", **arguments))
    with pytest.raises(BadInput, match="stop here"):
        tiny.run(tmp_path / "s", Stop(die_at=12 if name == "best" else 9), **arguments)  # in the second epoch
    said = []
    assert same(weights(tiny.run(tmp_path / "s", log=said.append, **arguments)), whole)
    assert said[0].startswith("resumed at step ")
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_the_best_epoch_is_the_result_and_it_is_the_teachers_where_there_is_one(tmp_path):
    spoilt = options(epochs=8, rate=1e-2, schedule=Schedule(kind="step", steps=[[6, 3.0]]), select="best")
    for teacher in (None, tiny.TEACHER):
        name = "teacher" if teacher else "student"
        result = tiny.run(tmp_path / name, optimization=spoilt, mean_teacher=teacher)
        accuracy = pd.read_csv(tmp_path / f"{name}.csv")["validation_accuracy"]
        assert accuracy.iloc[-1] < accuracy.max()
        images = torch.from_numpy((tiny.Reader().pixels[100:140] - 90.0) / 30.0).float()
        model = (result.teacher or result.student).eval()
        right = (model(images).logits.argmax(1).numpy() == np.arange(100, 140) % 4).mean()
        assert right == pytest.approx(accuracy.max())


def test_the_first_of_equal_epochs_is_best_and_patience_counts_validations():
    history = [{"validation_accuracy": value} if value else {} for value in (0.5, None, 0.7, 0.7, None, 0.6)]
    assert [is_best(history[:n]) for n in range(1, 7)] == [True, False, True, False, False, False]
    assert [stalled(history[:n], 2) for n in range(7)] == [False] * 6 + [True]
    assert not stalled(history, None) and not stalled([], 1)
    assert stalled(history[:4], 1) and not stalled(history[:3], 1)


def test_a_run_without_progress_ends_early_and_stays_ended(tmp_path):
    hopeless = options(epochs=12, patience=2, rate=1e-9)
    tiny.run(tmp_path / "s", optimization=hopeless)
    table = pd.read_csv(tmp_path / "s.csv")
    accuracy = table["validation_accuracy"].tolist()
    assert len(table) < 12 and max(accuracy[-2:]) <= max(accuracy[:-2])
    reader = tiny.Reader()
    tiny.run(tmp_path / "s", reader, optimization=hopeless)
    assert reader.seen == []


def test_plate_batches_are_read_by_plate_and_validated_with_plate_statistics(tmp_path):
    reader = tiny.Reader()
    labelled = replace(tiny.sites(range(100)), plate=PLATES)
    validation = replace(tiny.sites(range(100, 140)), plate=np.repeat([7, 9], 20))
    how = options(plate_batches=True)
    tiny.run(tmp_path / "p", reader, labelled=labelled, validation=validation, optimization=how)
    trained = [rows for rows in reader.seen if (rows < 100).all()]
    assert len(trained) == 3 * 5 and all(len(set(PLATES[rows])) == 1 for rows in trained)
    assert sorted({len(rows) for rows in trained}) == [3, 16]
    of_validation = [rows for rows in reader.seen if (rows >= 100).all()]
    assert len(of_validation) == 3 * 2 * (2 + 2)  # epochs × plates × (statistics, then predictions) of 20 sites by 16
    assert all((rows < 120).all() or (rows >= 120).all() for rows in of_validation)


def test_pseudo_labels_weigh_nothing_up_to_t1_and_less_before_t2(tmp_path):
    train, test = tiny.sites(range(100)), tiny.sites(range(140, 180), weight=0.3)
    labelled = train + replace(test, pseudo=np.ones(40, np.int64))
    silent = train + tiny.sites(range(140, 180), weight=0.0)
    never, without, ramped, always = (
        weights(tiny.run(tmp_path / str(number), labelled=sites, pseudo_labels=PseudoLabelLoss(ramp=ramp)))[
            "head.weight"
        ]
        for number, (sites, ramp) in enumerate(
            [(labelled, [1.0, 1.0]), (silent, None), (labelled, [0.0, 1.0]), (labelled, None)]
        )
    )
    assert torch.equal(never, without)
    assert not torch.equal(ramped, never) and not torch.equal(ramped, always)


def test_mixing_makes_training_harder_also_beside_a_teacher(tmp_path):
    for name, teacher in (("alone", None), ("teacher", tiny.TEACHER)):
        runs = [
            tiny.run(tmp_path / f"{name}{n}", augment=how, mean_teacher=teacher)
            for n, how in enumerate((CUT, AugmentSettings()))
        ]
        assert not same(*map(weights, runs))
        of_mixed, of_plain = (pd.read_csv(tmp_path / f"{name}{n}.csv")["loss"].iloc[-1] for n in range(2))
        assert of_mixed > of_plain


@pytest.mark.parametrize("view", ["same", "weak"])
def test_training_on_pseudo_labels_resumes_exactly_and_learns_from_them(tmp_path, view):
    test = replace(tiny.sites(range(140, 180), weight=0.3), pseudo=np.ones(40, np.int64))
    arguments = {
        "labelled": tiny.sites(range(100)) + test, "mean_teacher": tiny.TEACHER,
        "pseudo_labels": PseudoLabelLoss(view=view, start_epochs=1.0, supervised_weight=0.95, average="each"),
    }  # fmt: skip
    whole = weights(tiny.run(tmp_path / "whole", **arguments))
    with pytest.raises(BadInput, match="stop here"):
        tiny.run(tmp_path / "s", Stop(die_at=14), **arguments)  # in the second epoch
    assert same(weights(tiny.run(tmp_path / "s", **arguments)), whole)
    late = arguments | {"pseudo_labels": PseudoLabelLoss(view=view, start_epochs=9.0, average="each")}
    assert not same(weights(tiny.run(tmp_path / "late", **late)), whole)


def test_plates_of_pseudo_labels_alone_are_trained_on_from_their_start(tmp_path):
    """Batches of one plate, some of which hold test sites only, and pseudo-labels that start late."""
    train = replace(tiny.sites(range(64)), plate=np.repeat([0, 1], 32))
    test = replace(tiny.sites(range(140, 180), weight=0.3), pseudo=np.ones(40, np.int64), plate=np.full(40, 2))
    labels = PseudoLabelLoss(view="weak", start_epochs=1.0, average="each")
    tiny.run(tmp_path / "s", labelled=train + test, optimization=options(plate_batches=True), pseudo_labels=labels)
    assert np.isfinite(pd.read_csv(tmp_path / "s.csv")["loss"]).all()


def test_a_composite_model_that_is_told_the_cell_type_learns_what_depends_on_it(tmp_path):
    """The class of a site is swapped in the second cell type: images alone do not tell it."""
    settings = tiny.MODEL.model_copy(
        update={"head": "composite", "cell_type": True, "neck": "mlp", "embedding": 16, "dropout": 0.0}
    )

    def of(rows: range) -> TrainingSites:
        plain = tiny.sites(rows)
        cell_type = np.arange(len(plain)) // 4 % 2
        return replace(plain, cell_type=cell_type, target=np.where(cell_type, 3 - plain.target, plain.target))

    model = tiny.build_model(settings, tiny.CHANNELS, tiny.CLASSES, seed=1, n_cell_types=2)
    long = options(epochs=15.0, batch_size=32, rate=1e-2)
    tiny.run(
        tmp_path / "s", model=model, labelled=of(range(100)), validation=of(range(100, 140)), optimization=long,
        augment=STILL,
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "s.csv")["validation_accuracy"].iloc[-1] > 0.9


def test_options_that_exclude_each_other_are_named():
    with pytest.raises(ValueError, match="plate_batches: true, as is balance_classes"):
        options().model_validate({"epochs": 1, "plate_batches": True, "balance_classes": True})
    with pytest.raises(ValueError, match="unlabelled sites join every batch"):
        Finetuning(optimization=Optimization(epochs=1, plate_batches=True))
    Finetuning(optimization=Optimization(epochs=1, plate_batches=True), mean_teacher=MeanTeacher(consistency=0.0))
