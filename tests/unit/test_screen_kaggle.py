"""Both releases of Kaggle's tables."""

from pathlib import Path

import pytest
from small_screens import Row, kaggle_rows, settings, write_csv, write_kaggle

from cellsignal.errors import BadInput
from cellsignal.screens import metadata_files, planned_sites, read_screen

KAGGLE = settings("kaggle")


def problems_of(tmp_path: Path, tables: dict[str, list[Row]]) -> list[str]:
    write_kaggle(tmp_path, tables)
    with pytest.raises(BadInput) as caught:
        read_screen(KAGGLE, tmp_path)
    return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]


def test_reads_numbered_classes(tmp_path: Path) -> None:
    screen = read_screen(KAGGLE, write_kaggle(tmp_path, kaggle_rows()))
    assert len(screen.sites) == 48 and len(screen.answers) == 0
    assert screen.classes["name"].tolist() == [str(i) for i in range(10)]
    site = screen.sites.set_index("site_id").loc["HUVEC-01_2_B05_2"]
    assert site["sirna"] == 5 and site["cell_type"] == "HUVEC" and site["dataset"] == "train"
    assert site["images"] == [f"train/HUVEC-01/Plate2/B05_s2_w{c}.png" for c in (1, 2)]
    test = screen.sites[screen.sites["dataset"] == "test"]
    assert test["images"].str[0].str.startswith("test/HUVEC-02/").all()
    assert (test["sirna"] == -1).sum() == 16 and sorted(set(test["sirna"])) == [-1, 8, 9]


def test_ranks_named_classes_by_well_type_and_number(tmp_path: Path) -> None:
    screen = read_screen(KAGGLE, write_kaggle(tmp_path, kaggle_rows(later=True)))
    treatments = [f"sirna_{n}" for n in range(400, 1101, 100)]  # 1000 comes after 900
    assert screen.classes["name"].tolist() == [*treatments, "sirna_300", "UNTREATED"]
    assert screen.classes["well_type"].tolist() == ["treatment"] * 8 + [
        "positive_control",
        "negative_control",
    ]
    assert screen.sites.set_index("site_id").at["HUVEC-01_1_B04_1", "sirna"] == 7  # sirna_1100


@pytest.mark.parametrize("later", [False, True])
def test_answers_are_read_by_name(tmp_path: Path, later: bool) -> None:
    write_kaggle(tmp_path, kaggle_rows(later))
    name = "sirna_900" if later else "2"
    write_csv(tmp_path / "truth" / "a.csv", [{"id_code": "HUVEC-02_1_B06", "sirna": name, "gene": "x"}])
    known = settings("kaggle", answers="truth/a.csv")
    screen = read_screen(known, tmp_path)
    expected = screen.classes.set_index("name").at[name, "sirna"]
    assert screen.answers.to_dict("list") == {"well_id": ["HUVEC-02_1_B06"], "sirna": [expected]}
    assert (screen.sites.set_index("well_id").loc["HUVEC-02_1_B06", "sirna"] == -1).all()
    assert metadata_files(known, tmp_path)[-1] == tmp_path / "truth" / "a.csv"


def test_bad_answers(tmp_path: Path) -> None:
    write_kaggle(tmp_path, kaggle_rows())
    rows = [
        ("HUVEC-02_1_B06", "8"),
        ("HUVEC-01_1_B06", "2"),
        ("HUVEC-02_1_B05", "1"),
        ("HUVEC-02_1_B05", "1"),
    ]
    write_csv(tmp_path / "a.csv", [{"id_code": w, "sirna": s} for w, s in rows])
    with pytest.raises(BadInput) as caught:
        read_screen(settings("kaggle", answers="a.csv"), tmp_path)
    a = tmp_path / "a.csv"
    assert caught.value.problems == [
        f"{a} line 3: id_code is 'HUVEC-01_1_B06'; expected a well of test.csv",
        f"{a} line 2: sirna is '8'; expected a treatment class as train.csv names them, such as 0",
        f"{a} line 5: id_code 'HUVEC-02_1_B05' is already in {a} line 4; expected once",
    ]


def test_tables_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    write_kaggle(tmp_path / "tables", kaggle_rows())
    apart = settings("kaggle", metadata="tables")
    assert len(planned_sites(apart, tmp_path).sites) == 48


