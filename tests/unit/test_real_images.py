"""Real RxRx1 images: packed bit for bit, hashed right, as bright as published, and honest about what is missing."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from cellsignal.errors import BadInput
from cellsignal.normalization import statistics
from cellsignal.plates import PlateStore, pack_plate

DATA = os.environ.get("CELLSIGNAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is unset: the real images are not here")

EXPERIMENTS = ["HEPG2-01", "HUVEC-01", "RPE-01"]
PLATES = [f"{e}_{p}" for e in EXPERIMENTS for p in (1, 2, 3, 4)]


def root() -> Path:
    return Path(str(DATA)) / "rxrx1-images"


def plate_sites(plate_id: str) -> pd.DataFrame:
    """Rows of the negative control well, the only one of each plate that is here."""
    experiment, plate = plate_id.split("_")
    well = f"train/{experiment}/Plate{plate}/B02"
    return pd.DataFrame(
        {
            "site_id": [f"{plate_id}_B02_{s}" for s in (1, 2)],
            "well_id": f"{plate_id}_B02",
            "experiment": experiment,
            "plate": plate,
            "plate_id": plate_id,
            "well": "B02",
            "row": 1,
            "column": 1,
            "site": [1, 2],
            "cell_type": experiment.split("-")[0],
            "dataset": "train",
            "well_type": "negative_control",
            "sirna": 1138,
            "images": [[f"{well}_s{s}_w{c}.png" for c in range(1, 7)] for s in (1, 2)],
        }
    )


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, list[Path], list[dict[str, str]]]:
    """All twelve plates, without the sites that miss images."""
    folder = tmp_path_factory.mktemp("plates")
    sites, stores, problems = [], [], []
    for plate_id in PLATES:
        rows, store = plate_sites(plate_id), folder / f"{plate_id}.h5"
        problems += pack_plate(rows, root(), store, 512, allow_missing_sites=True, jobs=2)
        sites.append(rows)
        stores.append(store)
    return pd.concat(sites, ignore_index=True), stores, problems


def test_packed_pixels_are_those_of_the_images(packed: tuple[pd.DataFrame, list[Path], object]) -> None:
    sites, stores, _ = packed
    for plate_id, path in zip(PLATES, stores, strict=True):
        store = PlateStore(path)
        assert store.pixels.shape == (1, 6, 512, 512) and store.pixels.dtype == np.uint8
        assert store.site_id.tolist() == [f"{plate_id}_B02_1"]
        images = sites.set_index("site_id").loc[store.site_id[0], "images"]
        for channel, image in enumerate(images):
            with Image.open(root() / image) as source:
                np.testing.assert_array_equal(store.pixels[0, channel], np.asarray(source))


def test_hashes_are_those_of_the_manifest(packed: tuple[pd.DataFrame, list[Path], object]) -> None:
    sites, stores, _ = packed
    manifest = pd.read_csv(root() / "MANIFEST.csv").set_index("path")["sha256"]
    images = sites.set_index("site_id")["images"]
    for path in stores:
        store = PlateStore(path)
        assert store.sha256[0].tolist() == [manifest[i] for i in images[store.site_id[0]]]


def test_missing_images_of_the_second_sites_are_listed(packed: tuple[object, object, list[dict[str, str]]]) -> None:
    problems = packed[2]
    assert len(problems) == 24
    for plate_id in PLATES:
        experiment, plate = plate_id.split("_")
        assert [p for p in problems if p["site_id"] == f"{plate_id}_B02_2"] == [
            {
                "site_id": f"{plate_id}_B02_2",
                "image": f"train/{experiment}/Plate{plate}/B02_s2_w{channel}.png",
                "problem": "is missing",
            }
            for channel in (5, 6)
        ]


def test_missing_images_stop_the_packing_unless_allowed(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        pack_plate(plate_sites("RPE-01_3"), root(), tmp_path / "p.h5", 512)
    assert error.value.problems == [
        f"train/RPE-01/Plate3/B02_s2_w{c}.png is missing (site RPE-01_3_B02_2)" for c in (5, 6)
    ]
    assert not list(tmp_path.iterdir())


def test_plate_means_rank_as_published(packed: tuple[pd.DataFrame, list[Path], object]) -> None:
    """One well stands for a plate of 308, so ranks over the twelve plates are compared, not values."""
    sites, stores, _ = packed
    ours = statistics(stores, sites, "plate").pivot_table(index="group", columns="channel", values="mean")
    table = pd.read_csv(Path(str(DATA)) / "rxrx1-metadata" / "derived" / "mean_std_plate.csv")
    table["group"] = table["experiment"] + "_" + table["plate"].astype(str)
    published = table.pivot_table(index="group", columns="channel", values="mean").loc[ours.index]
    rho = [spearmanr(ours[c], published[c + 1]).statistic for c in range(6)]
    pooled = spearmanr(np.log(ours.to_numpy()).ravel(), np.log(published.to_numpy()).ravel()).statistic
    print("Spearman over 12 plates, w1 to w6:", np.round(rho, 3), "all 72:", round(float(pooled), 3))
    assert min(rho) > 0.7
    assert pooled > 0.95
