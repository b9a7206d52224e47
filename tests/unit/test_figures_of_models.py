"""Figures of what the models learned say what their tables say; each measure against a plain computation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellsignal.confusions import cluster_classes, confusion_table, shared
from cellsignal.embedding import Measure
from cellsignal.errors import BadInput
from cellsignal.explained_sites import choose_sites, neighbour_table
from cellsignal.figures import style
from cellsignal.figures.averaging import averaging
from cellsignal.figures.channel_attention import channel_attention, mean_attention, site_attention
from cellsignal.figures.control_certainty import control_certainty, measure_certainty
from cellsignal.figures.embedding_map import MapRow, embedding_map
from cellsignal.figures.grad_cam_grid import grad_cam_grid
from cellsignal.figures.image_means import distribute, image_means
from cellsignal.figures.kernel_bands import band_table, kernel_bands
from cellsignal.figures.neighbour_grid import neighbour_grid
from cellsignal.figures.plate_effect import plate_effect
from cellsignal.figures.samples_per_class import count_samples, samples_per_class, sets_of_classes
from cellsignal.figures.template_map import map_templates, template_map
from cellsignal.kernels import find_bands


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


# ---------------------------------------------------------------- samples and images


def screen() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two sites per well: class 0 in three wells, 1 in two, 2 in one and in a test well, 3 nowhere."""
    wells = [
        (0, "HUVEC", "train"),
        (0, "HUVEC", "train"),
        (0, "RPE", "train"),
        (1, "RPE", "train"),
        (1, "RPE", "train"),
    ]
    wells += [(2, "RPE", "train"), (2, "RPE", "test"), (-1, "RPE", "test")]
    rows = [(f"w{i}", c, cell, dataset) for i, (c, cell, dataset) in enumerate(wells) for _ in range(2)]
    classes = pd.DataFrame(
        {"sirna": range(4), "name": list("abcd"), "well_type": ["treatment"] * 3 + ["positive_control"]}
    )
    return pd.DataFrame(rows, columns=["well_id", "sirna", "cell_type", "dataset"]), classes


def test_samples_are_training_wells_and_sets_count_their_classes() -> None:
    samples = count_samples(*screen())
    assert samples["wells"].tolist() == [3, 2, 1, 0] and samples["sites"].tolist() == [6, 4, 2, 0]
    assert samples["wells_HUVEC"].tolist() == [2, 0, 0, 0] and samples["wells_RPE"].tolist() == [1, 2, 1, 0]
    sets = sets_of_classes(samples)
    assert set(map(tuple, sets.to_numpy().tolist())) == {
        ("treatment", 1, 1), ("treatment", 2, 1), ("treatment", 3, 1), ("positive_control", 0, 1),
    }  # fmt: skip
    left, right = samples_per_class(samples).axes
    assert left.get_title(loc="left") == "4 classes, 1 of them without a sample"
    assert [text.strip() for text in texts(left)] == ["1"] * 4
    assert right.get_title(loc="left") == "0 to 3 wells per class"


def test_many_sizes_are_drawn_in_intervals_that_lose_no_class() -> None:
    samples = pd.DataFrame(
        {"sirna": range(300), "name": "x", "well_type": "treatment", "wells": range(300), "sites": 0}
    )
    left = samples_per_class(samples.assign(wells_A549=range(300))).axes[0]
    assert sum(int(text.strip()) for text in texts(left)) == 300 and len(left.patches) == 10


def test_image_means_are_counted_once_and_have_their_median() -> None:
    random = np.random.default_rng(0)
    means = pd.DataFrame({"channel": np.repeat([0, 1], 500), "mean": np.exp(random.normal(2, 0.5, 1000))})
    means["cell_type"] = np.where(np.arange(1000) % 5 < 2, "HUVEC", "RPE")
    table = distribute(means)
    assert table.groupby(["channel", "cell_type"])["sites"].sum().tolist() == [200, 300, 200, 300]
    own = means[(means["channel"] == 1) & (means["cell_type"] == "RPE")]["mean"]
    row = table[(table["channel"] == 1) & (table["cell_type"] == "RPE")].iloc[10]
    assert row["sites"] == ((own >= row["low"]) & (own < row["high"])).sum()
    assert row["median"] == pytest.approx(own.median(), rel=1e-6)
    axes = image_means(table, ["DNA", "actin"]).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["DNA", "actin"] and axes[0].get_xscale() == "log"
    assert np.concatenate([patch.get_data()[0] for patch in axes[0].patches]).sum() == pytest.approx(2)


