"""A file is whole or absent, equal values are equal bytes, and hashes are those of hashlib."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cellsignal.files import (
    CHUNK,
    atomic,
    canonical_json,
    read_json,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)


class Broken(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_visible_under_the_final_name_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with atomic(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename must not cross file systems
        assert temporary.suffix == ".parquet"  # writers choose their format by it
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == ["table.parquet"]


def test_a_failure_leaves_no_file_and_no_temporary(tmp_path: Path) -> None:
    with pytest.raises(Broken), atomic(tmp_path / "table.csv") as temporary:
        temporary.write_text("half")
        raise Broken
    assert names(tmp_path) == []


def test_a_failure_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(Broken), atomic(path) as temporary:
        temporary.write_text("new, but half")
        raise Broken
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a much longer old content")
    with open(path) as reader:
        write_text(path, "new")
        assert reader.read() == "a much longer old content"  # who reads it still sees one whole file
    assert path.read_text() == "new"


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "table.csv"):
        pass
    assert names(tmp_path) == []


def test_folders_are_made_and_names_with_dots_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b" / "sites.parquet.receipt.json", {"x": 1})
    assert names(tmp_path / "a" / "b") == ["sites.parquet.receipt.json"]


def test_equal_values_are_equal_text() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"y": "Ä", "x": "µm"}}
    again = {"a": {"x": "µm", "y": "Ä"}, "b": [1, 2.5, None, True]}
    assert canonical_json(value) == canonical_json(again)
    assert canonical_json(value) != canonical_json(value | {"b": [2.5, 1, None, True]})
    assert json.loads(canonical_json(value)) == value
    assert "µm" in canonical_json(value)  # readable, not escaped
    assert canonical_json(value).endswith("}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_say_is_refused_and_leaves_nothing(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "scores.json", {"accuracy": [number]})
    assert names(tmp_path) == []


def test_numpy_numbers_must_be_made_plain_first(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "scores.json", {"wells": np.int64(3)})
    assert names(tmp_path) == []


def test_json_survives_the_disk(tmp_path: Path) -> None:
    value = {"epoch": 3, "rate": 3e-4, "name": "Zürich", "nested": [[], {}, None]}
    write_json(tmp_path / "note.json", value)
    assert read_json(tmp_path / "note.json") == value


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 17])
def test_hash_of_a_file_of_any_size(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "image.png").write_bytes(content)
    assert sha256_file(tmp_path / "image.png") == hashlib.sha256(content).hexdigest()


def test_hash_of_text_is_that_of_its_file(tmp_path: Path) -> None:
    text = "Größe: 512 µm\n"
    write_text(tmp_path / "note.txt", text)
    assert sha256_text(text) == sha256_file(tmp_path / "note.txt") == hashlib.sha256(text.encode()).hexdigest()
    assert sha256_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
