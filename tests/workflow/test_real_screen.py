"""Real RxRx1 images through the workflow: missing ones stop it, all named; without them, pixels as they are."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from projects import Project
from scipy.stats import spearmanr

from cellsignal.plates import PlateStore

DATA = os.environ.get("CELLSIGNAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is unset: the real images are not here")

SCREEN = "results/rxrx1_wells"
PLATES = [f"{experiment}_{plate}" for experiment in ("HEPG2-01", "HUVEC-01", "RPE-01") for plate in (1, 2, 3, 4)]
CHANNELS = ["nuclei", "endoplasmic_reticulum", "actin", "nucleoli", "mitochondria", "golgi"]
TABLE = "sites.csv"
COLUMNS = {
    "images": [f"train/{{experiment}}/Plate{{plate}}/{{well}}_s{{site}}_w{n}.png" for n in range(1, 7)],
    "label": "sirna",
    "plate": "plate",
    "experiment": "experiment",
    "well": "well",
    "site": "site",
    "cell_type": "cell_type",
    "well_type": "well_type",
}


def manifest() -> pd.DataFrame:
    """One row per image that is here: path, sha256, experiment, plate, well, site, channel, …"""
    return pd.read_csv(Path(str(DATA)) / "rxrx1-images/MANIFEST.csv", dtype={"plate": str, "site": str})


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the real images of one well of twelve plates, not run yet."""
    project = Project.create(tmp_path_factory.mktemp("real") / "project")
    root = project.folder / "data"
    root.mkdir()
    (root / "train").symlink_to(Path(str(DATA)) / "rxrx1-images/train")
    names = ["experiment", "plate", "well", "site", "cell_type", "well_type", "sirna"]
    manifest().drop_duplicates(names)[names].to_csv(root / TABLE, index=False, quoting=csv.QUOTE_MINIMAL)
    return project


def settings(project: Project, allow_missing_sites: bool) -> dict[str, object]:
    return {
        "screen": {
            "name": "rxrx1_wells",
            "kind": "table",
            "root": str(project.folder / "data"),
            "channels": CHANNELS,
            "image_size": 512,
            "plate_rows": 16,
            "plate_columns": 24,
            "simulated": None,
            "table": {"metadata": TABLE, "columns": COLUMNS},
        },
        "pack": {"allow_missing_sites": allow_missing_sites},
    }


@pytest.fixture(scope="module")
def stopped(real: Project) -> str:
    """What the run says that may not leave sites out."""
    real.overlay(settings(real, allow_missing_sites=False))
    return real.fail("packed")


@pytest.fixture(scope="module")
def packed(real: Project, stopped: str) -> Project:
    """The same project, run on with permission to leave sites out."""
    real.overlay(settings(real, allow_missing_sites=True))
    real.run("packed")
    return real


def test_the_missing_images_stop_the_run_all_at_once(stopped: str) -> None:
    missing = [f"train/{plate.replace('_', '/Plate')}/B02_s2_w{channel}.png" for plate in PLATES for channel in (5, 6)]
    assert len(missing) == 24 and all(name in stopped for name in missing)
    assert "12 problems" in stopped  # one sentence per site
    assert "images missing; restore them, or set pack.allow_missing_sites: true" in stopped


def test_complete_sites_are_packed_and_incomplete_ones_listed(packed: Project) -> None:
    for plate in PLATES:
        store = PlateStore(packed.folder / SCREEN / f"plates/{plate}.h5")
        assert store.site_id.tolist() == [f"{plate}_B02_1"] and store.pixels.shape == (1, 6, 512, 512)
        problems = json.loads((packed.folder / SCREEN / f"plates/{plate}.problems.json").read_text())
        assert [problem["image"][-10:] for problem in problems] == ["_s2_w5.png", "_s2_w6.png"]
    assert len(json.loads((packed.folder / SCREEN / "problems.json").read_text())) == 24


def test_pixels_and_hashes_are_those_of_the_images(packed: Project) -> None:
    images = manifest().set_index("path")
    for plate in PLATES:
        store = PlateStore(packed.folder / SCREEN / f"plates/{plate}.h5")
        paths = [f"train/{plate.replace('_', '/Plate')}/B02_s1_w{channel}.png" for channel in range(1, 7)]
        assert store.sha256[0].tolist() == images.loc[paths, "sha256"].tolist()
        for path, pixels in zip(paths, store.pixels[0], strict=True):
            with Image.open(packed.folder / "data" / path) as source:
                np.testing.assert_array_equal(pixels, np.asarray(source))
            assert round(float(pixels.mean()), 4) == images.loc[path, "mean"]


def test_receipts_name_the_raw_images_by_hash(packed: Project) -> None:
    """Those of the sites that were left out, too: a plate is packed again when one of them is replaced."""
    images = manifest().set_index("path")["sha256"]
    raw: dict[str, str] = {}
    for plate in PLATES:
        receipt = packed.folder / SCREEN / f"plates/{plate}.h5.receipt.json"
        raw |= json.loads(receipt.read_text())["raw"]
    assert raw == dict(images)


def test_plate_statistics_rank_as_published(packed: Project) -> None:
    """One well stands for a plate of 308, so ranks over the twelve plates are compared, not values."""
    table = pd.read_parquet(packed.folder / SCREEN / "normalization/plate.parquet")
    ours = table.pivot_table(index="group", columns="channel", values="mean")
    published = pd.read_csv(Path(str(DATA)) / "rxrx1-metadata/derived/mean_std_plate.csv")
    published["group"] = published["experiment"] + "_" + published["plate"].astype(str)
    theirs = published.pivot_table(index="group", columns="channel", values="mean").loc[ours.index]
    assert ours.shape == (12, 6)
    assert min(spearmanr(ours[channel], theirs[channel + 1]).statistic for channel in range(6)) > 0.7
