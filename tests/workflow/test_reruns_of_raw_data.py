"""Touch, move, replace, add or remove raw data and run again: exactly what it invalidates reruns."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from expected import END, FIGURES, Jobs
from projects import Project
from table_screen import MISSING, TRUNCATED, settings, write_site

# By rule, of a screen of 4 plates, one model that is not fine-tuned, 2 folds and no test wells.
OF_TABLES = {"samples_per_class", "plate_layout"}  # figures that look at no pixel
FROM_STORES: Jobs = {"normalization": 1, "train_model": 2, "predict": 2, "ensemble_teachers": 1, "score": 1} | END
FROM_STORES |= dict.fromkeys(FIGURES - OF_TABLES - {"site_images", "layer_table"}, 1) | {"explain_sites": 1}
REINDEXED = FROM_STORES | {"index_sites": 1, "assign_folds": 1, "site_images": 1} | dict.fromkeys(OF_TABLES, 1)
EXAMPLES = ("P1", "P2")  # plates that site_images shows


@pytest.fixture
def run(allowed: Project, tmp_path: Path) -> Project:
    """A copy of the run over a table screen and of its raw data, for this test to change."""
    project = allowed.copy_to(tmp_path / "project")
    lies_in(project, project.folder / "data")
    return project


def lies_in(project: Project, data: Path) -> None:
    project.overlay(settings(data) | {"pack": {"allow_missing_sites": True}})


def test_touching_every_image_and_table_reruns_nothing(run: Project) -> None:
    files = [path for path in (run.folder / "data").rglob("*") if path.is_file()]
    for path in files:
        os.utime(path)
    output = run.run("all", "--dry-run")
    assert "Nothing to be done" in output
    assert "plate P4: image sizes or times changed; comparing 24 images with those that were packed" in output
    assert "comparing" not in run.run("all", "--dry-run")


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile])  # with the times, as `rsync -a`, or without
def test_data_on_another_disk_rerun_nothing(run: Project, copy: Callable[..., object]) -> None:
    moved = shutil.copytree(run.folder / "data", run.folder / "elsewhere/copy", copy_function=copy)
    shutil.rmtree(run.folder / "data")
    lies_in(run, moved)
    assert run.planned() == {}
    if copy is shutil.copy2:
        assert "scores.json: PASSED" in run.run("audit")


def write_over(path: Path, other: Path) -> None:
    """As `cp` does: neither the folder nor, here, the size changes."""
    assert path.stat().st_size == other.stat().st_size
    path.write_bytes(other.read_bytes())


def put_in_place(path: Path, other: Path) -> None:
    """As `mv` does: another file, of another size, with its own time, older than the run."""
    path.unlink()
    path.write_bytes(other.read_bytes() + bytes(10))
    os.utime(path, (1, 1))


@pytest.mark.parametrize(("replace", "plate"), [(write_over, "P4"), (put_in_place, "P1")])
def test_a_replaced_image_reruns_its_plates_packing_and_what_follows(
    run: Project, replace: Callable[[Path, Path], None], plate: str
) -> None:
    images = run.folder / f"data/images/{plate}"
    replace(images / "bright_1_nuclei.png", images / "striped_1_nuclei.png")
    follows = FROM_STORES | ({"site_images": 1} if plate in EXAMPLES else {})
    output = run.run("all", "--dry-run")
    assert f"plate {plate}: replaced since it was packed: images/{plate}/bright_1_nuclei.png" in output
    assert run.planned() == follows | {"pack_plate": 1}
    run.run(f"results/my_screen/plates/{plate}.h5")
    os.utime(images / "bright_1_nuclei.png")
    assert run.planned() == follows  # the new image is the one that was packed


def test_a_damaged_image_that_is_restored_is_packed(run: Project) -> None:
    assert TRUNCATED.startswith("images/P2/bright_3")
    write_site(run.folder / "data", "P2", "bright", 3)
    assert run.planned() == FROM_STORES | {"pack_plate": 1, "site_images": 1}


def test_a_missing_image_that_is_restored_is_indexed_and_packed(run: Project) -> None:
    assert MISSING[0].startswith("images/P1/dim_1")
    write_site(run.folder / "data", "P1", "dim", 1)
    assert run.planned() == REINDEXED | {"pack_plate": 1}


def test_a_new_plate_packs_no_other_plate_again(run: Project) -> None:
    row = write_site(run.folder / "data", "P5", "bright", 1)
    with open(run.folder / "data/sites.csv", "a") as table:
        table.write(",".join(row.values()) + "\n")
    assert run.planned() == REINDEXED | {"pack_plate": 1}


def test_an_experiment_less_packs_nothing_again(run: Project) -> None:
    table = run.folder / "data/sites.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("P4,")))
    assert run.planned() == REINDEXED
