"""The simulated screen keeps RxRx1's layout rules, is made plate by plate, and is noisy in RxRx1's way."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cellsignal.config.screen import ScreenSettings, SimulatedSettings
from cellsignal.errors import BadInput
from cellsignal.screens.batch_effects import EXPERIMENT_SD, PLATE_SD, cell_type_of, plate_effects
from cellsignal.screens.rendering import BACKGROUND, draw_site, morphology
from cellsignal.screens.simulated import layout, phenotype, plate_ids, simulate_plate

CHANNELS = ["nuclei", "reticulum", "actin", "rna", "mitochondria", "golgi"]


def screen(**changes: Any) -> ScreenSettings:
    outer: dict[str, Any] = {"image_size": 24, "plate_rows": 6, "plate_columns": 8, "channels": CHANNELS}
    inner: dict[str, Any] = {
        "cell_types": {"HUVEC": [6, 3], "RPE": [4, 2]},
        "sirnas": 40,
        "positive_controls": 4,
    }
    for key, value in changes.items():
        (outer if key in outer else inner)[key] = value
    return ScreenSettings(name="sim", kind="simulated", simulated=SimulatedSettings(**inner), **outer)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def group_of(table: pd.DataFrame) -> dict[str, frozenset[int]]:
    """Treatment classes of every plate."""
    treatments = table[table["well_type"] == "treatment"]
    plates = treatments.groupby(["experiment", "plate"])["sirna_id"]
    return {f"{e}_{p}": frozenset(v) for (e, p), v in plates}


def test_layout_has_the_public_schema_and_size() -> None:
    table = layout(screen())
    assert list(table.columns) == [
        "site_id", "well_id", "cell_type", "dataset", "experiment", "plate", "well", "site", "well_type", "sirna",
        "sirna_id",
    ]  # fmt: skip
    assert len(table) == 15 * 4 * (10 + 4 + 1) * 2
    assert table["site_id"].is_unique
    first = table.iloc[0]
    assert (first["site_id"], first["well_id"], first["sirna"]) == (
        "HUVEC-01_1_B02_1",
        "HUVEC-01_1_B02",
        "EMPTY",
    )
    assert plate_ids(screen()) == list(dict.fromkeys(table["experiment"] + "_" + table["plate"].astype(str)))
    datasets = table.drop_duplicates("experiment").set_index("experiment")["dataset"]
    assert (datasets == "train").sum() == 10
    assert datasets["HUVEC-06"] == "train" and datasets["HUVEC-07"] == "test"


def test_every_class_is_once_in_an_experiment_and_controls_are_on_every_plate() -> None:
    wells = layout(screen()).drop_duplicates("well_id")
    for _, experiment in wells.groupby("experiment"):
        assert sorted(experiment.loc[experiment["well_type"] == "treatment", "sirna_id"]) == list(range(40))
        for _, plate in experiment.groupby("plate"):
            controls = plate.loc[plate["well_type"] == "positive_control", "sirna_id"]
            assert sorted(controls) == [40, 41, 42, 43]
            negative = plate[plate["well_type"] == "negative_control"]
            assert negative["well"].tolist() == ["B02"] and negative["sirna_id"].tolist() == [44]
    assert not wells["well"].str.startswith(("A", "F")).any()  # 6 rows: A and F are the border
    assert wells["well"].str[1:].astype(int).between(2, 7).all()


def test_four_groups_share_plates_in_cyclic_order_and_one_rotation_is_new_in_test() -> None:
    table = layout(screen())
    groups = group_of(table)
    assert len(set(groups.values())) == 4
    order = [groups[f"HUVEC-01_{p}"] for p in (1, 2, 3, 4)]
    rotations = {}
    for experiment in table["experiment"].unique():
        found = [order.index(groups[f"{experiment}_{p}"]) for p in (1, 2, 3, 4)]
        assert found == [(found[0] + i) % 4 for i in range(4)]
        rotations[experiment] = found[0]
    dataset = table.drop_duplicates("experiment").set_index("experiment")["dataset"]
    train = {r for e, r in rotations.items() if dataset[e] == "train"}
    test = {r for e, r in rotations.items() if dataset[e] == "test"}
    assert len(train) == 3
    assert len(test - train) == 1


def test_layouts_differ_between_experiments_but_for_one_pair_of_twins() -> None:
    wells = layout(screen()).drop_duplicates("well_id")
    plates = {
        e: {frozenset(zip(p["well"], p["sirna_id"], strict=True)) for _, p in rows.groupby("plate")}
        for e, rows in wells.groupby("experiment")
    }
    like = [(a, b) for a in plates for b in plates if a < b and plates[a] & plates[b]]
    assert like == [("HUVEC-04", "HUVEC-05")]
    assert plates["HUVEC-04"] == plates["HUVEC-05"]
    groups = group_of(wells)
    assert groups["HUVEC-04_1"] != groups["HUVEC-05_1"]  # the plates are shifted


def test_a_plate_is_the_same_alone_and_in_a_larger_screen(tmp_path: Path) -> None:
    simulate_plate(screen(), "HUVEC-02_3", tmp_path / "a")
    simulate_plate(screen(), "HUVEC-01_1", tmp_path / "b")
    simulate_plate(screen(cell_types={"U2OS": [2, 1], "HUVEC": [9, 1]}), "HUVEC-02_3", tmp_path / "b")
    small, large = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert len(small) == 15 * 2 * 6 + 1
    assert all(large[name] == content for name, content in small.items())


def test_making_a_plate_again_replaces_it_with_equal_bytes(tmp_path: Path) -> None:
    simulate_plate(screen(), "RPE-01_1", tmp_path)
    before = tree(tmp_path)
    (tmp_path / "images/RPE-01/Plate1/left_over.png").write_bytes(b"x")
    simulate_plate(screen(), "RPE-01_1", tmp_path)
    assert tree(tmp_path) == before


def test_files_lie_as_in_the_public_release(tmp_path: Path) -> None:
    settings = screen()
    simulate_plate(settings, "RPE-06_2", tmp_path)
    rows = pd.read_csv(tmp_path / "metadata" / "RPE-06_2.csv")
    table = layout(settings)
    expected = table[(table["experiment"] == "RPE-06") & (table["plate"] == 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected)
    images = {p.name for p in (tmp_path / "images/RPE-06/Plate2").iterdir()}
    assert images == {f"{r.well}_s{r.site}_w{c}.png" for r in rows.itertuples() for c in range(1, 7)}
    with Image.open(tmp_path / "images/RPE-06/Plate2/B02_s1_w1.png") as image:
        assert (image.mode, image.size) == ("L", (24, 24))


def test_seeds_experiments_plates_and_sites_differ(tmp_path: Path) -> None:
    simulate_plate(screen(), "RPE-01_1", tmp_path / "a")
    simulate_plate(screen(), "RPE-01_2", tmp_path / "a")
    simulate_plate(screen(), "RPE-02_1", tmp_path / "a")
    simulate_plate(screen(seed=1), "RPE-01_1", tmp_path / "b")
    files = list(tmp_path.rglob("B02_s?_w2.png"))
    assert len(files) == 8 and len({p.read_bytes() for p in files}) == 8


def test_phenotypes_have_the_asked_for_size_and_share_between_cell_types() -> None:
    settings = screen(sirnas=400, phenotype_scale=0.5, cell_type_specific=0.4).simulated
    assert settings is not None
    a = np.array([phenotype(settings, s, "HUVEC") for s in range(400)])
    b = np.array([phenotype(settings, s, "RPE") for s in range(400)])
    assert a.shape == (400, 12)
    assert a.std() == pytest.approx(0.5, rel=0.05)
    assert (a * b).mean() / 0.25 == pytest.approx(0.6, abs=0.05)  # covariance: the shared 60 % of the variance
    assert (phenotype(settings, 404, "RPE") == 0).all()  # the negative control is untreated


def test_plate_and_experiment_effects_have_the_published_size() -> None:
    """Log mean intensity of undisturbed cells, from the two parts of the light, over 300 experiments."""

    def log_mean(experiment: int, plate: int) -> np.ndarray:
        effects = plate_effects(7, f"X-{experiment}", plate, 8, 1.0)
        light: np.ndarray = BACKGROUND * np.exp(effects.background) + (1 - BACKGROUND) * np.exp(effects.stain)
        return np.log(light)

    values = np.array([[log_mean(e, p) for p in range(4)] for e in range(300)])
    within = values - values.mean(1, keepdims=True)
    np.testing.assert_allclose(np.sqrt((within**2).sum((0, 1)) / (3 * 300)), PLATE_SD, rtol=0.12)
    total = np.sqrt(EXPERIMENT_SD**2 + PLATE_SD**2 / 4)
    np.testing.assert_allclose(values.mean(1).std(0), total, rtol=0.15)
    corr = np.corrcoef(within.reshape(-1, 6).T)
    assert corr[2, 5] > 0.7 and corr[2, 4] < 0.3  # published: 0.87 and 0.06


def test_without_batch_effect_plates_are_alike() -> None:
    effects = plate_effects(0, "HUVEC-01", 1, 16, 0.0)
    for part in (effects.stain, effects.background, effects.traits, effects.blur, effects.illumination - 1):
        assert not np.any(part)


@pytest.mark.parametrize("size", [24, 48, 96])
def test_undisturbed_cells_have_mean_light_1_at_any_image_size(size: int) -> None:
    shape = morphology(np.zeros(12), 1.0, np.ones(6), np.ones(6))
    random = np.random.default_rng(0)
    mean = np.mean([draw_site(random, size, 9.0, shape).mean((1, 2)) for _ in range(120)], axis=0)
    np.testing.assert_allclose(mean, 1, atol=0.1)


def test_brightness_follows_the_published_cell_types(tmp_path: Path) -> None:
    settings = screen(batch_effect=0.0, phenotype_scale=0.0, cell_types={"HUVEC": [1, 0], "U2OS": [1, 0]})
    for cell_type in ("HUVEC", "U2OS"):
        simulate_plate(settings, f"{cell_type}-01_1", tmp_path)
        for channel in range(6):
            images = (tmp_path / f"images/{cell_type}-01/Plate1").glob(f"*_w{channel + 1}.png")
            mean = np.mean([np.asarray(Image.open(p)) for p in images])
            assert np.log(mean) == pytest.approx(cell_type_of(cell_type).light[channel], abs=0.25)


def test_a_cell_type_unknown_to_rxrx1_has_its_own_fixed_look() -> None:
    a, b, again = cell_type_of("A549"), cell_type_of("HeLa"), cell_type_of("A549")
    np.testing.assert_array_equal(a.light, again.light)
    assert not np.array_equal(a.light, b.light)
    assert ((np.exp(a.light) > 2) & (np.exp(a.light) < 20)).all()


def test_a_fitting_full_plate_is_rxrx1s() -> None:
    settings = screen(plate_rows=16, plate_columns=24, sirnas=1108, positive_controls=30, cell_types={"U2OS": [1, 0]})
    wells = layout(settings).drop_duplicates("well_id")
    assert len(wells) == 4 * 308
    assert wells["well"].iloc[307] == "O23"


def test_all_reasons_why_settings_make_no_screen_come_at_once() -> None:
    settings = screen(sirnas=42, plate_rows=4, channels=["one"], cell_types={"HUVEC": [0, 0], "RPE": [1, 0]})
    with pytest.raises(BadInput) as error:
        layout(settings)
    message = str(error.value)
    assert "4 × 8 plate has 12 wells inside its border; expected at least 16" in message
    assert "sirnas: 42 is not a multiple of 4" in message
    assert "screen.channels: 1 names" in message
    assert "cell_types.HUVEC: [0, 0]" in message
    assert len(error.value.problems) == 4


def test_an_unknown_plate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="plate HUVEC-99_1: not in the simulated screen"):
        simulate_plate(screen(), "HUVEC-99_1", tmp_path)
    assert not tree(tmp_path)


def test_a_screen_without_settings_or_cell_types_is_an_error() -> None:
    with pytest.raises(BadInput, match="at least one cell type"):
        layout(screen(cell_types={}))
    with pytest.raises(BadInput, match=r"screen\.simulated: missing"):
        layout(ScreenSettings(name="x", kind="simulated", channels=CHANNELS, image_size=24))
