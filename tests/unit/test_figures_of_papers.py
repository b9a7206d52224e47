"""Figures that the papers draw say what the tables, networks and publications say."""

from collections import Counter
from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cellsignal.augment import Draws, dihedral, standardize
from cellsignal.class_sample import choose_classes, comparable, sample_around
from cellsignal.config.learning import AugmentSettings, ModelSettings
from cellsignal.errors import BadInput
from cellsignal.example_classes import choose_examples
from cellsignal.example_views import Mixture, example_mixtures, example_views
from cellsignal.figures.augmentation_examples import augmentation_examples
from cellsignal.figures.channel_variance import channel_components, channel_variance
from cellsignal.figures.class_examples import class_examples, row_composites
from cellsignal.figures.layer_table import layer_table as draw_layers
from cellsignal.figures.plate_layout import count_wells, fullest_experiment, plate_layout
from cellsignal.figures.published_scores import published_scores, ranked
from cellsignal.figures.tsne_classes import ClassMap, tsne_classes
from cellsignal.kaggle_score import truncated
from cellsignal.layers import MOST, layer_table
from cellsignal.models import build_model
from cellsignal.published import PUBLISHED, is_rxrx1, own_score
from cellsignal.sites import well_table
from cellsignal.variance import variance_components

CHANNELS = ["nuclei", "actin", "golgi"]


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def title(ax: Any) -> str:
    return str(ax.get_title(loc="left"))


def sites_of(cell_types: dict[str, int], plates: int = 4, treatments: int = 8, controls: int = 2) -> pd.DataFrame:
    """A screen like RxRx1: in each experiment every treatment once, every control on every plate, two sites a well."""
    rows = []
    per_plate = treatments // plates
    for cell_type, experiments in cell_types.items():
        for e, plate in product(range(1, experiments + 1), range(1, plates + 1)):
            experiment = f"{cell_type}-{e:02d}"
            held = [("treatment", per_plate * (plate - 1) + i) for i in range(per_plate)]
            held += [("positive_control", treatments + i) for i in range(controls)]
            held += [("negative_control", treatments + controls)] * plate  # as many as the plate's number
            for w, (kind, sirna) in enumerate(held):
                well_id = f"{experiment}_{plate}_B{w + 2:02d}"
                rows += [
                    (f"{well_id}_{s}", well_id, experiment, str(plate), f"{experiment}_{plate}", f"B{w + 2:02d}", 1,
                     w + 1, s, cell_type, "train", kind, sirna)
                    for s in (1, 2)
                ]  # fmt: skip
    columns = ["site_id", "well_id", "experiment", "plate", "plate_id", "well", "row", "column", "site", "cell_type"]
    return pd.DataFrame(rows, columns=[*columns, "dataset", "well_type", "sirna"])


def classes_of(sites: pd.DataFrame) -> pd.DataFrame:
    found = sites.drop_duplicates("sirna").sort_values("sirna", ignore_index=True)[["sirna", "well_type"]]
    return found.assign(name=[f"s{sirna}" for sirna in found["sirna"]])


# ---------------------------------------------------------------- variance of channel means


