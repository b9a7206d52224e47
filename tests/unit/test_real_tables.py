"""The published RxRx1 tables, in every release, and a real table of another screen (MitoCheck)."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_screens import settings

from cellsignal.config.screen import ScreenSettings
from cellsignal.errors import BadInput
from cellsignal.screens import describe_missing, missing_images, planned_sites, read_screen, rxrx1
from cellsignal.sites import Screen, validate_sites, well_table

DATA = Path(os.environ.get("CELLSIGNAL_DATA", "unset"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="CELLSIGNAL_DATA is not set: no real data")
TABLES = DATA / "rxrx1-metadata"
CHANNELS = [f"w{i}" for i in range(1, 7)]
LATER_ONLY = {"HUVEC-06_1_B18", "RPE-04_3_E04", "HUVEC-18_3_D23", "RPE-09_2_J16"}


def kaggle(release: str) -> ScreenSettings:
    answers = "derived/test_labels_partial.csv" if release == "kaggle-original" else None
    return settings("kaggle", channels=CHANNELS, image_size=512, metadata=release, answers=answers)


@pytest.fixture(scope="module")
def original() -> Screen:
    return read_screen(kaggle("kaggle-original"), TABLES)


@pytest.fixture(scope="module")
def later() -> Screen:
    return read_screen(kaggle("kaggle-later"), TABLES)


@pytest.fixture(scope="module")
def public() -> pd.DataFrame:
    """The published part of the public release's metadata: all of four test experiments, parts of seven."""
    return pd.read_csv(TABLES / "derived" / "rxrx1_metadata_test_subset.csv", dtype=str, keep_default_na=False)


def counts(screen: Screen, dataset: str) -> tuple[int, int]:
    """Treatment and control wells."""
    wells = well_table(screen.sites)
    treatment = wells.loc[wells["dataset"] == dataset, "well_type"] == "treatment"
    return int(treatment.sum()), int((~treatment).sum())


def test_original_release_has_the_published_counts(original: Screen) -> None:
    assert counts(original, "train") == (36_515, 4_097) and counts(original, "test") == (19_897, 2_246)
    assert len(original.sites) == 125_510 and original.sites["experiment"].nunique() == 51
    assert original.sites["plate_id"].nunique() == 204
    train = original.sites[original.sites["dataset"] == "train"]
    assert train["experiment"].nunique() == 33
    by_type = original.sites.groupby("cell_type")["experiment"].nunique().to_dict()
    assert by_type == {"HEPG2": 11, "HUVEC": 24, "RPE": 11, "U2OS": 5}


def test_later_release_has_the_published_counts(later: Screen) -> None:
    assert counts(later, "train") == (36_517, 4_097) and counts(later, "test") == (19_899, 2_246)


@pytest.mark.parametrize("release", ["original", "later"])
def test_classes(release: str, request: pytest.FixtureRequest) -> None:
    screen: Screen = request.getfixturevalue(release)
    kinds = np.repeat(["treatment", "positive_control", "negative_control"], [1_108, 30, 1])
    assert screen.classes["well_type"].tolist() == kinds.tolist()
    assert screen.classes["name"].is_unique
    negative = screen.sites[screen.sites["well_type"] == "negative_control"]
    assert set(negative["sirna"]) == {1_138} and "B02" in set(negative["well"])
    train = well_table(screen.sites).query("dataset == 'train' and well_type == 'treatment'")
    sizes = train["sirna"].value_counts().value_counts().to_dict()
    extra = 2 if release == "later" else 0  # its two further train wells complete two classes of 32
    assert sizes == {33: 1_067 + extra, 32: 37 - extra, 31: 2, 29: 2}


def test_positions_stay_off_the_border(original: Screen) -> None:
    assert original.sites["row"].between(1, 14).all() and original.sites["column"].between(1, 22).all()
    assert len(original.sites[["row", "column"]].drop_duplicates()) == 308


def test_no_test_label_is_in_the_sites(original: Screen, later: Screen) -> None:
    for screen in (original, later):
        hidden = (screen.sites["dataset"] == "test") & (screen.sites["well_type"] == "treatment")
        assert (screen.sites.loc[hidden, "sirna"] == -1).all() and (screen.sites.loc[~hidden, "sirna"] >= 0).all()
    assert len(original.answers) == 8_853 and later.answers.empty


def test_names_of_the_later_release_are_the_numbers_of_the_original(original: Screen, later: Screen) -> None:
    a, b = (well_table(s.sites).set_index("well_id") for s in (original, later))
    assert set(b.index) - set(a.index) == LATER_ONLY and set(a.index) <= set(b.index)
    both = pd.DataFrame({"number": a["sirna"], "index": b["sirna"].reindex(a.index)})
    assert ((both["number"] == -1) == (both["index"] == -1)).all()
    pairs = both[both["number"] >= 0].drop_duplicates()
    assert len(pairs) == pairs["number"].nunique() == pairs["index"].nunique() == 1_139
    known = pd.read_csv(TABLES / "derived" / "sirna_id_map.csv").set_index("sirna_int")["sirna_str"]
    names = later.classes["name"].to_numpy()[pairs["index"]]
    assert names.tolist() == known.loc[pairs["number"]].tolist()


