"""The helpers known from rxrx.io, against plain loops over PIL and csv."""

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_screens import kaggle_rows, write_kaggle

from cellsignal.errors import BadInput
from cellsignal.plates import PlateStore, pack_plate
from cellsignal.rxrx import RGB_MAP, combine_metadata, convert_tensor_to_rgb, load_site, load_site_as_rgb

DATA = Path(os.environ.get("CELLSIGNAL_DATA", "unset"))
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="CELLSIGNAL_DATA is not set: no real data")


def make_site(folder: Path, channels: int = 6, size: tuple[int, int] = (5, 7)) -> np.ndarray:
    """Random PNGs of site 2 of well C07, and what is in them: (height, width, channel)."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    folder.mkdir(parents=True)
    for c in range(channels):
        Image.fromarray(pixels[:, :, c]).save(folder / f"C07_s2_w{c + 1}.png")
    return pixels


def naive_rgb(image: np.ndarray, channels: list[int], vmax: float = 255) -> np.ndarray:
    """A colour composite, one pixel and colour at a time."""
    height, width, _ = image.shape
    composite = np.zeros((height, width, 3), dtype=int)
    for y in range(height):
        for x in range(width):
            for colour in range(3):
                total = 0
                for layer, channel in enumerate(channels):
                    value = float(image[y, x, layer]) / vmax / (RGB_MAP[channel]["range"][1] / 255)
                    total += int(min(value, 1.0) * RGB_MAP[channel]["rgb"][colour])
                composite[y, x, colour] = min(total, 255)
    return composite


@pytest.mark.parametrize("folder", ["train/RPE-01/Plate3", "RPE-01/Plate3"])
def test_load_site_from_either_layout(tmp_path: Path, folder: str) -> None:
    pixels = make_site(tmp_path / folder)
    loaded = load_site("train", "RPE-01", 3, "C07", 2, base_path=tmp_path)
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, pixels)


def test_channels_come_in_the_order_asked_for(tmp_path: Path) -> None:
    pixels = make_site(tmp_path / "test" / "RPE-01" / "Plate3")
    loaded = load_site("test", "RPE-01", 3, "C07", 2, channels=(5, 1), base_path=str(tmp_path))
    np.testing.assert_array_equal(loaded, pixels[:, :, [4, 0]])


def test_all_missing_images_are_named(tmp_path: Path) -> None:
    make_site(tmp_path / "train" / "RPE-01" / "Plate3", channels=4)
    with pytest.raises(BadInput) as caught:
        load_site("train", "RPE-01", 3, "C07", 2, base_path=tmp_path)
    assert ["w5" in caught.value.problems[0], "w6" in caught.value.problems[1]] == [True, True]


def test_channels_of_two_sizes_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "RPE-01" / "Plate3"
    make_site(folder)
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(folder / "C07_s2_w3.png")
    with pytest.raises(BadInput, match="differ in size"):
        load_site("train", "RPE-01", 3, "C07", 2, base_path=tmp_path)


def test_the_store_holds_the_same_site(tmp_path: Path) -> None:
    pixels = make_site(tmp_path / "images" / "RPE-01" / "Plate3", size=(8, 8))
    rows = pd.DataFrame({
        "site_id": ["RPE-01_3_C07_2"], "plate_id": ["RPE-01_3"],
        "images": [[f"images/RPE-01/Plate3/C07_s2_w{c}.png" for c in range(1, 7)]],
    })  # fmt: skip
    path = tmp_path / "plates" / "RPE-01_3.h5"
    pack_plate(rows, tmp_path, path, image_size=8)
    for store in (path, path.parent, str(path.parent), PlateStore(path)):
        loaded = load_site("train", "RPE-01", 3, "C07", 2, channels=(6, 2), store=store)
        np.testing.assert_array_equal(loaded, pixels[:, :, [5, 1]])
    composite = load_site_as_rgb("train", "RPE-01", 3, "C07", 2, store=path)
    np.testing.assert_array_equal(composite, naive_rgb(pixels, [1, 2, 3, 4, 5, 6]))
    with pytest.raises(BadInput) as caught:
        load_site("train", "RPE-01", 3, "C08", 2, channels=(1, 7), store=path)
    assert caught.value.problems == [
        "site RPE-01_3_C08_2: not in the plate store", "channel 7: expected 1 to 6",
    ]  # fmt: skip


@pytest.mark.parametrize("vmax", [255, 100.0])
def test_composite_equals_a_loop_over_pixels(vmax: float) -> None:
    image = np.random.default_rng(2).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    composite = convert_tensor_to_rgb(image, [6, 1, 3], vmax=vmax)
    np.testing.assert_array_equal(composite, naive_rgb(image, [6, 1, 3], vmax))
    assert composite.min() >= 0 and composite.max() <= 255


def test_composite_with_colours_of_ones_own() -> None:
    image = np.array([[[255], [51], [0]]], dtype=np.uint8)
    white = {9: {"rgb": np.array([255, 255, 255]), "range": [0, 255]}}
    composite = convert_tensor_to_rgb(image, channels=[9], rgb_map=white)
    assert composite[0].tolist() == [[255] * 3, [51] * 3, [0] * 3]


def test_a_composite_needs_a_layer_and_a_colour_per_channel() -> None:
    with pytest.raises(BadInput, match=r"expected \(height, width, 2\)"):
        convert_tensor_to_rgb(np.zeros((4, 4, 3), dtype=np.uint8), [1, 2])
    with pytest.raises(BadInput, match="channel 7: no colour; expected one of"):
        convert_tensor_to_rgb(np.zeros((4, 4, 1), dtype=np.uint8), [7])


def naive_metadata(folder: Path, controls: bool) -> list[tuple[str, ...]]:
    """Kaggle's tables, one row per site: id_code, site, dataset, cell type, well type, sirna."""
    found = []
    for dataset in ("test", "train"):
        rows = []
        for table in (dataset, f"{dataset}_controls") if controls else (dataset,):
            with open(folder / f"{table}.csv", newline="") as handle:
                for row in csv.DictReader(handle):
                    kind = row.get("well_type", "treatment")
                    cell_type = row["experiment"].split("-")[0]
                    rows += [(row["id_code"], s, dataset, cell_type, kind, row.get("sirna", "")) for s in "12"]
        found += sorted(rows)
    return found


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("controls", [False, True])
def test_combine_metadata_equals_a_loop_over_rows(tmp_path: Path, later: bool, controls: bool) -> None:
    write_kaggle(tmp_path, kaggle_rows(later))
    table = combine_metadata(tmp_path, include_controls=controls)
    assert table.index.name == "id_code" and ("well_type" in table) == controls
    assert list(table.columns) == sorted(table.columns)
    sirna = table["sirna"].map(lambda s: "" if pd.isna(s) else s if later else str(int(s)))
    kinds = table["well_type"] if controls else ["treatment"] * len(table)
    found = zip(
        table.index,
        table["site"].astype(str),
        table["dataset"],
        table["cell_type"],
        kinds,
        sirna,
        strict=True,
    )
    assert list(found) == naive_metadata(tmp_path, controls)


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        combine_metadata(tmp_path)
    assert len(caught.value.problems) == 4