# ---------------------------------------------------------------- results


def test_certainty_is_entropy_and_reliability_by_well_type() -> None:
    sure, torn, lost = [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4
    probability = np.array([sure, sure, torn, lost, lost])
    kinds = np.array(["positive_control", "positive_control", "treatment", "negative_control", "negative_control"])
    table = measure_certainty(probability, np.array([0, 1, 0, 0, 3]), kinds, np.array(list("aabcb")))
    entropies = table[table["measure"] == "entropy"].drop_duplicates("well_type").set_index("well_type")["mean"]
    assert entropies.to_dict() == pytest.approx({"treatment": 0.5, "positive_control": 0.0, "negative_control": 1.0})
    reliable = table[(table["measure"] == "reliability") & (table["wells"] > 0)].set_index("well_type")
    assert reliable.loc["positive_control", ["confidence", "accuracy", "mean"]].tolist() == [1.0, 0.5, 0.5]
    assert reliable.loc["treatment", ["confidence", "accuracy"]].tolist() == [0.5, 1.0]
    left, right = control_certainty(table).axes
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == [
        "treatment: mean 0.50 of 1 well, 1 experiment",
        "positive control: mean 0.00 of 2 wells, 1 experiment",
        "negative control: mean 1.00 of 2 wells, 2 experiments",
    ]
    assert right.get_xlim() == right.get_ylim() == (0, 1)


def test_averaging_shows_every_unit_and_the_priors_with_and_without_groups() -> None:
    votes = pd.DataFrame(
        [
            ("m, round 0", "site", 0.5, 80, 0.4, 0.6),
            ("m, round 0", "well", 0.6, 40, 0.5, 0.7),
            ("all models, round 0", "ensemble", 0.7, 40, 0.55, 0.8),
            ("not held out", "well", np.nan, 0, np.nan, np.nan),
        ],
        columns=["name", "unit", "accuracy", "count", "low", "high"],
    ).assign(groups=12, resampled="experiment")
    priors = pd.DataFrame(
        [("none", False, 0.7, 20), ("none", True, 0.75, 20), ("assignment", False, 0.9, 20)],
        columns=["method", "plate_groups", "accuracy", "wells"],
    )
    left, right = averaging(votes, priors, "test wells of 3 experiments").axes
    assert texts(left) == ["60.0 %", "70.0 %"]
    drawn = [lines.get_segments()[0][:, 0].tolist() for lines in left.collections]
    assert drawn == [[0.4, 0.6], [0.5, 0.7], [0.55, 0.8]]
    assert left.get_xlabel() == (
        "accuracy on 40 out-of-fold wells\n(line: 95 % interval over 12 resampled experiments)"
    )
    assert right.get_xlabel() == "accuracy on 20 test wells of 3 experiments"
    assert sorted(patch.get_width() for patch in right.patches) == [0.7, 0.75, 0.9] and not right.collections
    right = averaging(votes, priors.assign(low=0.6, high=[0.8, 0.85, np.nan]), "").axes[1]
    drawn = [line.get_segments()[0][:, 0].tolist() for line in right.collections[:2]]
    assert drawn == [[0.6, 0.8], [0.6, 0.85]]
    assert len(averaging(votes, priors.iloc[:0], "").axes) == 1
    assert len(averaging(votes.iloc[:0], priors, "").axes) == 1
    assert "what averaging is worth cannot be told" in texts(averaging(votes.iloc[3:], priors.iloc[:0], "").axes[0])[0]


def test_shared_is_the_part_of_two_classes_wells_that_are_confused() -> None:
    counts = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 8]])
    assert shared(counts).tolist() == [[0, 0.25, 0], [0.25, 0, 0], [0, 0, 0]]  # 3 of 12 wells
    assert shared(counts, np.array([16, 8, 8]))[0, 1] == 3 / 24


def test_planted_groups_of_classes_are_clusters_and_stand_together() -> None:
    counts = 20 * np.eye(12, dtype=int)
    groups = ([1, 5, 9], [2, 11])
    for group in groups:
        for a in group:
            for b in group:
                counts[a, b] += 3 * (a != b)
    found = cluster_classes(counts)
    for group in groups:
        assert len(set(found.cluster[group])) == 1
        places = sorted(found.order.tolist().index(c) for c in group)
        assert places == list(range(places[0], places[0] + len(group)))
    assert len(set(found.cluster)) == 12 - 2 - 1
    table = confusion_table(counts, [f"s{i}" for i in range(12)], found.cluster)
    assert table["wells"].sum() == counts.sum() and not table["right"].iloc[:8].any() and table["right"].iloc[8:].all()
    assert (table["cluster_of_true"] == table["cluster_of_called"]).all()


