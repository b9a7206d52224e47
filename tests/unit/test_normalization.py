"""Normalization statistics equal a two-pass float64 computation over the pixels, in every grouping."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cellsignal.augment import standardize
from cellsignal.errors import BadInput
from cellsignal.normalization import SCHEMES, groups_of, lookup, moments, statistics
from cellsignal.plates import SiteReader, pack_plate

SIZE = 12


def make_screen(root: Path, dtype: str = "u1") -> tuple[pd.DataFrame, list[Path]]:
    """A packed screen of random images whose level depends on the plate."""
    random, tables, stores = np.random.default_rng(0), [], []
    top = np.iinfo(dtype).max
    for number, plate in enumerate(("A-01_1", "A-01_2", "A-02_1", "B-01_1")):
        names = [f"{plate}_B{2 + i:02d}_1" for i in range(5)]
        rows = pd.DataFrame(
            {
                "site_id": names,
                "plate_id": plate,
                "experiment": plate.split("_")[0],
                "cell_type": plate.split("-")[0],
                "images": [[f"{name}_w{c}.png" for c in range(3)] for name in names],
            }
        )
        for images in rows["images"]:
            for image in images:
                high = max(2, int(top / (1 + number)))
                Image.fromarray(random.integers(0, high, (SIZE, SIZE)).astype(dtype)).save(root / image)
        stores.append(root / f"{plate}.h5")
        pack_plate(rows, root, stores[-1], SIZE)
        tables.append(rows)
    return pd.concat(tables, ignore_index=True), stores


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_statistics_equal_two_passes_over_the_pixels(tmp_path: Path, scheme: str, dtype: str) -> None:
    sites, stores = make_screen(tmp_path, dtype)
    table = statistics(stores, sites, scheme)  # type: ignore[arg-type]
    pixels = SiteReader(stores).read(sites["site_id"]).astype(np.float64)
    groups = groups_of(sites, scheme)  # type: ignore[arg-type]
    assert len(table) == groups.nunique() * 3
    for row in table.itertuples():
        values = pixels[(groups == row.group).to_numpy(), row.channel]
        assert row.pixels == values.size
        if scheme == "none":
            assert (row.mean, row.std) == (0.0, np.iinfo(dtype).max)
            continue
        np.testing.assert_allclose(row.mean, values.mean(), rtol=1e-12)
        np.testing.assert_allclose(row.std, np.sqrt(((values - values.mean()) ** 2).mean()), rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sites_get_their_groups_values_in_their_own_order(tmp_path: Path, scheme: str) -> None:
    sites, stores = make_screen(tmp_path)
    table = statistics(stores, sites, scheme)  # type: ignore[arg-type]
    shuffled = sites.sample(frac=1, random_state=0)
    mean, std = lookup(table, shuffled, scheme)  # type: ignore[arg-type]
    assert mean.dtype == std.dtype == np.float32 and mean.shape == std.shape == (20, 3)
    for i, group in enumerate(groups_of(shuffled, scheme)):  # type: ignore[arg-type]
        rows = table[table["group"] == group].sort_values("channel")
        np.testing.assert_array_equal(mean[i], rows["mean"].to_numpy(np.float32))
        np.testing.assert_array_equal(std[i], rows["std"].to_numpy(np.float32))


def test_without_normalization_pixels_are_what_totensor_makes_of_them(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    mean, std = lookup(statistics(stores, sites, "none"), sites, "none")
    pixels = SiteReader(stores).read(sites["site_id"])
    found = standardize(torch.from_numpy(pixels), torch.from_numpy(mean), torch.from_numpy(std))
    np.testing.assert_allclose(found.numpy(), pixels.astype(np.float64) / 255, rtol=1e-6)  # torchvision's ToTensor


def test_without_normalization_plates_must_hold_pixels_of_one_type(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sites, stores = make_screen(tmp_path / "a")
    _, wide = make_screen(tmp_path / "b", "u2")
    with pytest.raises(BadInput, match=r"pixels of several types: uint16 .*, uint8 "):
        statistics([stores[0], wide[1]], sites, "none")


def test_normalized_plates_have_mean_0_and_std_1(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    mean, std = lookup(statistics(stores, sites, "plate"), sites, "plate")
    pixels = (SiteReader(stores).read(sites["site_id"]) - mean[:, :, None, None]) / std[:, :, None, None]
    for plate in sites["plate_id"].unique():
        plate_pixels = pixels[(sites["plate_id"] == plate).to_numpy()]
        np.testing.assert_allclose(plate_pixels.mean((0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(plate_pixels.std((0, 2, 3)), 1, atol=1e-5)


def test_sums_beyond_64_bits_stay_exact() -> None:
    """A screen of 16-bit images whose naive variance has no correct digit: mean 60,000, std 0.5."""
    half = 10**12
    count, total = 2 * half, half * (60_000 + 60_001)
    squares = half * (60_000**2 + 60_001**2)
    assert squares > 2**64
    mean, std, pixels = moments(count, total, squares)
    assert (mean, std, pixels) == (60_000.5, 0.5, count)


def test_a_constant_channel_is_divided_by_1(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    table = statistics(stores, sites, "plate")
    table.loc[table["channel"] == 1, "std"] = 0.0
    assert (lookup(table, sites, "plate")[1][:, 1] == 1).all()


def test_sites_without_pixels_count_for_nothing(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    absent = sites.iloc[:1].assign(site_id="A-01_1_P24_1")
    more = pd.concat([sites, absent], ignore_index=True)
    pd.testing.assert_frame_equal(statistics(stores, more, "plate"), statistics(stores, sites, "plate"))


def test_a_packed_site_that_the_table_lacks_is_an_error(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    for scheme in SCHEMES:
        with pytest.raises(BadInput, match=r"A-02_1\.h5: site A-02_1_B03_1 is not in the site table"):
            statistics(stores, sites[sites["site_id"] != "A-02_1_B03_1"], scheme)


def test_stores_of_different_channels_are_an_error(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    fewer = sites[sites["plate_id"] == "B-01_1"].assign(images=lambda t: t["images"].map(lambda i: i[:2]))
    pack_plate(fewer, tmp_path, stores[3], SIZE)
    with pytest.raises(BadInput, match=r"B-01_1\.h5: 2 channels; expected 3"):
        statistics(stores, sites, "plate")


def test_a_group_without_statistics_is_an_error(tmp_path: Path) -> None:
    sites, stores = make_screen(tmp_path)
    with pytest.raises(BadInput, match="normalization table by plate: no group A-02_1"):
        lookup(statistics([stores[0], stores[1], stores[3]], sites, "plate"), sites, "plate")
