"""Folds hold out whole groups, keep twins together, stay even, and let every fold learn every class."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.config.load import read_config
from cellsignal.config.screen import FoldSettings
from cellsignal.errors import BadInput
from cellsignal.folds import assign_folds, folds_of_wells, held_out, twins

DATA = os.environ.get("CELLSIGNAL_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is unset: the real tables are not here")


def screen_table(experiments: dict[str, int], classes: int = 16, test: tuple[str, ...] = ()) -> pd.DataFrame:
    """Sites of experiments `{cell type}-{number}` of two plates, each class once per experiment."""
    random = np.random.default_rng(0)
    rows = []
    for cell_type, count in experiments.items():
        for number in range(1, count + 1):
            experiment = f"{cell_type}-{number:02d}"
            order = random.permutation(classes).reshape(2, -1)
            for plate in (1, 2):
                for i, sirna in enumerate(order[plate - 1]):
                    rows.append((experiment, f"{experiment}_{plate}", i // 6 + 1, i % 6 + 1, cell_type, int(sirna)))
    table = pd.DataFrame(rows, columns=["experiment", "plate_id", "row", "column", "cell_type", "sirna"])
    table["dataset"] = np.where(table["experiment"].isin(test), "test", "train")
    table["well_type"] = "treatment"
    table.loc[table["dataset"] == "test", "sirna"] = -1
    table["site_id"] = table["plate_id"] + "_" + table["row"].astype(str) + "." + table["column"].astype(str)
    return table


def copy_layout(table: pd.DataFrame, source: str, target: str, share: float = 1.0) -> pd.DataFrame:
    """Give `target` the layout of `source`, its two plates swapped; `share` of the wells only."""
    table = table.copy()
    for plate in (1, 2):
        to, of = table["plate_id"] == f"{target}_{plate}", table["plate_id"] == f"{source}_{3 - plate}"
        classes = table.loc[of, "sirna"].to_numpy()
        kept = np.arange(len(classes)) < share * len(classes)
        table.loc[to, "sirna"] = np.where(kept, classes, np.roll(classes, 1))
    return table


def kaggle_table(release: str) -> pd.DataFrame:
    """The real train tables as far as folds need them."""
    folder = Path(str(DATA)) / "rxrx1-metadata" / release
    parts = [pd.read_csv(folder / f"{name}.csv") for name in ("train", "train_controls", "test")]
    parts[0]["well_type"], parts[0]["dataset"], parts[1]["dataset"] = "treatment", "train", "train"
    parts[2] = parts[2].assign(well_type="treatment", dataset="test", sirna=-1)
    table = pd.concat(parts, ignore_index=True)
    if release == "kaggle-later":
        table["sirna"] = pd.factorize(table["sirna"].where(table["dataset"] == "train"))[0]
    return table.assign(
        site_id=table["id_code"] + "_1",
        plate_id=table["experiment"] + "_" + table["plate"].astype(str),
        row=table["well"].str[0].map(ord) - 65,
        column=table["well"].str[1:].astype(int) - 1,
        cell_type=table["experiment"].str.split("-").str[0],
    )


def test_groups_are_whole_and_spread_evenly_by_cell_type() -> None:
    sites = screen_table({"HUVEC": 10, "RPE": 5, "U2OS": 3}, test=("HUVEC-10",))
    folds = assign_folds(sites, FoldSettings(count=3))
    assert folds["group"].tolist() == sorted(set(sites.loc[sites["dataset"] == "train", "experiment"]))
    assert folds["group"].is_unique
    table = pd.crosstab(folds["group"].str.split("-").str[0], folds["fold"])
    assert table.loc["HUVEC"].tolist() == [3, 3, 3]
    assert sorted(table.loc["RPE"]) == [1, 2, 2]
    assert table.loc["U2OS"].tolist() == [1, 1, 1]


def test_the_seed_decides_and_rows_do_not() -> None:
    sites = screen_table({"HUVEC": 10, "RPE": 6})
    settings = FoldSettings(count=4)
    first = assign_folds(sites, settings)
    pd.testing.assert_frame_equal(first, assign_folds(sites.sample(frac=1, random_state=1), settings))
    others = [assign_folds(sites, FoldSettings(count=4, seed=s))["fold"].tolist() for s in range(1, 5)]
    assert any(other != first["fold"].tolist() for other in others)


def test_twins_are_found_with_plates_shifted_and_share_a_fold() -> None:
    sites = copy_layout(screen_table({"HUVEC": 6, "RPE": 6}), "HUVEC-02", "RPE-05")
    assert twins(sites) == [{"HUVEC-02", "RPE-05"}]
    for seed in range(5):
        folds = assign_folds(sites, FoldSettings(count=4, seed=seed)).set_index("group")
        assert folds.loc["HUVEC-02", "fold"] == folds.loc["RPE-05", "fold"]
        assert folds["twin_of"].to_dict() == {g: "HUVEC-02" if g in ("HUVEC-02", "RPE-05") else "" for g in folds.index}
    apart = [
        assign_folds(sites, FoldSettings(count=4, seed=s, keep_twins=False)).set_index("group")["fold"]
        for s in range(5)
    ]
    assert any(fold["HUVEC-02"] != fold["RPE-05"] for fold in apart)


def test_a_chain_of_twins_is_one_set_and_a_half_copied_layout_is_none() -> None:
    sites = screen_table({"HUVEC": 6})
    chain = copy_layout(copy_layout(sites, "HUVEC-01", "HUVEC-03"), "HUVEC-03", "HUVEC-05")
    assert twins(chain) == [{"HUVEC-01", "HUVEC-03", "HUVEC-05"}]
    assert twins(copy_layout(sites, "HUVEC-01", "HUVEC-03", share=0.5)) == []
    assert twins(sites) == []
    assert twins(chain.assign(row=-1, column=-1)) == []  # no positions, nothing to see


def test_test_sites_belong_to_no_fold() -> None:
    sites = screen_table({"HUVEC": 8}, test=("HUVEC-07", "HUVEC-08"))
    folds = assign_folds(sites, FoldSettings(count=3))
    expected = dict(zip(folds["group"], folds["fold"], strict=True))
    for fold in range(3):
        assert held_out(sites, folds, fold).tolist() == [expected.get(e) == fold for e in sites["experiment"]]
    assert not {"HUVEC-07", "HUVEC-08"} & set(folds["group"])


def test_folds_by_plate_read_back_by_plate() -> None:
    sites = screen_table({"HUVEC": 6})
    folds = assign_folds(sites, FoldSettings(count=3, group="plate_id", stratify="label"))
    expected = dict(zip(folds["group"], folds["fold"], strict=True))
    for fold in range(3):
        assert held_out(sites, folds, fold).tolist() == [expected[p] == fold for p in sites["plate_id"]]


def test_fewer_groups_than_folds_is_an_error_that_names_the_twins() -> None:
    sites = copy_layout(screen_table({"HUVEC": 3}), "HUVEC-01", "HUVEC-02")
    with pytest.raises(BadInput, match=r"3 folds of 2 train groups.*HUVEC-01, HUVEC-02 share one layout"):
        assign_folds(sites, FoldSettings(count=3))
    assert len(assign_folds(sites, FoldSettings(count=3, keep_twins=False))) == 3


def test_a_class_that_lives_in_one_group_is_an_error() -> None:
    sites = screen_table({"HUVEC": 4})
    sites.loc[(sites["experiment"] == "HUVEC-03") & (sites["sirna"] == 5), "sirna"] = 16
    with pytest.raises(BadInput, match=r"class 16: only in HUVEC-03, so the training part of fold . lacks it"):
        assign_folds(sites, FoldSettings(count=2))


def test_a_group_without_a_fold_is_an_error() -> None:
    sites = screen_table({"HUVEC": 4})
    folds = assign_folds(sites, FoldSettings(count=2))
    with pytest.raises(BadInput, match="no fold for plate HUVEC-02_1"):
        held_out(sites, folds[folds["group"] != "HUVEC-02"], 0)


def test_a_class_on_few_plates_is_spread_over_folds() -> None:
    """Several rare classes, each on three plates of twelve: an unlucky split leaves one fold without."""
    random = np.random.default_rng(3)
    rows = [(f"P{p}", c) for p in range(12) for c in (0, 1) for _ in range(10)]
    rows += [(f"P{p}", c) for c in range(2, 8) for p in random.choice(12, 3, replace=False) for _ in range(3)]
    sites = pd.DataFrame(rows, columns=["plate_id", "sirna"])
    sites = sites.assign(
        experiment=sites["plate_id"],
        dataset="train",
        row=-1,
        column=-1,
        cell_type="cells",
        well_type="treatment",
    )
    sites["site_id"] = [str(i) for i in range(len(sites))]
    for seed in range(10):
        folds = assign_folds(sites, FoldSettings(count=5, group="plate_id", stratify="label", seed=seed))
        for f in range(5):
            assert set(sites["sirna"][~held_out(sites, folds, f)]) == set(range(8))


def test_explicit_folds_need_not_be_a_partition() -> None:
    """An experiment held out twice, one never, one fold that holds out nothing; twins may be parted."""
    sites = copy_layout(screen_table({"HUVEC": 4, "RPE": 2}, test=("RPE-02",)), "HUVEC-01", "HUVEC-03")
    settings = FoldSettings(count=3, held_out=[["HUVEC-01", "RPE-01"], [], ["HUVEC-01", "HUVEC-02"]])
    folds = assign_folds(sites, settings)
    assert list(folds[["group", "fold"]].itertuples(index=False, name=None)) == [
        ("HUVEC-01", 0), ("HUVEC-01", 2), ("HUVEC-02", 2), ("HUVEC-03", -1), ("HUVEC-04", -1), ("RPE-01", 0),
    ]  # fmt: skip
    assert folds["twin_of"].tolist() == ["HUVEC-01", "HUVEC-01", "", "HUVEC-01", "", ""]
    for fold, groups in enumerate(settings.held_out or []):
        assert held_out(sites, folds, fold).tolist() == sites["experiment"].isin(groups).tolist()
    sites["well_id"] = sites["site_id"]
    of_wells = folds_of_wells(sites, folds)
    expected = {"HUVEC-01": (0, 2), "HUVEC-02": (2,), "HUVEC-03": (), "HUVEC-04": (), "RPE-01": (0,)}
    assert {well.split("_")[0]: of for well, of in of_wells.items()} == expected
    assert len(of_wells) == (sites["dataset"] == "train").sum()


def test_groups_that_train_does_not_have_are_all_named_with_near_ones() -> None:
    sites = screen_table({"HUVEC": 4}, test=("HUVEC-04",))
    with pytest.raises(BadInput) as caught:
        assign_folds(sites, FoldSettings(count=2, held_out=[["HUVEC-1"], ["HUVEC-02", "HUVEC-04"]]))
    first, second = caught.value.problems
    assert first.startswith("folds.held_out: fold 0 holds out HUVEC-1, but train has no such experiment")
    assert "HUVEC-01" in first and "fold 1 holds out HUVEC-04" in second


def test_an_explicit_fold_that_never_learns_a_class_is_an_error() -> None:
    sites = screen_table({"HUVEC": 3})
    sites.loc[(sites["experiment"] == "HUVEC-03") & (sites["sirna"] == 5), "sirna"] = 16
    with pytest.raises(BadInput, match="fold 1 holds out every experiment with class 16"):
        assign_folds(sites, FoldSettings(count=2, held_out=[["HUVEC-01"], ["HUVEC-03"]]))


def test_a_single_fold_trains_on_everything() -> None:
    sites = screen_table({"HUVEC": 3})
    folds = assign_folds(sites, FoldSettings(count=1))
    assert folds["fold"].tolist() == [-1, -1, -1] and not held_out(sites, folds, 0).any()
    assert FoldSettings(count=1).nothing_held_out and FoldSettings(count=2, held_out=[[], []]).nothing_held_out
    assert not FoldSettings(count=2).nothing_held_out and not FoldSettings(count=1, held_out=[["a"]]).nothing_held_out


@needs_data
def test_the_folds_of_config_yaml_are_deepnoise_s() -> None:
    """The released code's, by number: every fold holds out every cell type and learns every class."""
    released = """HEPG2-04 HUVEC-06 HUVEC-09 RPE-03 U2OS-02 · HEPG2-03 HUVEC-05 HUVEC-08 RPE-02 U2OS-01 ·
        HEPG2-02 HUVEC-04 HUVEC-07 RPE-01 U2OS-03 · HEPG2-01 HUVEC-03 HUVEC-06 RPE-04 U2OS-03 ·
        HEPG2-05 HUVEC-07 HUVEC-10 RPE-05 U2OS-01"""
    settings = read_config([Path(__file__).resolve().parents[2] / "config.yaml"]).folds
    assert settings.held_out == [part.split() for part in released.split("·")]
    sites = kaggle_table("kaggle-original")
    folds = assign_folds(sites, settings)
    for fold in range(5):
        held = held_out(sites, folds, fold)
        assert sorted(set(sites["experiment"][held])) == sorted(settings.held_out[fold])
        assert {name.split("-")[0] for name in settings.held_out[fold]} == {"HEPG2", "HUVEC", "RPE", "U2OS"}
        train = sites[(sites["dataset"] == "train") & (sites["well_type"] == "treatment") & ~held]
        assert train["sirna"].nunique() == 1_108
    assert set(folds.loc[folds["twin_of"] != "", "group"]) == {"HUVEC-07", "RPE-03"}


