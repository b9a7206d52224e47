"""The public release's tables, simulated screens, and missing images."""

from pathlib import Path

import pytest
from small_screens import Row, public_rows, settings, write_csv

from cellsignal.config.screen import SimulatedSettings
from cellsignal.errors import BadInput
from cellsignal.screens import (
    describe_missing,
    empty_plates,
    metadata_files,
    missing_images,
    planned_sites,
    read_screen,
)
from cellsignal.screens.simulated import plate_ids, simulate_plate

RXRX1 = settings("rxrx1")


def problems_of(tmp_path: Path, rows: list[Row]) -> list[str]:
    """The problems of a metadata table, without the folder's name."""
    write_csv(tmp_path / "metadata.csv", rows)
    with pytest.raises(BadInput) as caught:
        read_screen(RXRX1, tmp_path)
    return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]


def edited(row: int, **values: str) -> list[Row]:
    """The small screen with one row changed; the row stands in line `row + 2`."""
    rows = public_rows()
    rows[row] |= values
    return rows


def test_reads_the_public_schema(tmp_path: Path) -> None:
    write_csv(tmp_path / "metadata.csv", public_rows())
    screen = read_screen(RXRX1, tmp_path)
    assert len(screen.sites) == 48 and len(screen.classes) == 10
    site = screen.sites.set_index("site_id").loc["HUVEC-01_2_B05_2"]
    assert site["sirna"] == 5 and site["well_id"] == "HUVEC-01_2_B05" and site["plate_id"] == "HUVEC-01_2"
    assert (site["row"], site["column"], site["site"], site["cell_type"]) == (1, 4, 2, "HUVEC")
    assert site["images"] == [f"images/HUVEC-01/Plate2/B05_s2_w{c}.png" for c in (1, 2)]
    assert screen.classes["name"].tolist() == [*(f"s{100 + i}" for i in range(8)), "n337250", "EMPTY"]
    assert screen.classes["well_type"].tolist() == ["treatment"] * 8 + [
        "positive_control",
        "negative_control",
    ]


def test_test_labels_are_in_the_answers_and_nowhere_else(tmp_path: Path) -> None:
    write_csv(tmp_path / "metadata.csv", public_rows())
    screen = read_screen(RXRX1, tmp_path)
    treatment = screen.sites["well_type"] == "treatment"
    test = screen.sites["dataset"] == "test"
    assert (screen.sites.loc[test & treatment, "sirna"] == -1).all()
    assert (screen.sites.loc[~(test & treatment), "sirna"] >= 0).all()
    truth = {r["well_id"]: int(r["sirna_id"]) for r in public_rows() if r["dataset"] == "test"}
    truth = {well: sirna for well, sirna in truth.items() if sirna < 8}
    assert dict(zip(screen.answers["well_id"], screen.answers["sirna"], strict=True)) == truth


def test_withheld_test_labels_leave_no_answers(tmp_path: Path) -> None:
    rows = [
        r | ({"sirna": "", "sirna_id": ""} if r["dataset"] == "test" and int(r["sirna_id"]) < 8 else {})
        for r in public_rows()
    ]
    write_csv(tmp_path / "metadata.csv", rows)
    screen = read_screen(RXRX1, tmp_path)
    assert len(screen.answers) == 0 and len(screen.sites) == 48 and len(screen.classes) == 10


def test_a_folder_of_tables_is_one_screen(tmp_path: Path) -> None:
    rows = public_rows()
    write_csv(tmp_path / "metadata.csv", rows)
    write_csv(tmp_path / "parts" / "2.csv", rows[:30])
    write_csv(tmp_path / "parts" / "1.csv", rows[30:])
    parts = settings("rxrx1", metadata="parts")
    assert metadata_files(parts, tmp_path) == [tmp_path / "parts" / "1.csv", tmp_path / "parts" / "2.csv"]
    assert read_screen(parts, tmp_path).sites.equals(read_screen(RXRX1, tmp_path).sites)


def test_missing_metadata_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"metadata\.csv: no such file; expected a CSV file with columns site_id"):
        read_screen(RXRX1, tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "\ufeffsite_id\n"])
def test_empty_metadata_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "metadata.csv").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match="column well_id is missing"):
        read_screen(RXRX1, tmp_path)


def test_metadata_without_rows(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(",".join(public_rows()[0]) + "\n")
    with pytest.raises(BadInput, match=r"metadata\.csv: no rows"):
        read_screen(RXRX1, tmp_path)


def test_metadata_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(BadInput, match="expected CSV in UTF-8"):
        read_screen(RXRX1, tmp_path)


def test_a_short_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "metadata.csv", public_rows())
    lines = path.read_text().splitlines()
    lines[9] = "HUVEC-01,oops"
    path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match=r"metadata\.csv line 10: 2 values; expected 11"):
        read_screen(RXRX1, tmp_path)


def test_lines_are_those_of_the_file_when_values_span_lines(tmp_path: Path) -> None:
    rows = [r | {"note": 'two\nlines, "quoted"' if i == 0 else ""} for i, r in enumerate(public_rows())]
    rows[3]["well_type"] = "empty"
    assert problems_of(tmp_path, rows)[0].startswith("metadata.csv line 6: ")