def test_public_schema(public: pd.DataFrame, original: Screen) -> None:
    whole = public[public["experiment"].isin(["HEPG2-08", "HUVEC-17", "RPE-08", "U2OS-04"])]
    screen = rxrx1.from_metadata(whole, settings("rxrx1", channels=CHANNELS, image_size=512), "public")
    validate_sites(screen.sites, screen.classes, "public")
    assert len(screen.sites) == len(whole) == 9_234
    assert len(screen.classes) == 1_139 and screen.classes["name"].iloc[1_138] == "EMPTY"
    assert screen.classes["well_type"].tolist() == original.classes["well_type"].tolist()
    treatments = whole[whole["well_type"] == "treatment"].drop_duplicates("well_id")
    truth = dict(zip(treatments["well_id"], treatments["sirna_id"].astype(int), strict=True))
    assert dict(zip(screen.answers["well_id"], screen.answers["sirna"], strict=True)) == truth
    hidden = screen.sites["well_type"] == "treatment"
    assert (screen.sites.loc[hidden, "sirna"] == -1).all()
    shared = screen.answers.merge(original.answers, on="well_id", suffixes=("", "_kaggle"))
    assert len(shared) == len(screen.answers) and (shared["sirna"] == shared["sirna_kaggle"]).all()
    assert screen.sites["images"].iloc[0][5] == "images/HEPG2-08/Plate1/B02_s1_w6.png"


def test_public_subset_lacks_controls_of_seven_experiments(public: pd.DataFrame, tmp_path: Path) -> None:
    public.to_csv(tmp_path / "metadata.csv", index=False)
    with pytest.raises(BadInput) as caught:
        read_screen(settings("rxrx1", channels=CHANNELS, image_size=512), tmp_path)
    assert len(caught.value.problems) == 7 and all("has no control wells" in p for p in caught.value.problems)


def test_the_whole_public_release_is_read_in_seconds(original: Screen, tmp_path: Path) -> None:
    """The public metadata of all 125,510 sites, rebuilt from Kaggle's tables; workflows read it to plan."""
    sites, names = original.sites, pd.read_csv(TABLES / "derived" / "sirna_id_map.csv", dtype=str)
    known = sites["sirna"] >= 0
    metadata = sites[rxrx1.METADATA[:-2]].assign(
        sirna=sites["sirna"].map(names["thermo_id"]).where(known, ""),
        sirna_id=sites["sirna"].astype(str).where(known, ""),
    )
    metadata.to_csv(tmp_path / "metadata.csv", index=False)
    started = time.process_time()
    screen = planned_sites(settings("rxrx1", channels=CHANNELS, image_size=512), tmp_path)
    assert time.process_time() - started < 8  # about 1.5 s on an idle core
    assert screen.sites.drop(columns="images").equals(sites.drop(columns="images"))
    assert screen.classes["name"].tolist() == names["thermo_id"].tolist()


def test_real_missing_images(original: Screen) -> None:
    """Of the published sample, well B02 of three experiments, site 2 lacks channels 5 and 6."""
    experiments = ["HUVEC-01", "RPE-01", "HEPG2-01"]
    sites = original.sites[original.sites["experiment"].isin(experiments) & (original.sites["well"] == "B02")]
    missing = missing_images(sites, DATA / "rxrx1-images")
    expected = {f"train/{e}/Plate{p}/B02_s2_w{c}.png" for e in experiments for p in range(1, 5) for c in (5, 6)}
    assert set(missing["image"]) == expected and len(missing) == 24
    assert set(missing["site_id"].str[-2:]) == {"_2"} and set(missing["problem"]) == {"no such file"}
    assert len(describe_missing(missing, sites)) == 12


def test_plates_without_images_are_one_sentence_each(original: Screen) -> None:
    lines = describe_missing(missing_images(original.sites, DATA / "rxrx1-images"), original.sites)
    assert sum("none of the" in line for line in lines) == 204 - 12


def mitocheck(**columns: str) -> ScreenSettings:
    chosen = {"images": ["path"], "label": "class", "plate": "plate"} | columns
    return settings(
        "table", channels=["chromatin"], image_size=64, table={"metadata": "metadata.csv", "columns": chosen}
    )


def test_mitocheck() -> None:
    table = pd.read_csv(DATA / "mitocheck" / "metadata.csv")
    well = "P{well_position}_{frame}_{x}_{y}"
    screen = read_screen(mitocheck(well=well), DATA / "mitocheck")
    assert len(screen.sites) == 2_182 and screen.sites["plate_id"].nunique() == 45
    assert screen.classes["name"].tolist() == sorted(table["class"].unique())
    assert (screen.sites["experiment"] == screen.sites["plate"]).all()
    assert (screen.sites["plate"] == screen.sites["plate_id"]).all()
    assert (screen.sites[["row", "column"]] == -1).all(axis=None)
    assert missing_images(screen.sites, DATA / "mitocheck").empty
    names = screen.classes["name"].to_numpy()[screen.sites["sirna"]]
    by_path = table.set_index("path")["class"]
    assert names.tolist() == by_path.loc[screen.sites["images"].str[0]].tolist()
    unnamed = read_screen(mitocheck(), DATA / "mitocheck")  # without wells, each image is a well of its own
    assert unnamed.sites["well_id"].is_unique and len(unnamed.sites) == 2_182


def test_mitocheck_wells_hold_cells_of_several_phenotypes() -> None:
    with pytest.raises(BadInput, match="expected the same in every row of a well"):
        read_screen(mitocheck(well="P{well_position}"), DATA / "mitocheck")
