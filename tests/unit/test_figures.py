"""Figures say what the tables say, and the same figure gives the same bytes."""

import math
import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from cellsignal.errors import BadInput
from cellsignal.figures import style
from cellsignal.figures.ablation_ladder import ablation_ladder
from cellsignal.figures.confusion import confusion
from cellsignal.figures.grad_cam_grid import grad_cam_grid
from cellsignal.figures.normalization_effect import normalization_effect, spread
from cellsignal.figures.plate_map import has_positions, plate_map
from cellsignal.figures.score_ladder import Rung, score_ladder
from cellsignal.figures.site_images import composite, site_images, stretch
from cellsignal.figures.titles import site_titles
from cellsignal.figures.training_curves import training_curves

RUNGS = [
    Rung("baseline", 0.51549, 14359, reference=True),
    Rung("raw", 0.95535, 14359),
    Rung("+ assignment", 0.99596, 14359),
]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def widths(ax) -> list[float]:
    return [patch.get_width() for patch in ax.patches]


# ---------------------------------------------------------------- style


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_two_saves_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        style.save(score_ladder(RUNGS), tmp_path / f"{name}{suffix}")
    first = (tmp_path / f"a{suffix}").read_bytes()
    assert first == (tmp_path / f"b{suffix}").read_bytes()
    assert b"dc:date" not in first and mpl.__version__.encode() not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_a_users_matplotlibrc_does_not_change_a_figure(tmp_path: Path) -> None:
    style.save(score_ladder(RUNGS), tmp_path / "a.svg")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "mine", "lines.linewidth": 7}):
        style.save(score_ladder(RUNGS), tmp_path / "b.svg")
        assert mpl.rcParams["font.size"] == 20
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.png or \.svg, found \.pdf"):
        style.save(score_ladder(RUNGS), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


def test_cell_types_differ_in_colour_and_marker_whatever_their_names() -> None:
    styles = style.cell_type_styles(["RPE", "A549", "HUVEC", "U2OS", "HEPG2", "MCF7"])
    assert styles["HUVEC"] == style.CELL_TYPES["HUVEC"]
    assert len({colour for colour, _ in styles.values()}) == len({m for _, m in styles.values()}) == 6
    assert style.cell_type_styles(["HUVEC"])["HUVEC"] == styles["HUVEC"]


def test_group_styles_are_56_different_pairs_none_of_them_grey() -> None:
    pairs = {style.group_style(i) for i in range(56)}
    assert len(pairs) == 56
    assert not any(colour == style.GREY for colour, _ in pairs)


def test_a_logarithmic_axis_of_one_value_shows_it_between_plain_numbers() -> None:
    figure, axes = style.panels(1, 1, 3, 2)
    axes[0, 0].plot([0, 1], [136.289, 136.289])
    style.logarithmic(axes[0, 0])
    figure.canvas.draw()
    low, high = axes[0, 0].get_ylim()
    assert low < 130 and high > 142
    assert sum(low < tick < high for tick in axes[0, 0].get_yticks()) >= 2


# ---------------------------------------------------------------- charts


def test_ladder_bars_are_the_accuracies_on_an_axis_from_zero() -> None:
    ax = score_ladder(RUNGS).axes[0]
    assert widths(ax) == [0.51549, 0.95535, 0.99596]
    assert ax.get_xlim()[0] == 0 and ax.get_xticks()[-1] == 1
    assert [label.get_text() for label in ax.get_yticklabels()] == ["baseline", "raw", "+ assignment"]
    assert ax.yaxis_inverted()
    # Gains are over the first rung of the recipe: a reference is not built upon.
    assert texts(ax) == ["51.55 %", "95.53 %", "99.60 %  (+4.06)"]
    assert [bool(patch.get_hatch()) for patch in ax.patches] == [True, False, False]
    assert "wells (14,359)" in ax.get_title(loc="left")


def test_ladder_draws_the_given_interval_and_a_loss() -> None:
    line = {"low": 0.7, "high": 0.95, "groups": 6, "unit": "experiment"}
    ax = score_ladder([Rung("a", 0.8, 100, **line), Rung("b", 0.5, 60), Rung("c", 0.9, 60)]).axes[0]
    assert texts(ax)[2].endswith("(+10.0)")  # over a, not over b
    assert [lines.get_segments()[0][:, 0].tolist() for lines in ax.collections] == [[0.7, 0.95]]  # others have none
    assert "(line: 95 % interval over 6 resampled experiments)" in ax.get_xlabel()
    assert texts(ax)[1].endswith("(−30.0)")
    assert ax.get_yticklabels()[1].get_text() == "b\n60 wells"
    assert "line" not in score_ladder(RUNGS).axes[0].get_xlabel()


def ablation(**line: object) -> dict:
    rungs = [
        {"part": "ladder", "name": name, "accuracy": accuracy, "published": None} | line
        for name, accuracy in (("softmax", 0.6), ("+ ArcFace", 0.7))
    ]
    return {"of": "test wells", "wells": 240, "rungs": rungs}


def test_ablation_draws_the_intervals_that_it_is_given_and_says_what_they_are() -> None:
    def lines(table: dict) -> tuple[list[list[float]], str]:
        ax = ablation_ladder(table).axes[0]
        return [one.get_segments()[0][:, 0].tolist() for one in ax.collections], ax.get_xlabel()

    over = "(line: 95 % interval over 6 resampled experiments)"
    assert lines(ablation(low=0.5, high=0.8, groups=6, unit="experiment")) == (
        [[0.5, 0.8]] * 2, f"accuracy on 240 test wells {over}"
    )  # fmt: skip
    seeds = "accuracy on 240 test wells (line: least and largest of the seeds)"
    assert lines(ablation(low=0.5, high=0.8)) == ([[0.5, 0.8]] * 2, seeds)
    none = "accuracy on 240 test wells (line: no interval: a single plate)"
    assert lines(ablation(low=None, high=None, groups=1, unit="plate")) == ([], none)
    assert lines(ablation()) == ([], "accuracy on 240 test wells")


def test_ablation_shows_how_tightly_classes_cluster_where_that_was_measured() -> None:
    counts = {"sites": 400, "wells": 300, "experiments": 4}
    clusters = [
        {"name": "round 1 without pseudo-labels", "purity": 0.6, "chance": 0.1, "silhouette": -0.05, **counts},
        {"name": "round 1", "purity": 0.7, "chance": 0.1, "silhouette": None, **counts},
        {"name": "not measured", "purity": None, "chance": None, "silhouette": None, **counts},
    ]
    rungs, ax = ablation_ladder(ablation() | {"clusters": clusters}).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["round 1 without pseudo-labels", "round 1"]
    assert widths(ax) == [0.6, 0.7] and texts(ax) == ["60.0 %  (silhouette −0.05)", "70.0 %"]
    assert ax.get_xlabel().endswith("(tick: chance)\n400 sites of 300 wells of 4 experiments")
    assert rungs.get_xlabel() == "accuracy on 240 test wells"


def test_without_answers_the_ladder_says_so() -> None:
    (ax,) = score_ladder([Rung("raw", float("nan"), 0)]).axes
    assert "nothing to score" in texts(ax)[0]


def test_without_held_out_wells_there_is_nothing_to_confuse_or_to_look_at() -> None:
    (ax,) = confusion(np.zeros((3, 3), dtype=int), ["a", "b", "c"]).axes
    assert texts(ax)[0].startswith("No fold held out wells")
    nothing = np.zeros((0, 2, 8, 8), np.uint8), np.zeros((0, 8, 8)), ["a", "b"], [], np.zeros((0, 2)), ""
    (ax,) = grad_cam_grid(*nothing).axes
    assert "held out no wells" in texts(ax)[0]


def test_confusion_rows_are_shares_of_their_true_class() -> None:
    counts = np.array([[8, 2, 0, 0], [0, 5, 0, 5], [0, 0, 0, 0], [0, 0, 0, 4]])
    figure = confusion(counts, ["a", "b", "unused", "d"])
    tree, ax = figure.axes[:2]
    names = [label.get_text().split(" ")[0] for label in ax.get_yticklabels()]
    shares = pd.DataFrame(np.asarray(ax.images[0].get_array()), names, names)
    assert shares.loc[["a", "b", "d"], ["a", "b", "d"]].to_numpy().tolist() == [[0.8, 0.2, 0], [0, 0.5, 0.5], [0, 0, 1]]
    assert sorted(label.get_text() for label in ax.get_yticklabels()) == ["a (10)", "b (10)", "d (4)"]
    assert sorted(texts(ax)) == sorted(["80", "20", "50", "50", "100"])
    assert "24 wells, 70.8 % right" in tree.get_title(loc="left")
    # b and d are confused in 5 of 14 wells; a with b in 2 of 20, and never with d: too few for the three.
    assert [patch.get_width() for patch in ax.patches] == [2]


def test_confusion_of_many_classes_lists_the_worst_pairs_first() -> None:
    counts = 10 * np.eye(60, dtype=int)
    counts[3, 7], counts[7, 3], counts[20, 50] = 4, 1, 3
    figure = confusion(counts, [f"s{i}" for i in range(60)], pairs=2)
    ax = figure.axes[0]
    matrix = figure.axes[2]  # of the classes in confused pairs only
    assert {label.get_text() for label in matrix.get_xticklabels()} == {"s3", "s7", "s20", "s50"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["s3, s7", "s20, s50"]
    assert widths(ax) == [4, 3, 1, 0]  # forward bars, then the reverse ones
    assert [text.strip() for text in texts(ax)] == ["5 of 25", "3 of 23"]


def test_confusion_refuses_names_that_do_not_fit() -> None:
    with pytest.raises(BadInput, match=r"\(2, 2\), expected \(3, 3\)"):
        confusion(np.eye(2, dtype=int), ["a", "b", "c"])


def history(models: int, folds: int, cell_types: list[str], rounds: int) -> pd.DataFrame:
    stages = [("", 0), *((cell_type, r) for cell_type in cell_types for r in range(rounds))]
    return pd.DataFrame(
        [
            {
                "model": f"m{m}", "fold": fold, "cell_type": cell_type, "round": r, "epoch": epoch,
                "step": 10 * epoch, "rate": 1e-3, "loss": 3 / epoch, "accuracy": epoch / 10,
                "validation_loss": 4 / epoch, "validation_accuracy": epoch / 10 - 0.1 * fold if epoch % 2 else np.nan,
                "consistency": 0.1 if cell_type else np.nan,
            }
            for m in range(models) for fold in range(folds)
            for cell_type, r in stages for epoch in range(1, 6)
        ]
    )  # fmt: skip


def test_curves_have_a_panel_per_model_stage_and_quantity() -> None:
    axes = training_curves(history(2, 3, ["HUVEC", "RPE"], 2)).axes
    assert len(axes) == 2 * 3 * 3
    assert len([ax for ax in axes if not ax.axison]) == 2  # stage 1 has no consistency loss
    accuracy = axes[7]  # model 0, accuracy, HUVEC
    assert len(accuracy.lines) == 2 * 3 * 2  # rounds × folds × (training, validation)
    training, validation = accuracy.lines[0], accuracy.lines[6]
    assert training.get_ydata().tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert validation.get_xdata().tolist() == [1, 3, 5]  # epochs without a validation leave no gap
    assert accuracy.get_title(loc="left") == "validation at the end: 40.0 → 40.0 %"  # folds end at 50, 40 and 30 %


def test_curves_without_validation_say_so() -> None:
    table = history(1, 2, ["HUVEC"], 1)
    fold = (table["fold"] == 1) & (table["cell_type"] == "HUVEC")
    validated = ["validation_loss", "validation_accuracy"]
    table.loc[fold, validated] = np.nan  # one fold holds out no HUVEC
    assert training_curves(table).axes[5].get_title(loc="left") == "validation at the end: 50.0 %"
    table[validated] = np.nan
    accuracies = training_curves(table).axes[4:]
    assert [ax.get_title(loc="left") for ax in accuracies] == ["no validation: none was held out"] * 2
    assert all(len(ax.lines) == 2 for ax in accuracies)  # the training of both folds


def test_curves_of_stage_one_alone_have_two_panels() -> None:
    assert len(training_curves(history(1, 2, [], 0).drop(columns="consistency")).axes) == 2


# ---------------------------------------------------------------- plates


@pytest.fixture
def plate() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("P1", 1, 1, "negative_control", 9, "unknown"),
            ("P1", 1, 2, "positive_control", 8, "unknown"),
            ("P1", 2, 2, "positive_control", 7, "unknown"),
            ("P1", 2, 3, "treatment", 0, "correct"),
            ("P1", 2, 4, "treatment", 1, "wrong"),
            ("P2", 2, 4, "treatment", 1, "wrong"),
        ],
        columns=["plate_id", "row", "column", "well_type", "sirna", "outcome"],
    )


