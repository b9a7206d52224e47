"""What a training may see: nothing held out, no test label, and answers change nothing.

Expected rows are collected by loops over the site table, one condition at a time.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_screens import public_rows, screen_of

from cellsignal.config.learning import ALL_CELL_TYPES
from cellsignal.config.screen import FoldSettings
from cellsignal.errors import BadInput
from cellsignal.folds import assign_folds
from cellsignal.sites import Screen
from cellsignal.training_rows import prediction_roles, prediction_rows, sites_of_role, training_rows

EXPERIMENTS = {f"HUVEC-0{n}": "train" for n in range(1, 5)} | {f"RPE-0{n}": "train" for n in range(1, 5)}
EXPERIMENTS |= {"HUVEC-05": "test", "RPE-05": "test"}
FOLD_OF = {"HUVEC-01": 0, "HUVEC-02": 1, "HUVEC-03": 2, "HUVEC-04": 0} | {f"RPE-0{n}": n % 3 for n in range(1, 5)}
FOLDS = pd.DataFrame({"group": list(FOLD_OF), "fold": list(FOLD_OF.values()), "twin_of": ""})


@pytest.fixture(scope="module")
def screen() -> Screen:
    return screen_of(public_rows(EXPERIMENTS))


def rows_of(screen: Screen, fold: int = 0, controls: bool = False, **options: Any) -> pd.DataFrame:
    options.setdefault("packed", set(screen.sites["site_id"]))
    return training_rows(screen.sites, options.pop("folds", FOLDS), fold, controls=controls, **options)


def ids(rows: pd.DataFrame, role: str) -> list[str]:
    return rows.loc[rows["role"] == role, "site_id"].tolist()


def by_loop(screen: Screen, fold: int, controls: bool) -> dict[str, dict[str, int]]:
    """Role → site → class, of a training without pseudo-labels."""
    found: dict[str, dict[str, int]] = {"train": {}, "validation": {}, "unlabelled": {}}
    for site in screen.sites.to_dict("records"):
        treatment = site["well_type"] == "treatment"
        if site["dataset"] == "test":
            role = "unlabelled" if treatment else "train" if controls else None
        elif FOLD_OF[site["experiment"]] == fold:
            role = "validation" if treatment else None
        else:
            role = "train" if treatment or controls else None
        if role:
            found[role][site["site_id"]] = site["sirna"]
    return found


@pytest.mark.parametrize("controls", [False, True])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_every_site_has_the_role_that_a_loop_gives_it(screen: Screen, fold: int, controls: bool) -> None:
    rows = rows_of(screen, fold, controls, unlabelled=True)
    assert list(rows.columns) == ["site_id", "role", "sirna", "weight"]
    for role, expected in by_loop(screen, fold, controls).items():
        chosen = rows[rows["role"] == role]
        assert dict(zip(chosen["site_id"], chosen["sirna"], strict=True)) == expected, role
        assert chosen["site_id"].tolist() == sorted(expected)
    assert rows["site_id"].is_unique
    assert rows.groupby("role")["weight"].unique().map(list).to_dict() == {
        "train": [1.0],
        "validation": [1.0],
        "unlabelled": [0.0],
    }


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_held_out_experiment_is_never_trained_on_nor_are_its_controls(screen: Screen, fold: int) -> None:
    held_out = {experiment for experiment, of in FOLD_OF.items() if of == fold}
    labels = pd.DataFrame({"well_id": screen.answers["well_id"], "sirna": 0, "weight": 0.1})
    rows = rows_of(screen, fold, controls=True, pseudo_labels=labels, unlabelled=True)
    seen = {site.split("_")[0] for site in rows.loc[rows["role"] != "validation", "site_id"]}
    assert seen == set(EXPERIMENTS) - held_out
    assert {site.split("_")[0] for site in ids(rows, "validation")} == held_out


def test_a_fold_that_holds_out_nothing_trains_on_all_and_validates_only_if_it_need_not(screen: Screen) -> None:
    folds = pd.DataFrame({"group": sorted(FOLD_OF), "fold": -1})
    rows = rows_of(screen, 0, controls=False, folds=folds, validated=False)
    train = (screen.sites["dataset"] == "train") & (screen.sites["well_type"] == "treatment")
    assert ids(rows, "train") == sorted(screen.sites.loc[train, "site_id"]) and not ids(rows, "validation")
    with pytest.raises(BadInput, match="no sites to validate on, but select: best or patience asks for them"):
        rows_of(screen, 0, controls=False, folds=folds, validated=True)
    roles = prediction_roles(screen.sites, folds, 0)
    test = (screen.sites["dataset"] == "test") & (screen.sites["well_type"] == "treatment")
    assert roles.tolist() == ["test" if here else "" for here in test]


def test_an_experiment_of_two_folds_is_held_out_of_both(screen: Screen) -> None:
    twice = sorted(FOLD_OF)[0]
    folds = pd.DataFrame({"group": [*sorted(FOLD_OF), twice], "fold": [0, *[1] * (len(FOLD_OF) - 1), 1]})
    for fold in (0, 1):
        rows = rows_of(screen, fold, controls=True, folds=folds)
        assert twice not in {site.split("_")[0] for site in ids(rows, "train")}
        assert twice in {site.split("_")[0] for site in ids(rows, "validation")}


def test_folds_by_plate_hold_out_plates(screen: Screen) -> None:
    plates = sorted(screen.sites.loc[screen.sites["dataset"] == "train", "plate_id"].unique())
    folds = pd.DataFrame({"group": plates, "fold": [i % 2 for i in range(len(plates))]})
    rows = rows_of(screen, 1, controls=True, folds=folds)
    assert {site.rsplit("_", 2)[0] for site in ids(rows, "validation")} == set(plates[1::2])
    trained = {site.rsplit("_", 2)[0] for site in ids(rows, "train")}
    assert trained == set(plates[0::2]) | {"HUVEC-05_1", "HUVEC-05_2", "RPE-05_1", "RPE-05_2"}


def test_test_treatments_never_carry_their_label(screen: Screen) -> None:
    rows = rows_of(screen, controls=True, unlabelled=True).merge(screen.sites, on="site_id", suffixes=("", "_of_table"))
    hidden = rows[(rows["dataset"] == "test") & (rows["well_type"] == "treatment")]
    assert len(hidden) == 2 * 16
    assert set(hidden["role"]) == {"unlabelled"} and set(hidden["sirna"]) == {-1}


def test_controls_of_test_experiments_join_only_when_asked(screen: Screen) -> None:
    without, with_them = rows_of(screen, controls=False), rows_of(screen, controls=True)
    assert not any("-05_" in site for site in ids(without, "train"))
    joined = {
        site: sirna for site, sirna in zip(with_them["site_id"], with_them["sirna"], strict=True) if "-05_" in site
    }
    assert joined == {
        f"{experiment}_{plate}_{well}_{site}": sirna
        for experiment in ("HUVEC-05", "RPE-05")
        for plate in "12"
        for well, sirna in (("B02", 9), ("B03", 8))
        for site in "12"
    }


def test_changing_the_answers_changes_no_row(screen: Screen) -> None:
    """The public tables hold the labels of test wells; whatever they say, training sees the same."""
    rows = public_rows(EXPERIMENTS)
    hidden = [row for row in rows if row["dataset"] == "test" and row["well_type"] == "treatment"]
    swap = {row["sirna_id"]: row["sirna"] for row in hidden}
    for row in hidden:
        row["sirna_id"] = str((int(row["sirna_id"]) + 3) % 8)
        row["sirna"] = swap[row["sirna_id"]]
    other = screen_of(rows)
    assert (screen.answers["sirna"] != other.answers["sirna"]).all()
    for fold in range(3):
        for options in ({"controls": False}, {"controls": True, "unlabelled": True}):
            pd.testing.assert_frame_equal(rows_of(screen, fold, **options), rows_of(other, fold, **options))
    pd.testing.assert_frame_equal(
        assign_folds(screen.sites, FoldSettings(count=3, keep_twins=False)),
        assign_folds(other.sites, FoldSettings(count=3, keep_twins=False)),
    )


def test_pseudo_rows_carry_the_labels_and_weights_given(screen: Screen) -> None:
    wells = screen.answers["well_id"].to_numpy()[::-2]  # half of the test wells, in another order
    labels = pd.DataFrame(
        {"well_id": wells, "sirna": np.arange(len(wells)) % 8, "weight": np.linspace(0.05, 0.4, len(wells))}
    )
    rows = rows_of(screen, pseudo_labels=labels)
    expected = {
        f"{well}_{site}": (sirna, np.float32(weight))
        for well, sirna, weight in labels.itertuples(index=False)
        for site in "12"
    }
    pseudo = rows[rows["role"] == "pseudo"]
    assert dict(zip(pseudo["site_id"], zip(pseudo["sirna"], pseudo["weight"], strict=True), strict=True)) == expected
    assert pseudo["site_id"].tolist() == sorted(expected)


def test_pseudo_labels_of_train_and_control_wells_are_not_taken(screen: Screen) -> None:
    known = screen.sites[(screen.sites["dataset"] == "train") | (screen.sites["well_type"] != "treatment")]
    labels = pd.DataFrame({"well_id": known["well_id"].unique(), "sirna": 0, "weight": 1.0})
    pd.testing.assert_frame_equal(rows_of(screen, pseudo_labels=labels), rows_of(screen))


def test_what_validates_step_2_was_not_trained_on_in_step_1(screen: Screen) -> None:
    """Two-step training of the capstone lost 3 points by splitting anew in between; here both steps have one fold."""
    for fold in range(3):
        first = set(ids(rows_of(screen, fold, controls=True), "train"))
        for cell_type in ("HUVEC", "RPE"):
            second = rows_of(screen, fold, controls=True, cell_type=cell_type)
            assert len(ids(second, "validation")) > 0
            assert not set(ids(second, "validation")) & first
            assert set(ids(second, "train")) <= first


def test_all_cell_types_in_place_of_one_are_all(screen: Screen) -> None:
    for options in ({}, {"controls": True, "unlabelled": True}):
        every = rows_of(screen, cell_type=ALL_CELL_TYPES, **options)
        pd.testing.assert_frame_equal(every, rows_of(screen, **options))


def test_unpacked_sites_are_left_out_of_every_role(screen: Screen) -> None:
    packed = set(screen.sites["site_id"][::3])
    labels = pd.DataFrame({"well_id": screen.answers["well_id"], "sirna": 1, "weight": 0.1})
    options: dict[str, Any] = {"controls": True, "unlabelled": True, "pseudo_labels": labels}
    rows, every = rows_of(screen, packed=packed, **options), rows_of(screen, **options)
    pd.testing.assert_frame_equal(rows, every[every["site_id"].isin(packed)].reset_index(drop=True))
    assert set(rows["role"]) == {"train", "validation", "unlabelled", "pseudo"}


def test_a_cell_type_sees_its_own_sites_only(screen: Screen) -> None:
    options: dict[str, Any] = {"controls": True, "unlabelled": True}
    rows, every = rows_of(screen, cell_type="RPE", **options), rows_of(screen, **options)
    pd.testing.assert_frame_equal(rows, every[every["site_id"].str.startswith("RPE")].reset_index(drop=True))
    assert {site.split("_")[0] for site in ids(rows, "train")} == {"RPE-01", "RPE-02", "RPE-04", "RPE-05"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packed": set()}, "fold 0: no sites to train on"),
        ({"cell_type": "U2OS"}, "fold 0, U2OS: no sites to train on"),
        ({"packed": {"HUVEC-02_1_B04_1"}}, "fold 0: no sites to validate on"),
        ({"fold": 7}, "fold 7: no sites to validate on"),
    ],
)
def test_nothing_to_train_or_validate_on_is_an_error(screen: Screen, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rows_of(screen, **options)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_what_a_model_predicts_and_in_what_role(screen: Screen, fold: int) -> None:
    roles = prediction_roles(screen.sites, FOLDS, fold)
    trained = set(ids(rows_of(screen, fold, controls=True), "train"))
    for site, role in zip(screen.sites.to_dict("records"), roles, strict=True):
        treatment, held_out = site["well_type"] == "treatment", FOLD_OF.get(site["experiment"]) == fold
        if site["dataset"] == "test":
            expected = "test" if treatment else ""
        else:
            expected = "" if not held_out else "out_of_fold" if treatment else "control"
        assert role == expected, site["site_id"]
        assert not (role and site["site_id"] in trained)  # what is judged was not learned


@pytest.mark.parametrize("cell_type", ["HUVEC", "RPE"])
def test_rows_of_a_prediction_are_those_with_a_role_or_the_whole_of_their_plates(
    screen: Screen, cell_type: str
) -> None:
    packed = set(screen.sites["site_id"]) - {f"{cell_type}-05_1_B04_1"}
    role_of = dict(zip(screen.sites["site_id"], prediction_roles(screen.sites, FOLDS, 1), strict=True))
    asked = sorted(s for s, role in role_of.items() if role and s in packed and s.startswith(cell_type))
    rows = prediction_rows(screen.sites, FOLDS, 1, packed, cell_type)
    assert rows["site_id"].tolist() == asked
    assert rows["role"].tolist() == [role_of[site] for site in asked]
    assert set(rows["sirna"]) == {-1} and set(rows["weight"]) == {0.0}
    whole = prediction_rows(screen.sites, FOLDS, 1, packed, cell_type, whole_plates=True)
    plates = {site.rsplit("_", 2)[0] for site in asked}
    assert whole["site_id"].tolist() == sorted(site for site in packed if site.rsplit("_", 2)[0] in plates)
    pd.testing.assert_frame_equal(whole[whole["role"] != ""].reset_index(drop=True), rows)
    assert any("_B02_" in site for site in whole.loc[whole["role"] == "", "site_id"])  # a test plate's control


def test_over_all_folds_each_train_well_is_out_of_fold_once(screen: Screen) -> None:
    votes = np.sum([prediction_roles(screen.sites, FOLDS, fold) == "out_of_fold" for fold in range(3)], axis=0)
    asked = (screen.sites["dataset"] == "train") & (screen.sites["well_type"] == "treatment")
    assert votes.tolist() == asked.astype(int).tolist()


class Packed:
    """Sites as a plate reader knows them, in an order of its own."""

    def __init__(self, site_id: pd.Series) -> None:
        self.site_id = site_id.to_numpy()[::-1]

    def index(self, wanted: pd.Series) -> np.ndarray:
        return np.array([self.site_id.tolist().index(site) for site in wanted])


@pytest.mark.parametrize("scheme", ["plate", "experiment", "cell_type", "site"])
def test_rows_meet_their_pixels_and_statistics(screen: Screen, scheme: str) -> None:
    column = {"plate": "plate_id", "experiment": "experiment", "cell_type": "cell_type", "site": "site_id"}[scheme]
    groups = sorted(screen.sites[column].unique())
    statistics = pd.DataFrame(
        [(group, channel, 10.0 * i + channel, 1.0 + i) for i, group in enumerate(groups) for channel in range(2)],
        columns=["group", "channel", "mean", "std"],
    )
    labels = pd.DataFrame({"well_id": screen.answers["well_id"], "sirna": 5, "weight": 0.25})
    rows = rows_of(screen, pseudo_labels=labels)
    reader: Any = Packed(screen.sites["site_id"])
    found = sites_of_role(rows, ["train", "pseudo"], reader, screen.sites, statistics, scheme)
    chosen = rows[rows["role"].isin(["train", "pseudo"])]
    assert reader.site_id[found.rows].tolist() == chosen["site_id"].tolist()
    assert found.target.tolist() == chosen["sirna"].tolist()
    assert set(found.weight[chosen["role"] == "pseudo"]) == {0.25}
    assert found.pseudo.tolist() == (chosen["role"] == "pseudo").astype(int).tolist()
    of_site = screen.sites.set_index("site_id").loc[chosen["site_id"]]
    for numbers, key in ((found.cell_type, "cell_type"), (found.plate, "plate_id")):
        names = sorted(screen.sites[key].unique())
        assert [names[number] for number in numbers] == of_site[key].tolist()
    table = screen.sites.set_index("site_id", drop=False)
    for site, mean, std in zip(chosen["site_id"], found.mean, found.std, strict=True):
        number = groups.index(table.loc[site, column])
        assert (mean.tolist(), std.tolist()) == ([10.0 * number, 10.0 * number + 1], [1.0 + number] * 2)
