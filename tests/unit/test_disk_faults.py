"""A full or read-only disk: a sentence that names the file and what it needs, and nothing half-written."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from disks import SmallDisk, small_disk
from matplotlib.figure import Figure
from small_recipe import SmallRecipe
from test_plates import SIZE, site_rows, write_images

from cellsignal.errors import Fault
from cellsignal.figures.style import save as save_figure
from cellsignal.files import atomic, remove_parts, write_json
from cellsignal.history import write_history
from cellsignal.plates import PlateStore, pack_plate
from cellsignal.predictions import read_predictions, write_predictions
from cellsignal.provenance.audit import audit
from cellsignal.provenance.job import Job
from cellsignal.sites import write_table
from cellsignal.tensors import read_tensors, write_tensors

LITTLE = 64 * 1024  # bytes left on a disk that is called full
SITES = [f"A_1_B{n:03d}_1" for n in range(200)]
NOISE = np.random.default_rng(0).normal(size=(200, 100))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=4) as mounted:
        yield mounted


def write_store(path: Path) -> None:
    """Pack a plate whose images lie on another disk."""
    raw = path.parents[1] / "raw"
    raw.mkdir(exist_ok=True)
    rows = site_rows(80)
    write_images(rows, raw)
    pack_plate(rows, raw, path, SIZE)


def write_figure(path: Path) -> None:
    figure = Figure()
    figure.add_axes((0, 0, 1, 1)).imshow(NOISE)
    save_figure(figure, path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "plate.h5": write_store,
    "predictions.h5": lambda path: write_predictions(path, SITES, NOISE, NOISE, ["test"] * 200),
    "weights.safetensors": lambda path: write_tensors(path, {"weight": torch.zeros(50_000)}, None),
    "sites.parquet": lambda path: write_table(pd.DataFrame({"x": NOISE.ravel()}), path),
    "history.csv": lambda path: write_history(path, [{"epoch": n, "loss": 0.123456} for n in range(9000)]),
    "figure.png": write_figure,
    "rows.json": lambda path: write_json(path, NOISE.tolist()),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("leave", [LITTLE, 0])
def test_whatever_is_written_a_full_disk_is_named_with_what_is_needed(disk: SmallDisk, name: str, leave: int) -> None:
    path, write = disk.folder / name, WRITERS[name]
    disk.fill(leave)
    with pytest.raises(Fault) as error:
        write(path)
    assert str(error.value).startswith(f"{path}: cannot be written: No space left on device; it needs ")
    assert str(error.value).endswith(" are free. Make room, then run again")
    assert disk.names() == []
    disk.make_room()
    write(path)
    assert disk.names() == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_is_written_a_read_only_folder_is_named(disk: SmallDisk, name: str) -> None:
    path, write = disk.folder / name, WRITERS[name]
    disk.read_only()
    with pytest.raises(Fault) as error:
        write(path)
    assert str(error.value).startswith(f"{path}: cannot be written: Read-only file system. Make the folder writable")
    disk.read_only(False)
    write(path)
    assert disk.names() == [name]


def test_a_file_that_was_there_stays_whole(disk: SmallDisk) -> None:
    store, weights, predictions = (disk.folder / name for name in ("plate.h5", "w.safetensors", "predictions.h5"))
    write_store(store)
    write_tensors(weights, {"weight": torch.ones(9)}, {"step": 1})
    write_predictions(predictions, SITES[:2], NOISE[:2], NOISE[:2], ["test"] * 2)
    before = {path: path.read_bytes() for path in (store, weights, predictions)}
    disk.fill(LITTLE)
    for write in (
        lambda: write_store(store),
        lambda: write_tensors(weights, {"weight": torch.ones(50_000)}, {"step": 2}),
        lambda: WRITERS["predictions.h5"](predictions),
    ):
        with pytest.raises(Fault, match="No space left"):
            write()
    assert {path: path.read_bytes() for path in before} == before
    assert len(PlateStore(store).site_id) == 80 and len(read_predictions(predictions).site_id) == 2
    assert read_tensors(weights)[1] == {"step": 1}


def test_a_store_says_how_much_it_needs_before_it_is_packed(disk: SmallDisk) -> None:
    disk.fill(LITTLE)
    with pytest.raises(Fault) as error:
        write_store(disk.folder / "plate.h5")
    need = 80 * 6 * (SIZE * SIZE + 256 * 4 + 3 * 8 + 64) + 80 * len("E-01_1_B02_1") + (1 << 16)
    assert f"it needs {need / 1e3:.1f} kB, 65.5 kB are free" in str(error.value)


def test_a_full_disk_while_a_receipt_is_written_leaves_none_and_running_again_mends_it(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = SmallRecipe(disk.folder / "project")
    receipt = Path(f"{recipe.submission}.receipt.json")
    receipt.unlink()
    again = {"submission.csv": "id_code,sirna\nA,1\n"}, ["s/r/ensembles/round1.h5"]

    class FullAtTheEnd(Job):
        def finish(self) -> None:
            disk.fill(0)
            super().finish()

    with monkeypatch.context() as patched, pytest.raises(Fault) as error:
        patched.setattr("small_recipe.Job", FullAtTheEnd)
        recipe.job("submission", "s/r", *again)
    assert str(error.value).startswith(f"{receipt}: cannot be written: No space left on device; it needs ")
    assert not receipt.exists()
    disk.make_room()
    recipe.job("submission", "s/r", *again)
    assert audit(recipe.submission, recipe.raw, recipe.library).intact == []


def test_an_error_about_another_file_is_not_taken_for_one_about_this(tmp_path: Path) -> None:
    elsewhere = str(tmp_path.parent / "image.png")
    with pytest.raises(PermissionError), atomic(tmp_path / "plate.h5"):
        raise PermissionError(13, "Permission denied", elsewhere)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = ["plate.h5", ".plate.h5", ".plate2.77.part.h5", "plate.77.part.h5", ".plate.77.part.json"]
    for name in [*kept, ".plate.77.part.h5", ".plate.78.part.h5.whole"]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".plate.79.part.h5").mkdir()
    (tmp_path / ".plate.79.part.h5/image.png").write_bytes(b"")
    removed = remove_parts(tmp_path / "plate.h5")
    assert [path.name for path in removed] == [".plate.77.part.h5", ".plate.78.part.h5.whole", ".plate.79.part.h5"]
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    assert remove_parts(tmp_path / "nowhere/plate.h5") == []