def test_plate_map_puts_wells_where_they_stand(plate: pd.DataFrame) -> None:
    axes = plate_map(plate, ["P1"], rows=4, columns=6).axes
    assert len(axes) == 3
    treatment, _, negative = axes[0].collections
    assert treatment.get_offsets().tolist() == [[3, 2], [4, 2]]  # x is the column
    assert negative.get_offsets().tolist() == [[1, 1]]
    numbers = {text.get_text(): text.get_position() for text in axes[1].texts}
    assert numbers == {"2": (2, 1), "1": (2, 2)}  # in the order of their classes, not of the wells
    assert axes[1].get_title(loc="left") == "P1\n2 classes of positive controls"
    assert axes[2].get_title(loc="left") == "P1\n1 of 2 wells found"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list("ABCD")
    assert axes[0].yaxis_inverted()  # row A on top
    assert all(ax.get_legend() for ax in axes)


def test_a_plate_map_without_positive_controls_has_no_panel_for_them(plate: pd.DataFrame) -> None:
    left, right = plate_map(plate[plate["well_type"] != "positive_control"], ["P1"], rows=4, columns=6).axes
    assert "well types" in left.get_title(loc="left")
    assert "1 of 2 wells found" in right.get_title(loc="left")


def test_a_screen_without_positions_gets_a_note(plate: pd.DataFrame) -> None:
    nowhere = plate.assign(row=-1, column=-1)
    assert has_positions(plate) and not has_positions(nowhere)
    (ax,) = plate_map(nowhere, ["P1"]).axes
    assert "no row and column" in texts(ax)[0]