def test_missing_columns(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k not in ("well", "sirna_id")} for row in public_rows()]
    problems = problems_of(tmp_path, rows)
    assert [p.split(" is ")[0] for p in problems] == [
        "metadata.csv: column well", "metadata.csv: column sirna_id",
    ]  # fmt: skip


def test_duplicate_site(tmp_path: Path) -> None:
    rows = public_rows()
    assert problems_of(tmp_path, [*rows, rows[5]]) == [
        "metadata.csv line 50: site_id 'HUVEC-01_1_B04_2' is already in metadata.csv line 7; expected once"
    ]


def test_unknown_well_type(tmp_path: Path) -> None:
    rows = public_rows()
    for i in (4, 5):
        rows[i]["well_type"] = "empty"
    expected = "expected treatment, positive_control or negative_control"
    assert f"metadata.csv lines 6, 7: well_type is 'empty'; {expected}" in problems_of(tmp_path, rows)


def test_unknown_dataset(tmp_path: Path) -> None:
    rows = [r | {"dataset": "valid" if r["dataset"] == "train" else "test"} for r in public_rows()]
    expected = "metadata.csv lines 2, 3, 4, 5, 6 and 19 more: dataset is 'valid'; expected train or test"
    assert problems_of(tmp_path, rows) == [expected]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("10", "a treatment class, numbered from 0 to 7"),
        ("99999", "a treatment class, numbered from 0 to 7"),
        ("-1", "a class number"),
        ("sirna_5", "a class number"),
        ("4.0", "a class number"),
        ("", "a class number (only test treatment wells may lack it)"),
    ],
)
def test_class_out_of_range(tmp_path: Path, found: str, expected: str) -> None:
    rows = public_rows()
    for i in (4, 5):  # both sites of the well
        rows[i] |= {"sirna_id": found, "sirna": "s999"}
    assert problems_of(tmp_path, rows) == [f"metadata.csv lines 6, 7: sirna_id is {found!r}; expected {expected}"]


def test_a_control_class_out_of_range(tmp_path: Path) -> None:
    rows = public_rows()
    for i in (0, 1):
        rows[i] |= {"sirna_id": "12", "sirna": "other"}
    for i in (2, 3):
        rows[i] |= {"sirna_id": "11", "sirna": "another"}
    assert problems_of(tmp_path, rows) == [
        "metadata.csv lines 4, 5: sirna_id is '11'; expected a positive_control class, numbered from 8 to 8",
        "metadata.csv lines 2, 3: sirna_id is '12'; expected a negative_control class, numbered from 9 to 9",
    ]


def test_a_treatment_class_in_a_control_well(tmp_path: Path) -> None:
    rows = public_rows()
    for i in (2, 3):
        rows[i] |= {"sirna_id": "0", "sirna": "s100"}
    assert problems_of(tmp_path, rows) == [
        "metadata.csv lines 4, 5: sirna_id is 0 in a positive_control well; expected a label to have one "
        "well_type, as in its other rows"
    ]


def test_no_class_at_all(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, [r | {"sirna": "", "sirna_id": ""} for r in public_rows()])
    assert len(problems) == 1 and "sirna_id is ''; expected a class number" in problems[0]


def test_a_class_with_another_name(tmp_path: Path) -> None:
    rows = public_rows()
    for i in (2, 3):
        rows[i]["sirna"] = "other"
    assert problems_of(tmp_path, rows) == [
        "metadata.csv lines 4, 5: sirna is other with sirna_id 8; expected the sirna of that sirna_id in "
        "most other rows"
    ]


def test_a_well_outside_the_plate(tmp_path: Path) -> None:
    rows = edited(4, well="Q25", well_id="HUVEC-01_1_Q25", site_id="HUVEC-01_1_Q25_1")
    expected = "expected a well of the 16 x 24 plate, A01 to P24"
    assert problems_of(tmp_path, rows) == [f"metadata.csv line 6: well is 'Q25'; {expected}"]


@pytest.mark.parametrize("key", ["experiment", "plate", "cell_type", "well"])
@pytest.mark.parametrize("value", ["../x", "/x", "..", "a/b", ""])
def test_an_id_that_escapes_its_folder(tmp_path: Path, key: str, value: str) -> None:
    assert any(
        p.startswith(f"metadata.csv line 6: {key} is {value!r}; expected")
        for p in problems_of(tmp_path, edited(4, **{key: value}))
    )


def test_ids_that_disagree_with_their_parts(tmp_path: Path) -> None:
    assert problems_of(tmp_path, edited(4, site_id="HUVEC-01_1_B04_9")) == [
        "metadata.csv line 6: site_id is HUVEC-01_1_B04_9, not HUVEC-01_1_B04_1; expected the row's own "
        "{well_id}_{site}"
    ]


def test_a_site_that_is_no_number(tmp_path: Path) -> None:
    rows = edited(4, site="one", site_id="HUVEC-01_1_B04_one")
    assert problems_of(tmp_path, rows) == ["metadata.csv line 6: site is 'one'; expected a whole number"]