@needs_data
@pytest.mark.parametrize("release", ["kaggle-original", "kaggle-later"])
def test_the_real_twins_are_found_and_the_real_folds_are_even(release: str) -> None:
    sites = kaggle_table(release)
    assert twins(sites) == [{"HUVEC-07", "RPE-03"}]
    folds = assign_folds(sites, FoldSettings())
    by_group = folds.set_index("group")["fold"]
    assert by_group["HUVEC-07"] == by_group["RPE-03"]
    table = pd.crosstab(folds["group"].str.split("-").str[0], folds["fold"])
    print(table)
    assert table.sum().sum() == 33
    assert (table.max(axis=1) - table.min(axis=1) <= 1).all()


@needs_data
@pytest.mark.parametrize("seed", range(4))
def test_every_fold_of_mitocheck_learns_every_class(seed: int) -> None:
    table = pd.read_csv(Path(str(DATA)) / "mitocheck" / "metadata.csv")
    sirna, names = pd.factorize(table["class"], sort=True)
    sites = pd.DataFrame(
        {
            "site_id": [f"s{i}" for i in range(len(table))],
            "plate_id": table["plate"].astype(str),
            "experiment": table["plate"].astype(str),
            "sirna": sirna,
        }
    ).assign(dataset="train", row=-1, column=-1, cell_type="cells", well_type="treatment")
    assert len(names) == 16 and sites["plate_id"].nunique() == 45
    folds = assign_folds(sites, FoldSettings(count=5, group="plate_id", stratify="label", seed=seed))
    sizes = np.array([held_out(sites, folds, f).sum() for f in range(5)])
    print("sites per fold", sizes)
    for f in range(5):
        assert set(sites["sirna"][~held_out(sites, folds, f)]) == set(range(16))
    assert sizes.max() < 1.6 * sizes.min()