def test_all_missing_tables_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "test.csv", kaggle_rows()["test"])
    with pytest.raises(BadInput) as caught:
        read_screen(settings("kaggle", answers="a.csv"), tmp_path)
    found = [p.split(";")[0] for p in caught.value.problems]
    names = ("train", "train_controls", "test_controls", "a")
    assert found == [f"{tmp_path / name}.csv: no such file" for name in names]


def test_missing_column(tmp_path: Path) -> None:
    tables = kaggle_rows()
    for row in tables["train_controls"]:
        del row["well_type"]
    problems = problems_of(tmp_path, tables)
    assert problems == [
        "train_controls.csv: column well_type is missing; found id_code, experiment, plate, well, sirna"
    ]


def test_a_well_in_two_tables(tmp_path: Path) -> None:
    tables = kaggle_rows()
    tables["test"].append({k: v for k, v in tables["train"][0].items() if k != "sirna"})
    assert "test.csv line 10: id_code 'HUVEC-01_1_B04' is already in train.csv line 2; expected once" in problems_of(
        tmp_path, tables
    )


def test_unknown_well_type(tmp_path: Path) -> None:
    tables = kaggle_rows()
    tables["test_controls"][0]["well_type"] = "control"
    problems = problems_of(tmp_path, tables)
    expected = "expected treatment, positive_control or negative_control"
    assert f"test_controls.csv line 2: well_type is 'control'; {expected}" in problems


@pytest.mark.parametrize("found", ["9", "1139", "-3", "2.5", "", "sirna_4"])
def test_numbered_class_out_of_range(tmp_path: Path, found: str) -> None:
    tables = kaggle_rows()
    tables["train"][3]["sirna"] = found
    problems = problems_of(tmp_path, tables)
    assert len(problems) == 1 and problems[0].startswith("train.csv line 5: sirna is ") and found in problems[0]


@pytest.mark.parametrize("found", ["sirna_1138", "sirna_05", "sirna", "7", "untreated", ""])
def test_named_class_out_of_range(tmp_path: Path, found: str) -> None:
    tables = kaggle_rows(later=True)
    tables["train"][3]["sirna"] = found
    problems = problems_of(tmp_path, tables)
    assert len(problems) == 1 and problems[0].startswith(f"train.csv line 5: sirna is {found!r}")


def test_no_class_at_all(tmp_path: Path) -> None:
    tables = {n: [r | ({"sirna": ""} if n != "test" else {}) for r in rows] for n, rows in kaggle_rows().items()}
    problems = problems_of(tmp_path, tables)
    assert len(problems) == 3 and all("sirna is ''; expected a class" in p for p in problems)


def test_tables_of_two_releases(tmp_path: Path) -> None:
    tables = kaggle_rows() | {"train_controls": kaggle_rows(later=True)["train_controls"]}
    problems = problems_of(tmp_path, tables)
    assert "train_controls.csv lines 2, 4: sirna is 'UNTREATED'; expected a class number" in problems


def test_well_outside_the_plate_and_ids_that_disagree(tmp_path: Path) -> None:
    tables = kaggle_rows()
    tables["train"][0] |= {"well": "B25", "id_code": "HUVEC-01_1_B25"}
    tables["test"][0] |= {"id_code": "HUVEC-02_1_B09"}
    assert problems_of(tmp_path, tables) == [
        "train.csv line 2: well is 'B25'; expected a well of the 16 x 24 plate, A01 to P24",
        "test.csv line 2: id_code is HUVEC-02_1_B09, not HUVEC-02_1_B04; expected the row's own "
        "{experiment}_{plate}_{well}",
    ]


def test_an_id_that_escapes_its_folder(tmp_path: Path) -> None:
    tables = kaggle_rows()
    tables["test"][0]["experiment"] = "../../HUVEC-02"
    assert any(p.startswith("test.csv line 2: experiment is '../../HUVEC-02'") for p in problems_of(tmp_path, tables))


def test_a_test_experiment_without_controls(tmp_path: Path) -> None:
    tables = kaggle_rows()
    row = tables["test"][0] | {"experiment": "HUVEC-03", "id_code": "HUVEC-03_1_B04"}
    tables["test"].append(row)
    problems = problems_of(tmp_path, tables)
    assert len(problems) == 1 and "test experiment HUVEC-03 has no control wells" in problems[0]
