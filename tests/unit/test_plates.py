"""The plate store holds exactly the source pixels, in little memory, or says what is wrong where."""

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image, ImageFile

from cellsignal.errors import BadInput
from cellsignal.plates import PlateStore, SiteReader, pack_plate

SIZE = 16


def site_rows(sites: int, channels: int = 6, plate_id: str = "E-01_1", suffix: str = "png") -> pd.DataFrame:
    """Rows of a plate as the packer needs them, one file per channel."""
    names = [f"{plate_id}_B{2 + i // 2:02d}_{1 + i % 2}" for i in range(sites)]
    return pd.DataFrame(
        {
            "site_id": names,
            "plate_id": plate_id,
            "images": [[f"{name}_w{c}.{suffix}" for c in range(1, channels + 1)] for name in names],
        }
    )


def write_images(rows: pd.DataFrame, root: Path, dtype: str = "u1", size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Random images for the rows; returns their pixels (site, channel, size, size)."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, np.iinfo(dtype).max, (len(rows), len(rows["images"][0]), size, size), dtype=dtype)
    for images, site in zip(rows["images"], pixels, strict=True):
        for image, plane in zip(images, site, strict=True):
            Image.fromarray(plane).save(root / image)
    return pixels


def problems_of(error: pytest.ExceptionInfo[BadInput]) -> str:
    return "\n".join(error.value.problems)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("jobs", [1, 3])
def test_store_equals_the_images_bit_for_bit(tmp_path: Path, dtype: str, jobs: int) -> None:
    rows = site_rows(9)
    pixels = write_images(rows, tmp_path, dtype)
    assert pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE, jobs=jobs) == []
    store = PlateStore(tmp_path / "p.h5")
    assert store.pixels.dtype == dtype
    np.testing.assert_array_equal(store.pixels, pixels)
    assert store.site_id.tolist() == rows["site_id"].tolist()
    digest = hashlib.sha256((tmp_path / rows["images"][8][5]).read_bytes()).hexdigest()
    assert store.sha256[8, 5] == digest


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_histogram_and_sums_are_exact(tmp_path: Path, dtype: str) -> None:
    rows = site_rows(3)
    pixels = write_images(rows, tmp_path, dtype)
    pixels[1, 2] = np.iinfo(dtype).max
    Image.fromarray(pixels[1, 2]).save(tmp_path / rows["images"][1][2])
    pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE)
    store = PlateStore(tmp_path / "p.h5")
    for site in range(3):
        for channel in range(6):
            values = [int(v) for v in pixels[site, channel].ravel()]
            assert store.sums[site, channel].tolist() == [
                len(values),
                sum(values),
                sum(v * v for v in values),
            ]
            coarse = [v >> 8 if dtype == "u2" else v for v in values]
            assert store.histogram[site, channel].tolist() == [coarse.count(v) for v in range(256)]


def test_packing_twice_gives_equal_bytes(tmp_path: Path) -> None:
    rows = site_rows(5)
    write_images(rows, tmp_path)
    for name, jobs in (("a.h5", 1), ("b.h5", 2)):
        pack_plate(rows, tmp_path, tmp_path / name, SIZE, jobs=jobs)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_memory_does_not_grow_with_the_plate(tmp_path: Path, jobs: int) -> None:
    size, peaks = 128, []
    for sites in (20, 100):
        rows = site_rows(sites)
        write_images(rows, tmp_path, size=size)
        tracemalloc.start()
        pack_plate(rows, tmp_path, tmp_path / "p.h5", size, jobs=jobs)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    site = 6 * size**2
    assert peaks[1] < 30 * site, f"peak {peaks[1] / site:.1f} sites' pixels"
    assert peaks[1] - peaks[0] < 4 * site, f"80 more sites took {(peaks[1] - peaks[0]) / site:.1f} sites' memory"