def test_sites_of_a_well_with_two_labels(tmp_path: Path) -> None:
    rows = edited(-1, sirna_id="3", sirna="s103")  # a test well: the sites table could not show it
    assert problems_of(tmp_path, rows) == [
        "metadata.csv line 49: sirna_id is 3 in well HUVEC-02_2_B07; expected the same in every row of a well"
    ]


def test_a_test_experiment_without_controls(tmp_path: Path) -> None:
    rows = [r for r in public_rows() if r["dataset"] == "train" or r["well_type"] == "treatment"]
    problems = problems_of(tmp_path, rows)
    assert problems == [
        "metadata.csv: test experiment HUVEC-02 has no control wells; expected some, as the screen's other "
        "experiments have"
    ]


def test_all_problems_at_once(tmp_path: Path) -> None:
    rows = edited(4, well_type="empty", cell_type="../x")
    rows[20] |= {"sirna_id": "77", "site": "x"}
    text = "\n".join(problems_of(tmp_path, rows))
    for part in ("'empty'", "'../x'", "'77'", "site is 'x'"):
        assert part in text


# Images


def make_images(root: Path, images: list[str]) -> None:
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()


def test_missing_images_are_listed_one_by_one(tmp_path: Path) -> None:
    write_csv(tmp_path / "metadata.csv", public_rows())
    sites = read_screen(RXRX1, tmp_path).sites
    make_images(tmp_path, [image for images in sites["images"] for image in images])
    assert missing_images(sites, tmp_path).empty
    gone = ["images/HUVEC-01/Plate1/B04_s1_w2.png", "images/HUVEC-02/Plate2/B02_s2_w1.png"]
    for image in gone:
        (tmp_path / image).unlink()
    missing = missing_images(sites, tmp_path)
    assert missing["image"].tolist() == gone
    assert missing["site_id"].tolist() == ["HUVEC-01_1_B04_1", "HUVEC-02_2_B02_2"]
    assert missing["plate_id"].tolist() == ["HUVEC-01_1", "HUVEC-02_2"]
    assert set(missing["problem"]) == {"no such file"}
    assert empty_plates(missing, sites) == []
    assert describe_missing(missing, sites)[0] == (
        "site HUVEC-01_1_B04_1: 1 image not there: images/HUVEC-01/Plate1/B04_s1_w2.png; expected every channel"
    )


def test_a_plate_without_images_is_one_sentence(tmp_path: Path) -> None:
    write_csv(tmp_path / "metadata.csv", public_rows())
    sites = read_screen(RXRX1, tmp_path).sites
    there = sites[sites["experiment"] == "HUVEC-01"]
    make_images(tmp_path, [image for images in there["images"] for image in images])
    (tmp_path / "images" / "HUVEC-02" / "Plate1").mkdir(parents=True)
    missing = missing_images(sites, tmp_path)
    assert len(missing) == 48
    lines = empty_plates(missing, sites)
    assert lines == describe_missing(missing, sites) and len(lines) == 2
    assert lines[0].startswith("images/HUVEC-02/Plate1: none of the 24 images") and "no such file" in lines[0]
    assert lines[1].startswith("images/HUVEC-02/Plate2: none of the 24 images") and "no such folder" in lines[1]


def test_a_listing_in_memory_serves_for_the_disk(tmp_path: Path) -> None:
    write_csv(tmp_path / "metadata.csv", public_rows())
    sites = read_screen(RXRX1, tmp_path).sites.iloc[:2]
    listing = {"images/HUVEC-01/Plate1": {"B02_s1_w1.png", "B02_s1_w2.png", "B02_s2_w2.png"}}
    missing = missing_images(sites, tmp_path / "nowhere", listing)
    assert missing["image"].tolist() == ["images/HUVEC-01/Plate1/B02_s2_w1.png"]


# Simulated screens


def simulated(**values: object) -> SimulatedSettings:
    defaults = {"cell_types": {"HUVEC": [2, 1]}, "sirnas": 8, "positive_controls": 2}
    return SimulatedSettings.model_validate(defaults | values)


def test_a_simulated_screen_is_known_before_it_is_made(tmp_path: Path) -> None:
    channels = [f"w{i}" for i in range(1, 7)]
    small = settings(
        "simulated",
        root=None,
        simulated=simulated(cells_per_site=1.0),
        channels=channels,
        plate_rows=6,
        plate_columns=6,
    )
    planned = planned_sites(small, tmp_path)
    assert len(planned.classes) == 11 and planned.sites["plate_id"].nunique() == 12
    assert len(planned.answers) == 8 and not list(tmp_path.iterdir())
    for plate_id in plate_ids(small):
        simulate_plate(small, plate_id, tmp_path)
    made = read_screen(small, tmp_path)
    for table in ("sites", "answers", "classes"):
        assert getattr(made, table).equals(getattr(planned, table)), table
    assert missing_images(made.sites, tmp_path).empty
    assert len(metadata_files(small, tmp_path)) == 12
