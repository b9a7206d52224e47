"""The site table: its checks, its bytes on disk, its rows and wells."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_screens import public_rows, settings

from cellsignal.errors import BadInput
from cellsignal.screens import rxrx1
from cellsignal.sites import (
    Screen,
    plate_rows,
    positions,
    read_table,
    rows_digest,
    validate_sites,
    well_table,
    write_table,
)


@pytest.fixture
def screen() -> Screen:
    return rxrx1.from_metadata(pd.DataFrame(public_rows()), settings("rxrx1"), "rows")


def problems_of(sites: pd.DataFrame, screen: Screen) -> list[str]:
    try:
        validate_sites(sites, screen.classes, "sites.parquet")
    except BadInput as error:
        return error.problems
    return []


def changed(screen: Screen, row: int, **values: object) -> pd.DataFrame:
    sites = screen.sites.copy()
    for column, value in values.items():
        sites[column] = [value if i == row else old for i, old in enumerate(sites[column])]
    return sites


def test_a_good_table_passes(screen: Screen) -> None:
    assert problems_of(screen.sites, screen) == []


def test_missing_columns_are_named(screen: Screen) -> None:
    problems = problems_of(screen.sites.drop(columns=["images", "well_type"]), screen)
    assert [p.split(";")[0] for p in problems] == [
        "sites.parquet: column well_type is missing",
        "sites.parquet: column images is missing",
    ]


def test_no_rows_is_a_problem(screen: Screen) -> None:
    assert problems_of(screen.sites.iloc[:0], screen) == ["sites.parquet: no sites; expected at least one row"]


def test_a_repeated_site_is_named(screen: Screen) -> None:
    sites = screen.sites.copy()
    sites.loc[1] = sites.loc[0]
    assert "sites.parquet: site HUVEC-01_1_B02_1 has 2 rows; expected one" in problems_of(sites, screen)


@pytest.mark.parametrize("bad", ["../HUVEC", "HUVEC/1", "", ".hidden", "a b", "HUVEC\n"])
def test_an_id_that_is_no_file_name_is_named(screen: Screen, bad: str) -> None:
    sites = screen.sites.assign(cell_type=bad)
    assert any(f"cell_type {bad!r} of site" in p for p in problems_of(sites, screen))


def test_unsorted_rows_are_refused(screen: Screen) -> None:
    assert problems_of(screen.sites.iloc[::-1], screen) == ["sites.parquet: rows are not sorted by site_id"]


def test_sites_of_a_well_must_agree(screen: Screen) -> None:
    sites = changed(screen, 4, sirna=3)
    well = sites.loc[4, "well_id"]
    expected = f"sites.parquet: well_id {well}: its sites have sirna 0, 3; expected one and the same"
    assert problems_of(sites, screen) == [expected]


def test_two_plates_of_one_name_are_refused(screen: Screen) -> None:
    sites = changed(screen, 0, plate="7")
    expected = "plate_id HUVEC-01_1: its sites have plate 1, 7; expected one and the same"
    assert problems_of(sites, screen) == [f"sites.parquet: {expected}"]


def test_unknown_well_type_and_dataset_are_both_named(screen: Screen) -> None:
    sites = screen.sites.assign(dataset=screen.sites["dataset"].replace("train", "valid"))
    sites["well_type"] = sites["well_type"].replace("negative_control", "empty")
    text = "\n".join(problems_of(sites, screen))
    assert "dataset 'valid' of site HUVEC-01_1_B02_1" in text and "expected train or test" in text
    assert "well_type 'empty' of site HUVEC-01_1_B02_1" in text


def test_a_class_out_of_range_is_named(screen: Screen) -> None:
    sites = screen.sites.copy()
    sites.loc[[2, 3], "sirna"] = 10
    assert "sirna 10 of site HUVEC-01_1_B03_1, HUVEC-01_1_B03_2: expected 0 to 9" in problems_of(sites, screen)[0]


def test_a_class_of_another_well_type_is_named(screen: Screen) -> None:
    sites = screen.sites.copy()
    sites.loc[[2, 3], "sirna"] = 0  # a positive control well
    expected = "site HUVEC-01_1_B03_1, HUVEC-01_1_B03_2: the well_type is not that of its class"
    assert problems_of(sites, screen) == [f"sites.parquet: {expected}"]


def test_a_test_label_in_the_table_is_refused(screen: Screen) -> None:
    row = int(screen.sites.index[screen.sites["well_id"] == "HUVEC-02_1_B04"][0])
    sites = screen.sites.copy()
    sites.loc[[row, row + 1], "sirna"] = 0
    assert "test treatment site HUVEC-02_1_B04_1, HUVEC-02_1_B04_2 carries its label" in problems_of(sites, screen)[0]


def test_a_train_site_needs_a_label(screen: Screen) -> None:
    sites = screen.sites.copy()
    sites.loc[[4, 5], "sirna"] = -1
    assert "only test treatment wells may be without one" in problems_of(sites, screen)[0]


def test_classes_must_be_numbered_without_gaps(screen: Screen) -> None:
    with pytest.raises(BadInput, match="expected 0 to 8, each once"):
        validate_sites(screen.sites, screen.classes.drop(index=3), "x")


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("../other/a.png", "leaves the screen's root"),
        ("a/../../b.png", "leaves the screen's root"),
        ("/etc/passwd", "is absolute"),
        ("", "names no file"),
        ("folder/", "names no file"),
        ("a\0.png", "NUL"),
    ],
)
def test_an_image_that_leaves_the_root_is_refused(screen: Screen, path: str, fault: str) -> None:
    problems = problems_of(changed(screen, 3, images=["ok.png", path]), screen)
    assert len(problems) == 1 and "site HUVEC-01_1_B03_2" in problems[0] and fault in problems[0]


def test_image_names_may_hold_any_character(screen: Screen) -> None:
    sites = changed(screen, 3, images=["a b/ö..ä,'\"\n*.png", "C:\\x~$(y).png"])
    assert problems_of(sites, screen) == []


def test_one_image_in_two_sites_is_refused(screen: Screen) -> None:
    sites = changed(screen, 3, images=screen.sites.loc[0, "images"])
    assert any("belongs to sites HUVEC-01_1_B02_1 and HUVEC-01_1_B03_2" in p for p in problems_of(sites, screen))


def test_sites_need_the_same_number_of_images(screen: Screen) -> None:
    sites = changed(screen, 3, images=["one.png"])
    assert problems_of(sites, screen) == ["sites.parquet: site HUVEC-01_1_B03_2: another number of images than 2"]


def test_a_test_experiment_without_controls_is_named(screen: Screen) -> None:
    test_controls = (screen.sites["dataset"] == "test") & (screen.sites["well_type"] != "treatment")
    problems = problems_of(screen.sites[~test_controls].reset_index(drop=True), screen)
    assert len(problems) == 1 and "test experiment HUVEC-02 has no control wells" in problems[0]


def test_a_screen_without_any_controls_passes(screen: Screen) -> None:
    treatments = screen.sites[screen.sites["well_type"] == "treatment"].reset_index(drop=True)
    assert problems_of(treatments, replace(screen, classes=screen.classes.iloc[:8])) == []


def test_all_problems_come_at_once(screen: Screen) -> None:
    sites = changed(screen, 3, images=["/a.png", "../b.png"])
    sites.loc[[4, 5], "sirna"] = 77
    assert len(problems_of(sites, screen)) == 3


def test_tables_survive_the_disk_and_equal_tables_give_equal_bytes(screen: Screen, tmp_path: Path) -> None:
    for table in (screen.sites, screen.answers, screen.classes, screen.answers.iloc[:0]):
        write_table(table, tmp_path / "a.parquet")
        write_table(table.copy(), tmp_path / "b.parquet")
        read = read_table(tmp_path / "a.parquet")
        pd.testing.assert_frame_equal(read, table.reset_index(drop=True))
        assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert isinstance(read_table_images(screen, tmp_path), list)


def read_table_images(screen: Screen, folder: Path) -> object:
    write_table(screen.sites, folder / "sites.parquet")
    return read_table(folder / "sites.parquet").loc[0, "images"]


def test_of_a_table_one_plate_or_some_columns_can_be_read(screen: Screen, tmp_path: Path) -> None:
    write_table(screen.sites, tmp_path / "sites.parquet")
    plate = read_table(tmp_path / "sites.parquet", "HUVEC-01_2").reset_index(drop=True)
    pd.testing.assert_frame_equal(plate, plate_rows(screen.sites, "HUVEC-01_2"))
    read = read_table(tmp_path / "sites.parquet", without=["images"])
    pd.testing.assert_frame_equal(read, screen.sites.drop(columns="images"))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    for name in ("x.parquet", "absent.parquet"):
        with pytest.raises(BadInput, match=name):
            read_table(tmp_path / name)


def test_digest_follows_every_value_and_no_plate_but_its_own(screen: Screen, tmp_path: Path) -> None:
    rows = plate_rows(screen.sites, "HUVEC-01_2")
    assert set(rows["plate_id"]) == {"HUVEC-01_2"} and len(rows) == 12
    digest = rows_digest(rows)
    assert len(digest) == len(hashlib.sha256().hexdigest())
    write_table(screen.sites, tmp_path / "s.parquet")
    assert rows_digest(plate_rows(read_table(tmp_path / "s.parquet"), "HUVEC-01_2")) == digest
    other = changed(screen, 0, site=9)
    assert rows_digest(plate_rows(other, "HUVEC-01_2")) == digest
    assert rows_digest(plate_rows(other, "HUVEC-01_1")) != rows_digest(plate_rows(screen.sites, "HUVEC-01_1"))
    for column in screen.sites.columns:
        value: object = "z" if rows[column].dtype == "str" else ["z"] if column == "images" else 99
        edited = rows.copy()
        edited[column] = [*rows[column][:5], value, *rows[column][6:]]
        assert rows_digest(edited) != digest, column


def test_an_unknown_plate_is_named(screen: Screen) -> None:
    with pytest.raises(BadInput, match="no plate HUVEC-09_1; expected one of HUVEC-01_1"):
        plate_rows(screen.sites, "HUVEC-09_1")


def test_well_table_has_one_row_per_well(screen: Screen) -> None:
    wells = well_table(screen.sites)
    assert len(wells) == 24 and wells["well_id"].is_unique and wells["well_id"].is_monotonic_increasing
    assert "images" not in wells and "site" not in wells
    assert wells.set_index("well_id").loc["HUVEC-01_2_B05", "sirna"] == 5


def test_positions_of_384_and_1536_well_plates() -> None:
    wells = pd.Series(["A01", "B2", "P24", "Q01", "A25", "AF48", "AG01", "P365", "b02", "B00", "7", ""])
    row, column, inside = positions(wells, 16, 24)
    np.testing.assert_array_equal(row, [0, 1, 15, 16, 0, 31, -1, -1, -1, 1, -1, -1])
    np.testing.assert_array_equal(column, [0, 1, 23, 0, 24, 47, -1, -1, -1, -1, -1, -1])
    np.testing.assert_array_equal(inside, [True] * 3 + [False] * 9)
    assert positions(wells, 32, 48)[2].tolist() == [True] * 6 + [False] * 6
