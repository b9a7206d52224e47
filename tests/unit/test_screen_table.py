"""Screens that a user describes in a table."""

from pathlib import Path

import pytest
from small_screens import Row, settings, write_csv

from cellsignal.config.screen import ScreenSettings
from cellsignal.errors import BadInput
from cellsignal.screens import metadata_files, missing_images, read_screen

COLUMNS = {
    "images": ["{folder}/{well}_{field}_dna.tif", "{folder}/{well}_{field}_actin.tif"],
    "label": "gene",
    "plate": "barcode",
    "experiment": "batch",
    "well": "well",
    "site": "field",
    "cell_type": "line",
    "dataset": "split",
    "well_type": "role",
}


def rows() -> list[Row]:
    """Eight sites: batches b1 (train) and b2 (test), wells A01 (control) and A02, two fields each."""
    return [
        {
            "folder": f"raw/{batch}", "barcode": "P7", "batch": batch, "well": well, "field": field,
            "line": "HeLa", "split": "train" if batch == "b1" else "test",
            "gene": "none" if well == "A01" else "KIF11",
            "role": "negative_control" if well == "A01" else "treatment",
        }
        for batch in ("b1", "b2") for well in ("A01", "A02") for field in ("1", "2")
    ]  # fmt: skip


def described(classes: list[str] | None = None, **columns: object) -> ScreenSettings:
    chosen = {k: v for k, v in (COLUMNS | columns).items() if v is not None}
    return settings("table", table={"metadata": "screen.csv", "columns": chosen, "classes": classes})


def problems_of(tmp_path: Path, table: list[Row], screen: ScreenSettings | None = None) -> list[str]:
    write_csv(tmp_path / "screen.csv", table)
    with pytest.raises(BadInput) as caught:
        read_screen(screen or described(), tmp_path)
    return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]