def nested(sizes: list[list[list[int]]], seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Values of nested groups, and the groups: cell type → experiment → images per plate."""
    rows = [
        (f"c{c}", f"c{c}e{e}", f"c{c}e{e}p{p}")
        for c, experiments in enumerate(sizes)
        for e, plates in enumerate(experiments)
        for p, images in enumerate(plates)
        for _ in range(images)
    ]
    random = np.random.default_rng(seed)
    effect: dict[str, float] = {}
    for row in rows:
        for name, sd in zip(row, (2.0, 1.0, 0.5), strict=True):
            effect.setdefault(name, sd * random.normal())
    values = np.array([sum(effect[name] for name in row) for row in rows]) + random.normal(0, 0.7, len(rows))
    table = np.array(rows)
    return values, {name: table[:, i] for i, name in enumerate(("cell type", "experiment", "plate"))}


def test_components_of_equal_groups_are_those_of_the_textbook() -> None:
    """Balanced: σ²(level) = (mean square of the level − mean square of the next finer one) / values per group."""
    values, groups = nested([[[6] * 4] * 5] * 3)
    y = values.reshape(3, 5, 4, 6)
    means = [y.mean(), y.mean((1, 2, 3)), y.mean((2, 3)), y.mean(3), y]
    squares = []
    for level, (coarse, fine) in enumerate(pairwise(means)):
        total = 0.0
        for index in np.ndindex(fine.shape):
            total += (fine[index] - (coarse if level == 0 else coarse[index[:-1]])) ** 2
        each = y.size / fine.size
        squares.append(each * total / (fine.size - np.size(coarse)))
    expected = [(squares[0] - squares[1]) / 120, (squares[1] - squares[2]) / 24, (squares[2] - squares[3]) / 6]
    table = variance_components(values, groups, "image")
    assert table["variance"].tolist() == pytest.approx([*expected, squares[3]])
    assert table["level"].tolist() == ["cell type", "experiment", "plate", "image"]
    assert table["groups"].tolist() == [3, 15, 60, 360] and table["degrees"].tolist() == [2, 12, 45, 300]
    assert table["share"].sum() == pytest.approx(1)


def test_components_of_unequal_groups_solve_the_expected_mean_squares() -> None:
    """E[y'Ay] = Σ σ²ₖ tr(A Zₖ Zₖ'), with the matrices written out."""
    values, groups = nested([[[3, 5, 2], [4, 4]], [[2, 7], [6, 1, 3], [2, 2]], [[9, 2], [3, 8, 4, 5]]], seed=1)
    n = len(values)
    indicator = [np.ones((n, 1))]
    for names in groups.values():
        indicator.append((names[:, None] == np.unique(names)[None, :]).astype(float))
    indicator.append(np.eye(n))
    project = [z @ np.linalg.inv(z.T @ z) @ z.T for z in indicator]
    square, expected = [], []
    for coarse, fine in pairwise(range(len(indicator))):
        a = (project[fine] - project[coarse]) / (indicator[fine].shape[1] - indicator[coarse].shape[1])
        square.append(values @ a @ values)
        expected.append([np.trace(a @ z @ z.T) for z in indicator[1:]])
    solved = np.linalg.solve(np.array(expected), np.array(square))
    assert (solved > 0).all()
    assert variance_components(values, groups)["variance"].tolist() == pytest.approx(solved.tolist())


def test_a_level_that_cannot_be_told_apart_has_no_variance() -> None:
    values, groups = nested([[[40]] * 30])  # one cell type, one plate per experiment
    table = variance_components(values, groups, "image").set_index("level")["variance"]
    assert table.isna().to_dict() == {"cell type": True, "experiment": False, "plate": True, "image": False}
    assert table["experiment"] == pytest.approx(1.0 + 0.25, rel=0.4)  # both in one
    assert table["image"] == pytest.approx(0.49, rel=0.1)
    assert variance_components([1.0], {"plate": ["a"]})["variance"].isna().all()


def test_negative_estimates_count_as_nothing() -> None:
    values = np.tile([0.0, 1.0], 6)  # all plates alike
    table = variance_components(values, {"plate": np.repeat(list("abcdef"), 2)})
    assert table["variance"].tolist() == [0.0, pytest.approx(0.5)] and table["share"].tolist() == [0.0, 1.0]


def test_channel_variance_draws_the_components_of_the_log() -> None:
    values, groups = nested([[[5] * 2] * 3] * 2)
    means = pd.DataFrame(
        {"channel": 1, "mean": np.exp(values), "cell_type": groups["cell type"], "experiment": groups["experiment"],
         "plate_id": groups["plate"]}
    )  # fmt: skip
    dark = means.assign(channel=0, mean=0.0)  # a channel without light varies in nothing
    components = channel_components(pd.concat([means, dark]))
    of_light = components[components["channel"] == 1]
    assert of_light["variance"].tolist() == pytest.approx(variance_components(values, groups)["variance"].tolist())
    assert (of_light["sd"] ** 2).tolist() == pytest.approx(of_light["variance"].tolist())
    left, right = channel_variance(components, ["dark", "light"]).axes
    bars = [patch.get_width() for patch in left.patches]
    assert bars[1::2] == pytest.approx(of_light["sd"].tolist()) and bars[0::2] == pytest.approx([0.0] * 4, abs=1e-9)
    assert [patch.get_width() for patch in right.patches][1::2] == pytest.approx(of_light["share"].tolist())


def test_channel_variance_names_what_cannot_be_told_apart() -> None:
    values, groups = nested([[[5]] * 3])
    means = pd.DataFrame({"channel": 0, "mean": np.exp(values), "cell_type": "c", "experiment": groups["experiment"]})
    figure = channel_variance(channel_components(means.assign(plate_id=means["experiment"])), ["light"])
    (legend,) = figure.legends
    assert "cell type and plate: one in each group" in legend.get_title().get_text()
    assert [text.get_text() for text in legend.get_texts()] == [
        "between experiments of a cell type (3 experiments)",
        "between images of a plate (15 images)",
    ]
    alone = channel_components(means.iloc[:1].assign(plate_id="p"))
    assert "no variance" in texts(channel_variance(alone, ["light"]).axes[0])[0]


# ---------------------------------------------------------------- plates of an experiment


def test_counts_of_wells_are_those_of_a_loop() -> None:
    sites = sites_of({"HUVEC": 1})
    sites = sites[sites["well_id"] != "HUVEC-01_2_B04"]  # plate 2 lacks its first positive control
    wells, classes = well_table(sites.assign(images="")), classes_of(sites_of({"HUVEC": 1}))
    expected: Counter[tuple[str, str, str]] = Counter()
    for well in wells.to_dict("records"):
        expected[well["plate_id"], "well type", well["well_type"].replace("_", " ")] += 1
        if well["well_type"] == "positive_control":
            expected[well["plate_id"], "positive control", f"s{well['sirna']}"] += 1
    counts = count_wells(wells, classes)
    found = {(row["plate_id"], row["of"], row["name"]): row["wells"] for row in counts.to_dict("records")}
    assert {key: value for key, value in found.items() if value} == dict(expected)
    assert found["HUVEC-01_2", "positive control", "s8"] == 0
    figure = plate_layout(wells, counts, 4, 10)
    table = figure.axes[-1]
    bold = [text.get_text() for text in table.texts if text.get_weight() == "bold"]
    assert bold.count("0") == 1 and "wells by positive control" in bold  # the one that is missing
    assert texts(table)[texts(table).index("1  s8") + 1 :][:5] == ["1", "0", "1", "1", "3"]


@pytest.mark.parametrize(
    ("plates", "controls", "maps", "tables"), [(1, 2, 2, 2), (4, 0, 4, 1), (5, 2, 10, 2), (14, 1, 24, 2)]
)
def test_plates_stand_side_by_side_however_many_they_are(plates: int, controls: int, maps: int, tables: int) -> None:
    sites = sites_of({"HUVEC": 1}, plates, treatments=plates * 2, controls=controls)
    wells = well_table(sites.assign(images=""))
    figure = plate_layout(wells, count_wells(wells, classes_of(sites)), 4, 24)
    assert len(figure.axes) == maps + tables
    drawn = [title(ax).split("\n")[0] for ax in figure.axes if "wells" in title(ax)]
    assert drawn == sorted(wells["plate_id"].unique())[:12]
    assert ("the first 12 of its 14 plates" in figure.get_suptitle()) == (plates == 14)
    first = figure.axes[0].collections
    placed = {tuple(at) for part in first for at in part.get_offsets().tolist()}
    of_first = wells[wells["plate_id"] == drawn[0]]
    assert placed == set(zip(of_first["column"].astype(float), of_first["row"].astype(float), strict=True))


def test_without_positions_there_are_tables_only() -> None:
    sites = sites_of({"HUVEC": 1}).assign(row=-1, column=-1)
    wells = well_table(sites.assign(images=""))
    figure = plate_layout(wells, count_wells(wells, classes_of(sites)))
    assert [texts(ax)[0] for ax in figure.axes] == ["wells by well type", "wells by positive control"]
    assert not figure.legends


def test_the_fullest_experiment_has_most_plates_then_most_wells() -> None:
    wells = pd.DataFrame({"experiment": list("aaabbccc"), "plate_id": ["a1", "a1", "a1", "b1", "b2", "c1", "c2", "c2"]})
    assert fullest_experiment(wells) == "c"
    assert fullest_experiment(wells[wells["experiment"] != "c"]) == "b"


# ---------------------------------------------------------------- class examples


def test_rows_of_examples_share_what_they_say_and_differ_in_the_rest() -> None:
    sites = sites_of({"HEPG2": 2, "HUVEC": 6, "RPE": 3})
    names = classes_of(sites).set_index("sirna")["name"]
    over_experiments, over_plates, over_cell_types, on_a_plate = (
        row.sites for row in choose_examples(sites, names, seed=3)
    )
    assert over_experiments[["cell_type", "sirna"]].drop_duplicates().shape[0] == 1
    assert over_experiments["experiment"].nunique() == 4 and set(over_experiments["cell_type"]) == {"HUVEC"}
    assert set(over_experiments["well_type"]) == {"treatment"}
    assert over_plates[["experiment", "sirna"]].drop_duplicates().shape[0] == 1
    assert over_plates["plate_id"].nunique() == 4
    assert not set(over_plates["well_type"]) & {"treatment"}  # each is on one plate of an experiment
    assert len(set(over_cell_types["sirna"])) == 1
    assert over_cell_types["cell_type"].tolist() == ["HEPG2", "HUVEC", "RPE"]
    assert over_cell_types["label"].tolist()[0].startswith("HEPG2, HEPG2-0")
    assert len(set(on_a_plate["plate_id"])) == 1 and len(set(on_a_plate["sirna"])) == 2  # both treatments of a plate
    assert on_a_plate["label"].tolist() == names[on_a_plate["sirna"]].tolist()


def test_examples_follow_from_the_seed() -> None:
    sites = sites_of({"HUVEC": 6, "RPE": 6}, treatments=40)
    names = classes_of(sites).set_index("sirna")["name"]
    drawn = [
        [row.sites["site_id"].tolist() for row in choose_examples(sites.sample(frac=1, random_state=r), names, seed)]
        for r, seed in ((0, 1), (1, 1), (0, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_row_says_what_the_screen_does_not_have() -> None:
    sites = sites_of({"HUVEC": 1}, plates=1, treatments=2, controls=0)
    rows = choose_examples(sites, classes_of(sites).set_index("sirna")["name"], seed=0)
    assert [len(row.sites) for row in rows] == [0, 0, 0, 2]
    images = np.random.default_rng(0).integers(0, 255, (2, 1, 8, 8), dtype=np.uint8)
    figure = class_examples(rows, [images], ["light"])
    said = [texts(ax)[0] for ax in figure.axes if ax.texts]
    assert said == [
        "one class over experiments: No class of a cell type is in two experiments.",
        "one class over plates of an experiment: No class is on two plates of an experiment.",
        "one class over cell types: No class is in two cell types.",
    ]
    assert sum(len(ax.images) for ax in figure.axes) == 2
    nothing = choose_examples(sites.iloc[:0], pd.Series(dtype=str), seed=0)
    assert len(class_examples(nothing, [], ["light"]).axes) == 8  # four rows that say so


def test_composites_of_a_row_keep_the_brightness_of_its_images() -> None:
    images = np.random.default_rng(0).integers(0, 1000, (2, 1, 20, 20)).astype(np.uint16)
    images[1] //= 4
    bright, dark = row_composites(images, ["light"])
    low, high = np.percentile(images, 0.5), np.percentile(images, 99.7)
    expected = np.clip((images - low) / (high - low), 0, 1)  # then scaled once more, so that 0.3 % of pixels saturate
    assert bright[..., 0] == pytest.approx(expected[0, 0], abs=1e-3)
    assert dark[..., 0] == pytest.approx(expected[1, 0], abs=1e-3)
    assert dark.max() < 0.3 < bright.max()


# ---------------------------------------------------------------- augmentation


@pytest.fixture
def batch() -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    pixels = np.random.default_rng(0).integers(0, 200, (6, 3, 16, 16), dtype=np.uint8)
    values = torch.from_numpy(pixels.astype(np.float32))
    return pixels, values.mean((2, 3)), values.std((2, 3))


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def plain(**values: object) -> AugmentSettings:
    return AugmentSettings.model_validate({"flips": False, "rotations": False} | values)


def test_views_are_what_augmentation_makes(batch: tuple[np.ndarray, torch.Tensor, torch.Tensor]) -> None:
    pixels, mean, std = batch
    views = example_views(pixels, mean, std, AugmentSettings(erase=1.0, gain=0.5), draws(), count=3)
    assert list(views) == ["standardized", "weak view", "view 1", "view 2", "view 3"]
    exact = (pixels - mean.numpy()[:, :, None, None]) / std.numpy()[:, :, None, None]
    assert views["standardized"] == pytest.approx(exact, abs=1e-4)
    for original, weak, strong in zip(views["standardized"], views["weak view"], views["view 1"], strict=True):
        turned = [dihedral(torch.from_numpy(original), element).numpy() for element in range(8)]
        assert any(np.array_equal(weak, one) for one in turned)
        assert (strong == 0).all(axis=0).any()  # the erased rectangle
    assert not np.array_equal(views["view 1"], views["view 2"])


def test_cutmix_takes_a_rectangle_and_its_share_of_the_label(
    batch: tuple[np.ndarray, torch.Tensor, torch.Tensor],
) -> None:
    pixels, mean, std = batch
    seen = standardize(torch.from_numpy(pixels), mean, std).numpy()
    mixtures = example_mixtures(pixels, mean, std, plain(cutmix=1.0), draws(), count=4)
    assert [mixture.kind for mixture in mixtures] == ["CutMix"] * 4
    for mixture in mixtures:
        assert mixture.first != mixture.second and mixture.box is not None
        top, bottom, left, right = mixture.box
        expected = seen[mixture.first].copy()
        expected[:, top:bottom, left:right] = seen[mixture.second][:, top:bottom, left:right]
        assert np.array_equal(mixture.images[2], expected)
        assert np.array_equal(mixture.images[0], seen[mixture.first])
        assert np.array_equal(mixture.images[1], seen[mixture.second])
        assert mixture.share == pytest.approx(1 - (bottom - top) * (right - left) / 256)


def test_mixup_adds_two_images_by_their_shares(batch: tuple[np.ndarray, torch.Tensor, torch.Tensor]) -> None:
    mixtures = example_mixtures(*batch, plain(mixup=0.4, cutmix=1.0), draws(), count=2)
    assert [mixture.kind for mixture in mixtures] == ["CutMix", "CutMix", "mixup", "mixup"]
    for mixture in mixtures[2:]:
        first, second, both = mixture.images
        assert both == pytest.approx(mixture.share * first + (1 - mixture.share) * second, abs=1e-5)


def test_a_recipe_that_mixes_nothing_has_no_mixtures(batch: tuple[np.ndarray, torch.Tensor, torch.Tensor]) -> None:
    assert example_mixtures(*batch, plain(), draws()) == []
    alone = [part[:1] for part in batch]
    assert example_mixtures(*alone, plain(cutmix=1.0), draws()) == []  # a site that meets itself only


def test_augmentation_examples_print_the_shares_of_both_labels(
    batch: tuple[np.ndarray, torch.Tensor, torch.Tensor],
) -> None:
    views = example_views(batch[0][:2], batch[1][:2], batch[2][:2], plain(), draws())
    images = np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32)
    mixture = Mixture("CutMix", 0, 2, images, 0.625, (2, 8, 4, 14))
    figure = augmentation_examples(views, ["one\na", "two\nb"], [mixture], ["a", "b", "c"], CHANNELS)
    assert len(figure.axes) == 3 * 6
    assert [title(ax) for ax in figure.axes[:6]] == list(views)
    a, b, mixed = figure.axes[12:15]
    assert (title(a), title(b)) == ("A: a", "B: c")
    assert title(mixed) == "λ = 0.62\n0.62 a\n+ 0.38 c"
    (box,) = mixed.patches
    assert box.get_bbox().bounds == (3.5, 1.5, 10, 6)
    without = augmentation_examples(views, ["one\na", "two\nb"], [], ["a", "b"], CHANNELS)
    assert "The recipe mixes no images." in " ".join(without.get_supxlabel().split()) and len(without.axes) == 12


# ---------------------------------------------------------------- layers


def model_table(**settings: object) -> tuple[pd.DataFrame, nn.Module]:
    chosen = ModelSettings.model_validate({"name": "m"} | settings)
    model = build_model(chosen, 6, 1139, n_cell_types=4)
    told = (torch.zeros(1, 4),) if chosen.cell_type else ()
    return layer_table(model, torch.zeros(1, 6, 64, 64), *told), model


def test_layers_of_densenet_161_are_the_papers() -> None:
    """6 × 512² → 2,208 × 16² → pooled 2,208 ‖ 4 = 2,212 → 1,024; here of 64², an eighth."""
    table, _ = model_table(backbone="densenet161", embedding=1024, neck="mlp", cell_type=True, head="composite")
    rows = table.set_index("name")
    assert rows.loc["backbone.features.denseblock4", "output"] == "2208 × 2 × 2"
    assert rows.loc["backbone.global_pool", "output"] == "2208"
    assert rows.loc["neck.0", "output"] == "2212" and rows.loc["neck.1", "output"] == "1024"
    assert rows.loc[["head", "margin_head"], "output"].tolist() == ["1139", "1139"]
    # torchvision documents 28,681,000 for 1,000 classes and 3 channels; less its classifier, plus 3 more channels.
    features = rows[rows.index.str.startswith("backbone.")]["weights"].sum()
    assert features == 28_681_000 - (2208 * 1000 + 1000) + 3 * 96 * 7 * 7


@pytest.mark.parametrize(
    "settings",
    [
        {"backbone": "legacy_xception"},
        {"backbone": "resnet50", "head": "softmax"},
        {"backbone": "capstone_cnn", "backbone_options": {"image_size": 64}},
        {"backbone": "test_byobnet"},
        {"backbone": "vit_tiny_patch16_224", "backbone_options": {"img_size": 64}},  # has weights of no layer
    ],
    ids=lambda settings: settings["backbone"],
)
def test_rows_of_the_layer_table_are_few_and_hold_every_weight(settings: dict[str, object]) -> None:
    table, model = model_table(**settings)
    assert 5 <= len(table) <= MOST
    assert table["weights"].sum() == sum(weight.numel() for weight in model.parameters())
    assert table["name"].is_unique and table["name"].iloc[0].startswith("backbone.") and "head" in set(table["name"])


def test_a_layer_table_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 3)  # declared first, passed last
            layers = nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1)
            self.body = nn.Sequential(nn.Sequential(*layers))
            self.spare = nn.Linear(5, 1)  # never passed
            self.bias = nn.Parameter(torch.zeros(7))

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.last(self.body(images).flatten(1)),)

    net = Net().train()
    table = layer_table(net, torch.zeros(1, 2, 8, 6))
    assert table.to_numpy().tolist() == [
        ["body.0.0", "Conv2d", "4 × 6 × 4", 2 * 4 * 9],
        ["body.0.3", "AdaptiveAvgPool2d", "4 × 1 × 1", 0],
        ["last", "Linear", "3", 15],
        ["spare", "Linear", "", 6],
        ["bias", "weights", "", 7],
    ]
    assert net.training and not net._forward_hooks
    folded = layer_table(net, torch.zeros(1, 2, 8, 6), most=4)
    assert folded["name"].tolist() == ["body.0", "last", "spare", "bias"]
    assert folded["weights"].tolist() == [72, 15, 6, 7] and folded["output"].iloc[0] == "4 × 1 × 1"
    (ax,) = draw_layers(table, "net").axes
    assert {"4 × 6 × 4", "72", "–", f"{72 + 15 + 6 + 7:,}"} <= set(texts(ax))


# ---------------------------------------------------------------- published scores


def kaggle_rows(private: int, wells: int, in_split: int) -> list[dict[str, Any]]:
    return [
        {"split": "all", "accuracy": 0.9, "correct": 9, "wells": 10, "wells_in_split": 19897},
        {"split": "private", "accuracy": truncated(private, wells), "correct": private, "wells": wells,
         "wells_in_split": in_split},
    ]  # fmt: skip


def test_the_two_places_of_the_leaderboard_are_whole_wells_of_the_private_set() -> None:
    by_name = {score.name: score for score in PUBLISHED}
    assert by_name["first place of the competition"].accuracy == truncated(14325, 14359)
    assert by_name["DeepNoise, second place: + balancing by the layout"].accuracy == truncated(14301, 14359)
    for score in PUBLISHED:  # printed to five decimals: no other number of wells gives the same
        if score.private:
            wells = round(score.accuracy * 14359)
            assert abs(wells / 14359 - score.accuracy) < 1e-5, score.name
    assert all("8,853" in score.wells or "not said" in score.wells for score in PUBLISHED if not score.private)


def test_our_score_stands_where_it_belongs() -> None:
    own, remark = own_score(kaggle_rows(14310, 14359, 14359), "mine", 512)
    assert own is not None and own.private and remark == "" and own.wells == "14,359 private wells"
    scores = ranked(PUBLISHED, own)
    (ax,) = published_scores(scores).axes
    assert [patch.get_width() for patch in ax.patches] == sorted((s.accuracy for s in scores), reverse=True)
    labels = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert labels[:4] == [
        "first place of the competition", "first place: one model, with pseudo-labels", "this run (mine)",
        "DeepNoise, second place: + balancing by the layout",
    ]  # fmt: skip
    assert texts(ax)[2] == "99.658 %"  # 14,310 / 14,359 = 0.996587…, truncated
    hatched = {label for label, patch in zip(labels, ax.patches, strict=True) if patch.get_hatch()}
    assert hatched == {score.name for score in PUBLISHED if "private" not in score.wells}


def test_a_score_on_some_of_the_wells_or_on_other_images_says_so() -> None:
    own, _ = own_score(kaggle_rows(3000, 6000, 14360), "mine", 64)
    assert own is not None and not own.private
    assert own.wells == (
        "6,000 of 14,360 private wells, whose answers are known; images of 64 × 64 pixels, not 512 × 512"
    )
    figure = published_scores(ranked(PUBLISHED, own))
    bar = figure.axes[0].patches[[s.own for s in ranked(PUBLISHED, own)].index(True)]
    assert bar.get_hatch() and bar.get_width() == 0.5


@pytest.mark.parametrize(
    ("kaggle", "said"),
    [
        (None, "No answers of test wells are known"),
        (kaggle_rows(0, 0, 14359), "No answers of private test wells are known"),
        (kaggle_rows(5, 10, 12000), "its private set has 12,000; expected Kaggle's 14,359"),
        (kaggle_rows(5, 10, 14359)[:1], "there is no private set"),
    ],
)
def test_without_answers_to_kaggles_wells_only_published_scores_are_drawn(
    kaggle: list[dict[str, Any]] | None, said: str
) -> None:
    own, remark = own_score(kaggle, "mine", 512)
    assert own is None and said in remark
    figure = published_scores(ranked(PUBLISHED, own), remark)
    assert figure.legends[0].get_title().get_text() == remark
    assert not any("this run" in label.get_text() for label in figure.axes[0].get_yticklabels())


def test_published_scores_stand_beside_rxrx1_and_no_other_screen() -> None:
    assert is_rxrx1("rxrx1", 51, 1139, ["RPE"]) and is_rxrx1("kaggle", 51, 1139, ["RPE"])
    assert not is_rxrx1("simulated", 51, 1139, ["RPE"]) and not is_rxrx1("table", 51, 1139, ["RPE"])
    assert not is_rxrx1("kaggle", 50, 1139, ["RPE"]) and not is_rxrx1("kaggle", 51, 44, ["RPE"])
    assert not is_rxrx1("rxrx1", 51, 1139, [])


# ---------------------------------------------------------------- t-SNE of a few classes


def test_the_most_frequent_treatments_are_chosen_in_the_order_of_classes() -> None:
    sirna = [0] * 2 + [1] * 4 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 9
    sites = pd.DataFrame({"sirna": [*sirna, 0, 0, 0, 0], "dataset": ["train"] * len(sirna) + ["test"] * 4})
    classes = pd.DataFrame({"sirna": range(6), "name": list("abcdef"), "well_type": ["treatment"] * 5 + ["control"]})
    assert choose_classes(sites, classes, None) == [1, 2, 3]
    assert choose_classes(sites, classes.iloc[:2], None) == [1, 0]  # a screen of two classes
    assert choose_classes(sites, classes, ["f", "a", "f"]) == [5, 0]
    with pytest.raises(BadInput, match=r"report\.tsne_classes: no class x, y; expected names such as a, b, c, d, e"):
        choose_classes(sites, classes, ["x", "a", "y"])


def test_a_sample_holds_all_of_the_chosen_and_others_by_stratum() -> None:
    random = np.random.default_rng(0)
    sirna, strata = random.integers(-1, 40, 2000), np.repeat(list("abcd"), 500)
    rows = sample_around(sirna, [3, 4], strata, 400, seed=1)
    chosen = np.flatnonzero(np.isin(sirna, [3, 4]))
    assert set(chosen) <= set(rows) and len(rows) == 400 and rows.tolist() == sorted(set(rows))
    others = np.setdiff1d(rows, chosen)
    counts = Counter(strata[others])
    shares = Counter(strata[~np.isin(sirna, [3, 4])])
    assert all(abs(counts[s] - len(others) * shares[s] / (2000 - len(chosen))) <= 1 for s in "abcd")
    few = sample_around(sirna, [3, 4], strata, 20, seed=1)
    assert len(few) == 20 and set(few) <= set(chosen) and set(sirna[few]) == {3, 4}
    assert len(sample_around(sirna, [99], strata, 50, seed=1)) == 50
    assert len(sample_around([1, 1], [1], ["a", "a"], 50, seed=1)) == 2


def test_no_more_neighbours_are_asked_for_than_there_can_be_right_ones() -> None:
    labels, wells = list("aaaabbbbbc"), [1, 1, 2, 2, 3, 3, 4, 5, 5, 6]
    possible = [
        sum(other == label and its != well for other, its in zip(labels, wells, strict=True))
        for label, well in zip(labels, wells, strict=True)
    ]
    assert comparable(labels, wells, 10) == min(count for count in possible if count) == 2
    assert comparable(labels, wells, 1) == 1
    assert comparable(["a", "a", "b"], [1, 1, 2], 10) == 0  # each class in one well


def test_classes_of_one_well_each_have_no_share() -> None:
    points = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    one = ClassMap("without", points, np.array(["a", "a", *[""] * 6]), float("nan"), float("nan"))
    figure = tsne_classes([one], ["a"], 0)
    assert title(figure.axes[0]) == "without\neach class is in one well: no neighbour to compare"
    assert "Percentages" not in figure.legends[0].get_title().get_text()


def test_chosen_classes_are_coloured_and_counted_over_the_others() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    names = np.array(["a"] * 6 + ["b"] + [""] * 43)
    maps = [ClassMap("without", points, names, 0.5, 0.25), ClassMap("with", points + 1, names, 0.75, 0.25)]
    figure = tsne_classes(maps, ["a", "b", "gone"], 10)
    left, right = figure.axes
    others, a, b, gone = right.collections
    assert a.get_offsets().tolist() == (points[:6] + 1).tolist() and len(b.get_offsets()) == 1
    assert len(others.get_offsets()) == 43 and len(gone.get_offsets()) == 0
    assert title(left) == "without\n50 % of neighbours share the class (chance 25 %)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "other sites (43)", "a (6 sites)", "b (1 site)", "gone (0 sites)",
    ]  # fmt: skip