def test_all_bad_images_are_named_at_once(tmp_path: Path) -> None:
    rows = site_rows(8)
    write_images(rows, tmp_path)
    images = [site[0] for site in rows["images"]]
    (tmp_path / images[0]).unlink()
    (tmp_path / images[1]).write_bytes(b"")
    whole = (tmp_path / images[2]).read_bytes()
    (tmp_path / images[2]).write_bytes(whole[: len(whole) // 2])
    Image.new("L", (SIZE, SIZE + 1)).save(tmp_path / images[3])
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / images[4])
    (tmp_path / images[5]).write_text("not an image at all")
    flipped = bytearray((tmp_path / images[6]).read_bytes())
    flipped[60] ^= 1  # in the pixel data
    (tmp_path / images[6]).write_bytes(flipped)
    with pytest.raises(BadInput) as error:
        pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE)
    message = problems_of(error)
    expected = ["is missing", "is empty (0 bytes)", "truncated", "has 17 × 16 pixels; expected 16 × 16"]
    expected += ["has mode RGB", "is not an image", "damaged"]
    for image, problem in zip(images, expected, strict=False):
        line = next(line for line in error.value.problems if line.startswith(image))
        assert problem in line
    assert len(error.value.problems) == 7, message
    assert "plate E-01_1: 7 of 8 sites unreadable" in str(error.value)
    assert "pack.allow_missing_sites" in str(error.value)
    assert list(tmp_path.glob("*.h5")) == [] and list(tmp_path.glob(".*")) == []


def test_truncated_images_are_met_even_where_pillow_was_told_to_load_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    rows = site_rows(1)
    write_images(rows, tmp_path)
    cut = tmp_path / rows["images"][0][3]
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"w4\.png is truncated or damaged"):
        pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE)


@pytest.mark.parametrize("bad", [0, 3])
def test_complete_sites_are_packed_when_missing_ones_are_allowed(tmp_path: Path, bad: int) -> None:
    rows = site_rows(6)
    pixels = write_images(rows, tmp_path)
    for channel in (1, 4):
        (tmp_path / rows["images"][bad][channel]).unlink()
    problems = pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE, allow_missing_sites=True)
    assert problems == [
        {"site_id": rows["site_id"][bad], "image": rows["images"][bad][c], "problem": "is missing"} for c in (1, 4)
    ]
    store = PlateStore(tmp_path / "p.h5")
    np.testing.assert_array_equal(store.pixels, np.delete(pixels, bad, axis=0))
    assert store.site_id.tolist() == rows["site_id"].drop(bad).tolist()
    assert len(store.sums) == len(store.sha256) == len(store.histogram) == 5
    # The same bytes as a plate that never had the site.
    pack_plate(rows.drop(index=bad).reset_index(drop=True), tmp_path, tmp_path / "q.h5", SIZE)
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "q.h5").read_bytes()


def test_a_plate_without_any_complete_site_is_an_error(tmp_path: Path) -> None:
    rows = site_rows(2)
    with pytest.raises(BadInput, match="no site is left") as error:
        pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE, allow_missing_sites=True)
    assert len(error.value.problems) == 12
    assert not (tmp_path / "p.h5").exists()


def test_a_plate_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sites to pack"):
        pack_plate(site_rows(1).iloc[:0], tmp_path, tmp_path / "p.h5", SIZE)


def test_channels_of_different_depth_are_an_error(tmp_path: Path) -> None:
    rows = site_rows(3)
    write_images(rows, tmp_path)
    Image.fromarray(np.zeros((SIZE, SIZE), "u2")).save(tmp_path / rows["images"][0][2])  # one channel
    for image in rows["images"][2]:  # a whole site
        Image.fromarray(np.zeros((SIZE, SIZE), "u2")).save(tmp_path / image)
    with pytest.raises(BadInput) as error:
        pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE)
    assert "w3.png holds uint16 values; expected uint8" in problems_of(error)
    assert "holds 6 channels of uint16; expected 6 channels of uint8" in problems_of(error)


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2"])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"compression": "zlib"}])
def test_channels_of_a_tiff_are_its_pages_or_its_samples(
    tmp_path: Path, dtype: str, axis: int, options: dict[str, object]
) -> None:
    rows = site_rows(4, channels=1, suffix="tif")
    random = np.random.default_rng(1)
    pixels = random.integers(0, 255, (4, 5, SIZE, SIZE)).astype(dtype)
    for images, site in zip(rows["images"], pixels, strict=True):
        path = tmp_path / images[0]
        tifffile.imwrite(path, np.moveaxis(site, 0, axis), photometric="minisblack", **options)
    pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE, channels=5)
    store = PlateStore(tmp_path / "p.h5")
    np.testing.assert_array_equal(store.pixels, pixels)
    assert store.pixels.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    assert store.sha256.shape == (4, 1)