def test_reads_names_and_templates(tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    screen = read_screen(described(), tmp_path)
    assert metadata_files(described(), tmp_path) == [tmp_path / "screen.csv"]
    site = screen.sites.set_index("site_id").loc["b1_P7_A02_2"]
    assert site["images"] == ["raw/b1/A02_2_dna.tif", "raw/b1/A02_2_actin.tif"]
    assert (site["experiment"], site["plate"], site["plate_id"]) == ("b1", "P7", "b1_P7")
    assert (site["row"], site["column"], site["site"]) == (0, 1, 2)
    assert (site["cell_type"], site["dataset"], site["well_type"]) == ("HeLa", "train", "treatment")
    assert screen.classes["name"].tolist() == ["KIF11", "none"] and site["sirna"] == 0
    assert screen.classes["well_type"].tolist() == ["treatment", "negative_control"]
    assert missing_images(screen.sites, tmp_path)["image"].tolist()[0] == "raw/b1/A01_1_dna.tif"


def test_test_labels_go_to_the_answers(tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    screen = read_screen(described(), tmp_path)
    assert screen.answers.to_dict("list") == {"well_id": ["b2_P7_A02"], "sirna": [0]}
    sites = screen.sites.set_index("well_id")
    assert (sites.loc["b2_P7_A02", "sirna"] == -1).all() and (sites.loc["b2_P7_A01", "sirna"] == 1).all()


def test_defaults(tmp_path: Path) -> None:
    table = [{"file": f"{i}.png", "class": c, "plate": p} for i, (c, p) in enumerate(["ap", "bp", "aq"])]
    write_csv(tmp_path / "screen.csv", table)
    columns = {"images": ["file"], "label": "class", "plate": "plate"}
    plain = settings("table", channels=["dna"], table={"metadata": "screen.csv", "columns": columns})
    screen = read_screen(plain, tmp_path)
    assert screen.sites["site_id"].tolist() == ["p_1_1", "p_2_1", "q_1_1"]  # each row is a well of its own
    for column in ("experiment", "plate", "plate_id"):
        assert screen.sites[column].tolist() == ["p", "p", "q"]
    assert set(screen.sites["row"]) == set(screen.sites["column"]) == {-1}
    assert set(screen.sites["cell_type"]) == {"cells"} and set(screen.sites["dataset"]) == {"train"}
    assert set(screen.sites["well_type"]) == {"treatment"} and screen.sites["sirna"].tolist() == [0, 1, 0]


def test_sites_are_counted_where_no_column_numbers_them(tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    assert read_screen(described(site=None), tmp_path).sites["site"].tolist() == [1, 2] * 4


def test_classes_keep_the_order_that_the_user_gives(tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    screen = read_screen(described(classes=["none", "unused", "KIF11"]), tmp_path)
    assert screen.classes["name"].tolist() == ["none", "unused", "KIF11"]
    assert screen.answers["sirna"].tolist() == [2]


def test_one_multi_channel_image_per_site(tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    screen = read_screen(described(images=["{folder}/{well}-{field}.tif"]), tmp_path)
    assert screen.sites["images"].map(len).tolist() == [1] * 8


def test_wells_that_are_no_positions_have_none(tmp_path: Path) -> None:
    table = [r | {"well": {"A01": "P365", "A02": "P12"}[r["well"]]} for r in rows()]  # P12 alone would be one
    write_csv(tmp_path / "screen.csv", table)
    sites = read_screen(described(), tmp_path).sites
    assert set(sites["row"]) == set(sites["column"]) == {-1} and "b1_P7_P365_1" in set(sites["site_id"])


def test_a_column_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    screen = described(label="genes", images=["{folder}/{wel}.tif", "actin"], cell_type="{line")
    problems = problems_of(tmp_path, rows(), screen)
    assert [p.split(";")[0] for p in problems] == [
        "screen.table.columns.images[0]: wel is no column",
        "screen.table.columns.images[1]: 'actin' is no column",
        "screen.table.columns.label: 'genes' is no column",
        "screen.table.columns.cell_type: '{line' is no column",
    ]
    assert "expected one of folder, barcode, batch, well" in problems[0]


def test_a_constant_is_no_column(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, rows(), described(dataset="train"))
    assert problems[0].startswith("screen.table.columns.dataset: 'train' is no column; expected one of folder")


def test_images_must_match_the_channels(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, rows(), described(images=["folder", "well", "field"]))
    assert problems == [
        "screen.table.columns.images: 3 columns for 2 channels; expected 2, or 1 whose files hold all channels"
    ]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"screen\.csv: no such file"):
        read_screen(described(), tmp_path)


@pytest.mark.parametrize(("sign", "words"), [(";", "semicolons"), ("\t", "tabs")])
def test_columns_that_a_spreadsheet_separated_otherwise(tmp_path: Path, sign: str, words: str) -> None:
    write_csv(tmp_path / "screen.csv", rows())
    text = (tmp_path / "screen.csv").read_text()
    (tmp_path / "screen.csv").write_text(text.replace(",", sign))
    with pytest.raises(BadInput) as caught:
        read_screen(described(), tmp_path)
    assert caught.value.problems == [f"{tmp_path}/screen.csv: columns are separated by {words}; expected commas"]


def test_duplicate_site(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, [*rows(), rows()[1]])
    assert problems[0] == "screen.csv line 10: site_id 'b1_P7_A01_2' is already in screen.csv line 3; expected once"


def test_one_image_in_two_rows(tmp_path: Path) -> None:
    table = rows()
    table[1]["field"] = "3"
    screen = described(images=["{folder}/{well}_dna.tif"])
    problems = problems_of(tmp_path, table, screen)
    assert "screen.csv line 3: image 'raw/b1/A01_dna.tif' is already in line 2; expected once" in problems


@pytest.mark.parametrize(
    ("folder", "fault"),
    [("../b", "leaves the screen's root"), ("/b", "is absolute"), ("b/../..", "leaves the screen's root")],
)
def test_an_image_that_escapes_the_root(tmp_path: Path, folder: str, fault: str) -> None:
    table = rows()
    table[2]["folder"] = folder
    problems = problems_of(tmp_path, table)
    assert len(problems) == 2 and all(p.startswith(f"screen.csv line 4: image '{folder}/A02_1_") for p in problems)
    assert all(fault in p for p in problems)


@pytest.mark.parametrize("key", ["barcode", "batch", "well", "line"])
@pytest.mark.parametrize("value", ["../x", "a b", ""])
def test_an_id_that_is_no_file_name(tmp_path: Path, key: str, value: str) -> None:
    table = rows()
    table[0][key] = value
    assert any(p.startswith("screen.csv line 2: ") and repr(value) in p for p in problems_of(tmp_path, table))


def test_values_that_are_not_known(tmp_path: Path) -> None:
    table = rows()
    table[4] |= {"split": "valid", "role": "mock", "field": "one"}
    text = "\n".join(problems_of(tmp_path, table))
    assert "screen.csv line 6: dataset is 'valid'; expected train or test" in text
    assert "screen.csv line 6: well_type is 'mock'; expected treatment, positive_control or negative_control" in text
    assert "screen.csv line 6: site is 'one'; expected a whole number" in text


def test_a_well_outside_the_plate(tmp_path: Path) -> None:
    table = [r | {"well": "Q01" if r["well"] == "A02" else r["well"]} for r in rows()]
    expected = "screen.csv lines 4, 5, 8, 9: well is 'Q01'; expected a well of the 16 x 24 plate, A01 to P24"
    assert problems_of(tmp_path, table) == [expected]


def test_a_label_that_the_classes_lack(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, rows(), described(classes=["none", "PLK1"]))
    expected = "expected one of screen.table.classes: none, PLK1"
    assert problems == [f"screen.csv lines 4, 5, 8, 9: label is 'KIF11'; {expected}"]


def test_classes_listed_twice(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, rows(), described(classes=["none", "KIF11", "none"]))
    assert problems == ["screen.table.classes: none listed more than once; expected once"]


def test_a_train_row_without_a_label(tmp_path: Path) -> None:
    table = rows()
    for i in (2, 3):
        table[i]["gene"] = ""
    problems = problems_of(tmp_path, table)
    assert problems == [
        "screen.csv lines 4, 5: label is ''; expected a class (only test treatment wells may be without one)"
    ]


def test_a_well_with_two_labels(tmp_path: Path) -> None:
    table = rows()
    table[3]["gene"] = "PLK1"
    assert problems_of(tmp_path, table) == [
        "screen.csv line 5: label is PLK1 in well b1_P7_A02; expected the same in every row of a well"
    ]


def test_a_label_of_two_well_types(tmp_path: Path) -> None:
    table = rows()
    for i in (2, 3):
        table[i]["gene"] = "none"
    problems = problems_of(tmp_path, table)
    assert problems[0].startswith("screen.csv lines 4, 5: label is none in a treatment well")