# ---------------------------------------------------------------- embedding


def test_embedding_map_has_a_row_per_round_and_a_panel_per_grouping_with_its_numbers() -> None:
    random = np.random.default_rng(0)
    groups = {"cell type": ["HUVEC", "RPE", "U2OS"] * 30, "class": [f"s{i % 30}" for i in range(90)]}
    measures = {"cell type": Measure(0.9, 1 / 3, 0.31), "class": Measure(0.5, 0.03, float("nan"))}
    points = [random.normal(size=(90, 2)) for _ in range(2)]
    rows = [MapRow("round 0", points[0], 0.93, measures), MapRow("round 1", points[1], 0.81, measures)]
    figure = embedding_map(rows, groups, "90 sites of 80 wells of 4 experiments")
    words = figure.get_supxlabel().replace("\n", " ")
    assert "t-SNE of 90 sites of 80 wells of 4 experiments" in words and "leave out sites of the same well" in words
    assert "trained further, too: that is part of the difference" in words
    first, by_class, second, by_class_again = figure.axes
    assert "90 % of neighbours share it (chance 33.3 %), s = 0.31" in first.get_title(loc="left")
    assert by_class.get_title(loc="left").endswith("(chance 3.0 %)")
    assert [len(cloud.get_offsets()) for cloud in first.collections] == [30, 30, 30]  # none is unknown
    assert second.collections[0].get_offsets().tolist() == points[1][::3].tolist()
    assert len(by_class.collections) == 30 and by_class.get_legend() is None
    assert 0 < len(texts(by_class)) <= 30 and set(texts(by_class)) <= set(groups["class"])
    assert [ax.get_ylabel() for ax in (first, second)] == [
        "round 0\ntrustworthiness 0.93",
        "round 1\ntrustworthiness 0.81",
    ]
    assert first.get_legend() is None and second.get_legend() is not None  # once, below
    legend = by_class_again.get_legend()  # 30 groups: how they differ, not which they are
    assert not legend.get_texts() and "colour and mark" in legend.get_title().get_text()


def test_points_of_no_known_class_are_hollow_named_in_the_legend_and_no_group() -> None:
    points = np.random.default_rng(0).normal(size=(20, 2))
    row = MapRow("", points, 0.9, {"class": Measure(1.0, 0.5, 0.0)})
    figure = embedding_map([row], {"class": ["", "a"] * 10}, "20 sites")
    assert "trained further" not in figure.get_supxlabel()
    ax = figure.axes[0]
    assert ax.get_title(loc="left").startswith("class: 1 group\n")
    assert ax.collections[0].get_offsets().tolist() == points[::2].tolist()
    assert not len(ax.collections[0].get_facecolors())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["not known to the figure", "a"]


@pytest.mark.parametrize("heads", [["head"], ["head", "margin_head"]])
def test_junk_templates_that_gather_are_marked_and_counted(heads: list[str]) -> None:
    random = np.random.default_rng(0)
    templates = random.normal(size=(40, 16))
    junk = [3, 17, 29, 31]
    templates[junk] = 5 + 0.1 * random.normal(size=(4, 16))
    samples = np.where(np.isin(np.arange(40), junk), 0, 12)
    maps = [map_templates(templates, samples, head, title, 0) for head in heads for title in ("without", "with")]
    share, chance = maps[0].junk or (0, 0)
    assert share == 1 and chance == pytest.approx(3 / 39)
    unit = templates / np.linalg.norm(templates, axis=1, keepdims=True)
    cosine = unit @ unit.T - 2 * np.eye(40)
    assert maps[0].nearest == pytest.approx(cosine.max(1), abs=1e-5)
    classes = pd.DataFrame({"name": [str(i) for i in range(40)], "well_type": "treatment", "samples": samples})
    axes = template_map(maps, classes).axes
    assert len(axes) == 2 * len(heads)
    clouds = {len(cloud.get_offsets()): cloud for cloud in axes[0].collections}
    assert sorted(clouds) == [0, 4, 36] and clouds[4].get_offsets().tolist() == maps[0].points[junk].tolist()
    assert "100 % of the neighbours of junk are junk (chance 8 %)" in axes[0].get_title(loc="left")


