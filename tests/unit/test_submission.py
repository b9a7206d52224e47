"""What is handed in: each test well once, in the asked order, classes named as the screen names them."""

from pathlib import Path

import pandas as pd
import pytest

from cellsignal.errors import BadInput
from cellsignal.submission import read_submission, write_submission

WELLS = pd.DataFrame({"well_id": ["T_1_B04", "T_1_B03", "T_2_B03"]})
ASSIGNED = pd.DataFrame({"well_id": ["T_1_B03", "T_1_B04", "T_2_B03"], "sirna": [2, 0, 1]})
CLASSES = pd.DataFrame(
    {
        "sirna": [0, 1, 2, 3],
        "name": ["sirna_7", "sirna_20", "sirna_100", "UNTREATED"],
        "well_type": ["treatment"] * 3 + ["negative_control"],
    }
)


def test_sorted_by_well_with_numbers(tmp_path: Path) -> None:
    write_submission(tmp_path / "s.csv", ASSIGNED, WELLS, CLASSES, by_name=False)
    assert (tmp_path / "s.csv").read_bytes() == b"id_code,sirna\nT_1_B03,2\nT_1_B04,0\nT_2_B03,1\n"


def test_in_the_order_of_the_sample_with_names(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id_code,sirna\nT_2_B03,sirna_7\nT_1_B03,sirna_7\nT_1_B04,sirna_7\n")
    write_submission(tmp_path / "s.csv", ASSIGNED, WELLS, CLASSES, by_name=True, sample=tmp_path / "sample.csv")
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "id_code,sirna",
        "T_2_B03,sirna_20",
        "T_1_B03,sirna_100",
        "T_1_B04,sirna_7",
    ]


@pytest.mark.parametrize("by_name", [False, True])
def test_reads_what_it_wrote(tmp_path: Path, by_name: bool) -> None:
    write_submission(tmp_path / "s.csv", ASSIGNED, WELLS, CLASSES, by_name=by_name)
    found = read_submission(tmp_path / "s.csv", WELLS, CLASSES, by_name=by_name)
    pd.testing.assert_frame_equal(found, ASSIGNED, check_dtype=False)


def test_all_problems_at_once_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id_code,sirna\nT_1_B03,0\nT_1_B04,0\nX_1_B03,0\n")
    wrong = pd.DataFrame({"well_id": ["T_1_B03", "T_1_B03", "Q_1_B03"], "sirna": [2, 3, 1]})
    with pytest.raises(BadInput) as caught:
        write_submission(tmp_path / "s.csv", wrong, WELLS, CLASSES, by_name=False, sample=tmp_path / "sample.csv")
    text = str(caught.value)
    for part in (
        "2 test treatment wells without a row: T_1_B04, T_2_B03",
        "1 rows of wells that are no test treatment wells: Q_1_B03",
        "1 rows of wells that have one already: T_1_B03",
        "class is no treatment, first T_1_B03 with class 3",
        "sample.csv: 1 test treatment wells without a row: T_2_B03",
        "sample.csv: 1 rows of wells that are no test treatment wells: X_1_B03",
    ):
        assert part in text
    assert not (tmp_path / "s.csv").exists()


def test_reading_names_unknown_classes_and_columns(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id_code,sirna\nT_1_B03,sirna_8\nT_1_B04,\nT_2_B03,sirna_7\n")
    with pytest.raises(BadInput, match="sirna: sirna_8,  in 2 rows; expected a class such as sirna_7"):
        read_submission(tmp_path / "s.csv", WELLS, CLASSES, by_name=True)
    (tmp_path / "s.csv").write_text("well,label\n")
    with pytest.raises(BadInput, match=r"s\.csv: no column id_code, sirna; found well, label"):
        read_submission(tmp_path / "s.csv", WELLS, CLASSES, by_name=True)
    with pytest.raises(BadInput, match="cannot be read as CSV"):
        read_submission(tmp_path / "none.csv", WELLS, CLASSES, by_name=True)