# ---------------------------------------------------------------- images


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (2, 6, 20, 16), dtype=np.uint16)


def test_stretch_maps_the_percentiles_of_each_channel_of_each_site(images: np.ndarray) -> None:
    images[1, 2] = 77
    stretched = stretch(images)
    for site, channel in ((0, 0), (0, 5), (1, 1)):
        pixels = images[site, channel]
        low, high = np.percentile(pixels, 0.5), np.percentile(pixels, 99.7)
        assert stretched[site, channel] == pytest.approx(np.clip((pixels - low) / (high - low), 0, 1), abs=1e-6)
    assert not stretched[1, 2].any()  # a constant channel is black, not NaN


def test_composite_gives_each_channel_its_known_colour() -> None:
    pixels = np.zeros((6, 6, 6), dtype=np.float32)
    for channel in range(6):
        pixels[channel, channel, :] = 1
    rgb = composite(pixels, [f"w{i}" for i in range(1, 7)])
    for channel, colour in enumerate(style.CHANNEL_RGB):
        assert rgb[channel, 0] == pytest.approx(np.array(colour) / 255, abs=0.01)
    hpa = composite(pixels[:4], ["red", "green", "blue", "yellow"])
    assert hpa[:4, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(("channels", "panels"), [(6, 14), (1, 2), (3, 8)])
def test_site_images_shows_the_composite_and_every_channel(images: np.ndarray, channels: int, panels: int) -> None:
    figure = site_images(images[:, :channels], [f"c{i}" for i in range(channels)], ["one", "two"])
    assert len(figure.axes) == panels
    last = figure.axes[-1].images[0].get_array()
    assert np.asarray(last) == pytest.approx(stretch(images[:, :channels])[1, -1])
    assert figure.axes[0].get_ylabel() == "one"


def test_site_titles_fit_beside_their_row(images: np.ndarray) -> None:
    sites = pd.DataFrame({"site_id": ["HUVEC-01_1_B02_1", "x" * 36], "cell_type": "HUVEC", "sirna": [3, -1]})
    titles = site_titles(sites, pd.Series({3: "HNRNPA1"}))
    assert titles[0] == "HUVEC-01_1_B02_1\nHUVEC, HNRNPA1"
    assert titles[1].endswith("HUVEC, class withheld")
    figure = site_images(images[:, :, :16], list("abcdef"), titles)
    figure.canvas.draw()
    for ax in (figure.axes[0], figure.axes[7]):
        assert ax.yaxis.label.get_window_extent().height <= 1.05 * ax.get_window_extent().height


def test_site_images_names_what_does_not_fit(images: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"\(2, 6, 20, 16\), expected \(1 sites, 6 channels"):
        site_images(images, list("abcdef"), ["one"])


def test_grad_cam_grid_lays_the_map_over_every_channel(images: np.ndarray) -> None:
    cams = np.random.default_rng(1).random((2, 20, 16))
    attention = np.array([[0.1, 1.0, -0.5, 0, 0, 0], [1.0, 0, 0, 0, 0, 0.2]])
    figure = grad_cam_grid(images, cams, list("abcdef"), ["one", "two"], attention, "backbone.layer4")
    assert figure.get_supxlabel().startswith("Grad-CAM of backbone.layer4;")
    assert len(figure.axes) == 2 * 8 + 1  # and the colour bar
    overlay = figure.axes[4].images[1]  # first site, channel c
    assert np.asarray(overlay.get_array()).tolist() == cams[0].tolist()
    labels = [figure.axes[i].xaxis.label for i in range(2, 8)]
    assert [label.get_text() for label in labels] == ["0.10", "1.00", "−0.50", "0.00", "0.00", "0.00"]
    assert [label.get_weight() for label in labels].index("bold") == 1
    with pytest.raises(BadInput, match="cams of shape"):
        grad_cam_grid(images, cams[:, :3], list("abcdef"), ["one", "two"], attention, "")


# ---------------------------------------------------------------- batch effect


def channel_means(experiment_sd: float, plate_sd: float) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for cell_type in ("HUVEC", "RPE"):
        for e in range(200):
            effect = random.normal(0, experiment_sd)
            for p in range(4):
                mean = (20 if cell_type == "RPE" else 5) * np.exp(effect + random.normal(0, plate_sd))
                rows.append((f"{cell_type}-{e}_{p}", f"{cell_type}-{e}", cell_type, 0, mean))
    return pd.DataFrame(rows, columns=["plate_id", "experiment", "cell_type", "channel", "mean"])


def test_spread_finds_the_standard_deviations_that_made_the_means() -> None:
    experiments, plates = spread(channel_means(0.4, 0.1))
    assert plates == pytest.approx(0.1, rel=0.05)
    assert experiments == pytest.approx(math.hypot(0.4, 0.1 / 2), rel=0.08)  # the mean of 4 plates


def test_spread_of_the_real_screen_is_the_published_one() -> None:
    folder = os.environ.get("CELLSIGNAL_DATA")
    if not folder:
        pytest.skip("CELLSIGNAL_DATA is not set: no published plate statistics")
    table = pd.read_csv(Path(folder) / "rxrx1-metadata/derived/mean_std_plate.csv")
    table["cell_type"] = table["experiment"].str.split("-").str[0]
    found = [spread(of_channel) for _, of_channel in table.groupby("channel")]
    # The experiments' and plates' standard deviations of the log mean, of all 51 × 4 plates.
    assert [e for e, _ in found] == pytest.approx([0.48, 0.35, 0.34, 0.44, 0.60, 0.45], abs=0.015)
    assert [p for _, p in found] == pytest.approx([0.12, 0.10, 0.10, 0.05, 0.08, 0.06], abs=0.015)


def test_normalization_effect_draws_every_plate_by_experiment() -> None:
    means = channel_means(0.4, 0.1)
    means = means[means["experiment"].isin(["HUVEC-0", "HUVEC-1", "RPE-0"])]
    figure = normalization_effect(means, ["DNA"])
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["HUVEC-0", "HUVEC-1", "RPE-0"]
    huvec, rpe = ax.lines
    assert (len(huvec.get_ydata()), len(rpe.get_ydata())) == (8, 4)
    assert set(rpe.get_xdata()) == {2}
    assert list(rpe.get_ydata()) == means.loc[means["cell_type"] == "RPE", "mean"].tolist()
    assert ax.get_yscale() == "log"
    assert ax.get_title(loc="left").startswith("DNA: experiments ×/÷")