def test_names_of_templates_do_not_lie_on_each_other() -> None:
    points = np.array([[0.0, 0.0], [0.01, 0.0], [0.012, 0.001], [10.0, 10.0]])
    one = replace(map_templates(np.eye(4), np.ones(4), "head", "", 0), points=points)
    classes = pd.DataFrame({"name": ["a", "b", "c", "d"], "well_type": "treatment", "samples": 1})
    ax = template_map([one], classes).axes[0]
    assert [(text.get_text(), text.get_va()) for text in ax.texts] == [("a", "bottom"), ("b", "top"), ("d", "bottom")]


def test_templates_without_junk_have_no_number_for_it() -> None:
    one = map_templates(np.random.default_rng(0).normal(size=(12, 4)), np.ones(12), "head", "", 0)
    assert one.junk is None


def test_plate_effect_draws_every_pair_and_the_median() -> None:
    distances = pd.DataFrame(
        [("HUVEC", "a", True, 0.1), ("HUVEC", "a", True, 0.3), ("HUVEC", "a", False, 0.8), ("RPE", "b", True, 0.2)],
        columns=["cell_type", "model", "same_experiment", "distance"],
    ).assign(experiment_a="E1", experiment_b=["E1", "E1", "E2", "E1"])
    huvec, rpe = plate_effect(distances, ["a", "b"]).axes
    assert sorted(huvec.lines[0].get_ydata().tolist()) == [0.1, 0.3]
    assert texts(huvec) == ["0.20", "0.80"] and texts(rpe) == ["0.20"]
    titles = [ax.get_title(loc="left") for ax in (huvec, rpe)]
    assert titles == ["HUVEC\n3 pairs of plates, 2 experiments", "RPE\n1 pair of plates, 1 experiment"]
    assert "cannot be compared" in plate_effect(distances.iloc[:0], ["a"]).axes[0].texts[0].get_text()


# ---------------------------------------------------------------- explained sites