def test_as_many_pages_as_pixels_need_the_number_of_channels(tmp_path: Path) -> None:
    rows = site_rows(1, channels=1, suffix="tif")
    pixels = np.random.default_rng(0).integers(0, 255, (3, 3, 3), dtype="u1")
    tifffile.imwrite(tmp_path / rows["images"][0][0], pixels, photometric="minisblack")
    pack_plate(rows, tmp_path, tmp_path / "p.h5", 3, channels=3)
    np.testing.assert_array_equal(PlateStore(tmp_path / "p.h5").pixels[0], pixels)


def test_bad_tiffs_are_named(tmp_path: Path) -> None:
    rows = site_rows(6, channels=1, suffix="tif")
    paths = [tmp_path / images[0] for images in rows["images"]]
    good = np.random.default_rng(0).integers(0, 255, (4, SIZE, SIZE), dtype="u1")
    for path in paths:
        tifffile.imwrite(path, good, photometric="minisblack")
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    paths[2].write_bytes(paths[2].read_bytes()[:20])
    tifffile.imwrite(paths[3], good[:3], photometric="minisblack")
    tifffile.imwrite(paths[4], good.astype("f4"), photometric="minisblack")
    tifffile.imwrite(paths[5], good[:, 1:], photometric="minisblack")
    with pytest.raises(BadInput) as error:
        pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE, channels=4)
    found = error.value.problems
    assert len(found) == 5
    assert "truncated" in found[0] and "truncated or damaged" in found[1]
    assert "has shape 3 × 16 × 16; expected 16 × 16 pixels and 4 channels" in found[2]
    assert "holds float32 values; expected uint8 or uint16" in found[3]
    assert "has shape 4 × 15 × 16" in found[4]


def test_reader_joins_plates_and_keeps_the_order_asked_for(tmp_path: Path) -> None:
    plates = []
    for number in (1, 2, 3):
        rows = site_rows(5, plate_id=f"E-01_{number}")
        pixels = write_images(rows, tmp_path, seed=number)
        pack_plate(rows, tmp_path, tmp_path / f"{number}.h5", SIZE)
        plates.append((rows, pixels))
    reader = SiteReader([tmp_path / f"{n}.h5" for n in (1, 2, 3)])
    everything = np.concatenate([pixels for _, pixels in plates])
    names = np.concatenate([rows["site_id"] for rows, _ in plates])
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(15), 2))
    np.testing.assert_array_equal(reader.read(order), everything[order])
    np.testing.assert_array_equal(reader.read(names[order]), everything[order])
    np.testing.assert_array_equal(reader.index(names[order]), order)
    assert len(reader) == 15 and reader.shape == (6, SIZE, SIZE)
    assert reader.read(np.array([], dtype=int)).shape == (0, 6, SIZE, SIZE)


def test_reader_names_unknown_and_repeated_sites(tmp_path: Path) -> None:
    rows = site_rows(2)
    write_images(rows, tmp_path)
    pack_plate(rows, tmp_path, tmp_path / "p.h5", SIZE)
    with pytest.raises(BadInput, match="site X-01_1_B02_1: in no plate store"):
        SiteReader([tmp_path / "p.h5"]).read(["X-01_1_B02_1"])
    with pytest.raises(IndexError):
        SiteReader([tmp_path / "p.h5"]).read([2])
    with pytest.raises(BadInput, match="in more than one place"):
        SiteReader([tmp_path / "p.h5", tmp_path / "p.h5"])
    with pytest.raises(BadInput, match="no plate stores"):
        SiteReader([])


def test_reader_refuses_plates_of_different_shape(tmp_path: Path) -> None:
    for number, size in ((1, 16), (2, 24)):
        rows = site_rows(2, plate_id=f"E-01_{number}")
        write_images(rows, tmp_path, size=size)
        pack_plate(rows, tmp_path, tmp_path / f"{number}.h5", size)
    with pytest.raises(BadInput, match=r"2\.h5: pixels \(6, 24, 24\) uint8; expected \(6, 16, 16\)"):
        SiteReader([tmp_path / "1.h5", tmp_path / "2.h5"])


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_text("hello")
    with pytest.raises(BadInput, match=r"x\.h5: not a plate store"):
        PlateStore(tmp_path / "x.h5")