@real_data
def test_real_sites_equal_pil() -> None:
    base = DATA / "rxrx1-images"
    for experiment in ("HUVEC-01", "RPE-01", "HEPG2-01"):
        loaded = load_site("train", experiment, 2, "B02", 1, base_path=base)
        assert loaded.shape == (512, 512, 6) and loaded.dtype == np.uint8
        for channel in range(1, 7):
            path = base / "train" / experiment / "Plate2" / f"B02_s1_w{channel}.png"
            np.testing.assert_array_equal(loaded[:, :, channel - 1], np.asarray(Image.open(path)))
        composite = load_site_as_rgb("train", experiment, 2, "B02", 1, base_path=base)
        np.testing.assert_array_equal(
            composite[200:216, 100:116], naive_rgb(loaded[200:216, 100:116], [1, 2, 3, 4, 5, 6])
        )
    with pytest.raises(BadInput) as caught:
        load_site("train", "RPE-01", 2, "B02", 2, base_path=base)
    assert len(caught.value.problems) == 2


@real_data
def test_real_metadata_has_every_site() -> None:
    table = combine_metadata(DATA / "rxrx1-metadata" / "kaggle-original")
    assert len(table) == 125_510 and table["dataset"].iloc[0] == "test"
    assert table["sirna"].isna().sum() == 2 * 19_897
    assert len(combine_metadata(DATA / "rxrx1-metadata" / "kaggle-later", include_controls=False)) == 2 * 56_416