def candidates(experiments: int = 3, classes: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [
        (f"E{e}_w{c}_{site}", f"E{e}_w{c}", f"E{e}", "HUVEC", c)
        for e in range(experiments) for c in range(classes) for site in (1, 2)
    ]  # fmt: skip
    kinds = ["treatment"] * (classes - 1) + ["positive_control"]
    table = pd.DataFrame({"sirna": range(classes), "name": [f"g{c}" for c in range(classes)], "well_type": kinds})
    return pd.DataFrame(rows, columns=["site_id", "well_id", "experiment", "cell_type", "sirna"]), table


def test_named_classes_are_taken_in_every_experiment_one_site_per_well() -> None:
    sites, classes = candidates()
    chosen = choose_sites(sites, classes, ["g1", "g4"], most=48, seed=0)
    assert chosen["site_id"].tolist() == [f"E{e}_w{c}_1" for c in (1, 4) for e in range(3)]
    with pytest.raises(BadInput, match=r"report.explained_classes: no class g9; expected names such as g0"):
        choose_sites(sites, classes, ["g1", "g9"], 48, 0)


def test_drawn_classes_are_treatments_that_fit_with_all_experiments() -> None:
    sites, classes = candidates()
    chosen = choose_sites(sites, classes, None, most=7, seed=3)
    assert len(chosen) == 6 and chosen["sirna"].nunique() == 2 and chosen["sirna"].max() < 4
    assert (chosen.groupby("sirna")["experiment"].nunique() == 3).all()
    assert choose_sites(sites, classes, None, 7, 3).equals(chosen)
    assert len(choose_sites(sites, classes, ["g0", "g1", "g2"], most=4, seed=0)) == 4


def test_neighbours_are_listed_nearest_first_and_withheld_classes_stay_empty() -> None:
    sites, classes = candidates(2, 2)
    wells = sites.drop_duplicates("well_id").reset_index(drop=True).assign(sirna=[0, 1, -1, 1], called=[0, 1, 0, 1])
    queries = wells.iloc[[0]]
    names = classes.set_index("sirna")["name"]
    table = neighbour_table(queries, wells, np.array([[3, 2, -1]]), np.array([[0.9, 0.4, np.nan]]), names)
    assert table["neighbour_well_id"].tolist() == ["E1_w1", "E1_w0"] and table["rank"].tolist() == [1, 2]
    assert table["neighbour_class_name"].tolist() == ["g1", ""] and table["cosine"].tolist() == [0.9, 0.4]
    images = {site: np.random.default_rng(0).integers(0, 255, (2, 8, 8), np.uint8) for site in wells["site_id"]}
    figure = neighbour_grid(table.assign(class_name="g1"), images, ["red", "green"], ["E0_w0_1"])
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels == ["g1\nthe well", "✓ g1\nE1, 0.90", "called g0\nE1, 0.40"]
    assert "100\u00a0% of the 1 shown" in figure.get_supxlabel()


def test_attention_is_averaged_by_cell_type_and_class() -> None:
    sites = pd.DataFrame({"cell_type": ["HUVEC"] * 3 + ["RPE"], "class_name": ["a", "a", "b", "a"]})
    correlation = np.array([[1.0, 0.2], [0.5, 1.0], [-1.0, 0.1], [0.0, 1.0]])
    correlation = np.vstack([correlation * [[0.5], [0.25], [0.5], [0.1]], [[np.nan] * 2]])  # the last map is empty
    sites.loc[4] = ["RPE", "a"]
    distance = np.array([[0.5, 1], [1, 1], [1, 1], [1, 1], [np.nan] * 2])
    table = mean_attention(site_attention(sites, correlation, distance, ["DNA", "actin"]), ["DNA", "actin"])
    assert table["sites"].tolist() == [2, 1, 1]
    assert table["largest_r"].tolist() == pytest.approx([0.375, 0.5, 0.1])
    assert table[["correlation_DNA", "correlation_actin"]].to_numpy().tolist() == [[0.75, 0.6], [-1, 0.1], [0, 1]]
    left, right = channel_attention(table, ["DNA", "actin"], "backbone.layer4").axes[:2]
    assert texts(left) == ["0.75", "0.60", "−1.00", "0.10", "0.00", "1.00"] and texts(right)[0] == "0.75"
    assert [text.get_text() for text in left.texts if text.get_weight() == "bold"] == ["0.75", "0.10", "1.00"]
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "HUVEC, a (2; 0.38)", "HUVEC, b (1; 0.50)", "RPE, a (1; 0.10)"
    ]  # fmt: skip


def test_a_screen_of_one_channel_has_nothing_to_compare() -> None:
    sites = pd.DataFrame({"cell_type": ["cells"], "class_name": ["a"]})
    table = mean_attention(site_attention(sites, np.ones((1, 1)), np.ones((1, 1)), ["DNA"]), ["DNA"])
    assert texts(channel_attention(table, ["DNA"], "x").axes[0])[0].startswith("The screen has one channel")
    images, cams = np.zeros((1, 1, 8, 8), np.uint8), np.zeros((1, 8, 8))
    figure = grad_cam_grid(images, cams, ["DNA"], ["one"], np.ones((1, 1)), "backbone.layer4")
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["Grad-CAM", "DNA"]
    assert figure.axes[1].get_xlabel() == "" and figure.get_supxlabel() == "Grad-CAM of backbone.layer4"


def test_kernel_bands_marks_constant_inputs_and_tells_the_measures() -> None:
    weights = np.random.default_rng(0).normal(size=(24, 48))
    weights[:, ::8] = 0.3
    bands = {"a": find_bands(weights), "b": find_bands(weights[:, 1:8])}
    figure = kernel_bands({"a": weights, "b": weights[:, 1:8]}, bands, "densenet")
    above, _, below, plain = figure.axes[:4]
    assert "6 of 48 inputs are constant bands" in above.get_title(loc="left")
    assert "period 8, r = " in above.get_title(loc="left")
    assert below.lines[0].get_xdata().tolist() == list(range(0, 48, 8)) and not plain.lines
    table = band_table(bands)
    assert table.groupby("layer")["constant"].sum().to_dict() == {"a": 6, "b": 0}
    assert kernel_bands({}, {}, "x").axes[0].texts[0].get_text().startswith("x has no 1 × 1 convolution")


def test_tables_behind_figures_are_whole_and_the_same_each_time(tmp_path) -> None:
    table = pd.DataFrame({"name": ["a,b", "ü"], "value": [1 / 3, np.nan]})
    style.save_table(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == 'name,value\n"a,b",0.333333\nü,\n'.encode()
