"""Planning reads a screen once, sees every change that matters, and names the plates that it touches."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from small_screens import Row, public_rows, settings, write_csv

from cellsignal import planning, screens
from cellsignal.config.screen import ScreenSettings
from cellsignal.files import sha256_file, write_json
from cellsignal.planning import Packed, PlatePlan, Summary, summarize
from cellsignal.screens import read_screen

EXPERIMENTS = {"HUVEC-01": "train", "RPE-01": "train", "HUVEC-02": "test"}
PLATES = [f"{experiment}_{plate}" for experiment in sorted(EXPERIMENTS) for plate in "12"]
CODE = {"cellsignal.planning": "a", "cellsignal.screens.rxrx1": "b"}
SETTINGS = settings("rxrx1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A release on disk: `metadata.csv` and images of differing sizes."""
    return write_screen(tmp_path / "release", public_rows(EXPERIMENTS))


def write_screen(root: Path, rows: list[Row]) -> Path:
    write_csv(root / "metadata.csv", rows)
    for number, image in enumerate(images_of(rows)):
        path = root / image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (1 + number % 7))
    return root


def images_of(rows: list[Row]) -> list[str]:
    return [
        f"images/{row['experiment']}/Plate{row['plate']}/{row['well']}_s{row['site']}_w{channel}.png"
        for row in rows
        for channel in (1, 2)
    ]


def nothing(path: Path, content: Any) -> None:
    """What a job keeps of a summary."""


def plan(root: Path, cache: Path | None = None, chosen: ScreenSettings = SETTINGS, **options: Any) -> Summary:
    code, keep = options.pop("code", CODE), options.pop("keep", write_json)
    return summarize(chosen, root, cache or root.parent / "summary.json", code, keep, **options)


def pack(root: Path, plan: Summary | None = None) -> Callable[[str], Packed | None]:
    """What receipts would say if every plate of a plan was packed now."""
    images = images_of(public_rows(EXPERIMENTS))
    raw = {image: sha256_file(root / image) for image in images if (root / image).exists()}
    replaced = {name: plate.replaced for name, plate in plan.plates.items()} if plan else {}
    return lambda plate: Packed(raw, replaced.get(plate, {}))


def other_digests(before: Summary, after: Summary) -> dict[str, set[str]]:
    """Digest → the plates of both summaries on which it differs."""
    common = before.plates.keys() & after.plates.keys()
    return {
        key: {name for name in common if getattr(before.plates[name], key) != getattr(after.plates[name], key)}
        for key in ("cell_type", "sites", "rows", "missing", "replaced")
    }


SAME: dict[str, set[str]] = {key: set() for key in ("cell_type", "sites", "rows", "missing", "replaced")}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by `tables` when the tables are parsed, by a metadata file's name or the images when they are hashed."""
    calls: list[str] = []

    def watched(module: ModuleType, name: str, label: Callable[..., str]) -> None:
        original = getattr(module, name)

        def call(*arguments: Any) -> Any:
            calls.append(label(*arguments))
            return original(*arguments)

        monkeypatch.setattr(module, name, call)

    watched(screens, "planned_sites", lambda *_: "tables")
    watched(planning, "sha256_file", lambda path: Path(path).name)
    watched(planning, "sha256_files", lambda images, _: " ".join(images))
    return calls


def test_the_summary_is_what_the_tables_say(root: Path) -> None:
    summary = plan(root)
    sites = read_screen(SETTINGS, root).sites
    assert list(summary.plates) == PLATES
    for name, plate in summary.plates.items():
        rows = [row for row in sites.to_dict("records") if row["plate_id"] == name]
        assert (plate.cell_type, plate.sites) == (name.split("-")[0], len(rows))
        assert (plate.missing, plate.replaced) == ("", {})
    assert summary.cell_types == ["HUVEC", "RPE"]
    assert summary.test_cell_types == ["HUVEC"]
    assert summary.metadata == {"metadata.csv": sha256_file(root / "metadata.csv")}
    assert sorted(summary.folders) == sorted({str(Path(image).parent) for image in images_of(public_rows(EXPERIMENTS))})
    assert len({plate.rows for plate in summary.plates.values()}) == len(PLATES)
    assert len({plate.stamp for plate in summary.plates.values()}) == len(PLATES)


def test_a_second_planning_reads_no_table_and_no_image(root: Path, reads: list[str]) -> None:
    first = plan(root)
    assert sorted(reads) == ["metadata.csv", "tables"]
    reads.clear()
    assert plan(root, packed=pack(root)) == first
    assert reads == []


def test_a_screen_without_unknown_wells_predicts_no_cell_type(root: Path) -> None:
    rows = [row for row in public_rows(EXPERIMENTS) if row["dataset"] == "train"]
    write_csv(root / "metadata.csv", rows)
    assert plan(root).test_cell_types == []


def test_a_job_takes_the_plan_as_it_is(root: Path, reads: list[str]) -> None:
    """Jobs parse the workflow again, a thousand times; none reads the screen, and none sees another plan."""
    first = plan(root)
    rows = public_rows(EXPERIMENTS)
    write_screen(root, rows[:-24])
    reads.clear()
    assert plan(root, code={}, keep=nothing) == first
    assert reads == []
    other = plan(root, chosen=settings("rxrx1", channels=["nuclei"]), code={}, keep=nothing)
    assert other != first and "tables" in reads  # of other settings nothing was planned


def test_a_planner_that_must_not_write_writes_nothing(root: Path) -> None:
    summary = plan(root, keep=nothing)
    assert [path.name for path in root.parent.iterdir()] == ["release"]
    assert summary == plan(root)


def test_touching_the_metadata_hashes_it_again_and_changes_nothing(root: Path, reads: list[str]) -> None:
    first = plan(root)
    os.utime(root / "metadata.csv", (1, 1))
    reads.clear()
    assert plan(root) == first
    assert reads == ["metadata.csv"]
    assert plan(root) == first
    assert reads == ["metadata.csv"]  # its new time is known by now


def test_a_changed_row_changes_the_digest_of_its_plate_only(root: Path) -> None:
    before = plan(root)
    rows = public_rows(EXPERIMENTS)
    changed = [row for row in rows if row["well_id"] in ("RPE-01_2_B04", "RPE-01_2_B05")]
    first, second = changed[0].copy(), changed[2].copy()
    for row in changed:  # the two wells swap their siRNAs
        other = second if row["well_id"] == first["well_id"] else first
        row["sirna"], row["sirna_id"] = other["sirna"], other["sirna_id"]
    write_csv(root / "metadata.csv", rows)
    after = plan(root)
    assert other_digests(before, after) == SAME | {"rows": {"RPE-01_2"}}
    assert after.metadata != before.metadata


def test_changed_answers_change_no_plate(root: Path) -> None:
    before = plan(root)
    rows = public_rows(EXPERIMENTS)
    swapped = {"0": "1", "1": "0"}
    names = {row["sirna_id"]: row["sirna"] for row in rows}
    for row in rows:
        if row["dataset"] == "test" and row["sirna_id"] in swapped:
            row["sirna_id"] = swapped[row["sirna_id"]]
            row["sirna"] = names[row["sirna_id"]]
    write_csv(root / "metadata.csv", rows)
    after = plan(root)
    assert after.plates == before.plates
    assert after.metadata != before.metadata  # index_sites rewrites the answers


def test_an_added_plate_is_added_and_no_other_changes(root: Path) -> None:
    before = plan(root)
    rows = public_rows(EXPERIMENTS)
    third = [
        {**row, "plate": "3", "well_id": (well := f"HUVEC-01_3_{row['well']}"), "site_id": f"{well}_{row['site']}"}
        for row in rows
        if row["experiment"] == "HUVEC-01" and row["plate"] == "1"
    ]
    write_screen(root, rows + third)
    after = plan(root)
    assert after.plates.keys() - before.plates.keys() == {"HUVEC-01_3"}
    assert other_digests(before, after) == SAME


def overwrite(path: Path, content: bytes) -> None:
    """Write into a file as `cp` does: its folder does not change, and here its size neither."""
    assert path.stat().st_size == len(content)
    path.write_bytes(content)


def exchange(path: Path, content: bytes) -> None:
    """Put another file in its place as `mv` and `rsync` do, older than any other."""
    path.with_suffix(".new").write_bytes(content * 2)
    os.utime(path.with_suffix(".new"), (1, 1))
    path.with_suffix(".new").replace(path)


REPLACED = "images/HUVEC-02/Plate1/B04_s1_w2.png"


@pytest.mark.parametrize("change", [overwrite, exchange])
def test_a_replaced_image_changes_its_plate_only_until_it_is_restored(
    root: Path, change: Callable[[Path, bytes], None]
) -> None:
    before, packed, said = plan(root), pack(root), list[str]()
    content = (root / REPLACED).read_bytes()
    change(root / REPLACED, b"y" * len(content))
    after = plan(root, packed=packed, say=said.append)
    assert other_digests(before, after) == SAME | {"replaced": {"HUVEC-02_1"}}
    assert after.plates["HUVEC-02_1"].replaced == {REPLACED: sha256_file(root / REPLACED)}
    assert said[0].startswith("plate HUVEC-02_1: image sizes or times changed; comparing 24 images")
    assert said[1:] == [f"plate HUVEC-02_1: replaced since it was packed: {REPLACED}"]
    (root / REPLACED).write_bytes(content)
    assert other_digests(before, plan(root, packed=packed)) == SAME


def test_a_plate_that_was_packed_again_stays_as_it_was_planned(root: Path) -> None:
    plan(root)
    packed, content = pack(root), (root / REPLACED).read_bytes()
    (root / REPLACED).write_bytes(b"other")
    replaced = plan(root, packed=packed)
    again = pack(root, replaced)
    assert plan(root, packed=again) == replaced
    os.utime(root / REPLACED, (1, 1))
    assert other_digests(replaced, plan(root, packed=again)) == SAME
    (root / REPLACED).write_bytes(content)  # not what was packed last
    restored = plan(root, packed=again)
    assert other_digests(replaced, restored) == SAME | {"replaced": {"HUVEC-02_1"}}
    assert plan(root, packed=pack(root, restored)) == restored


def test_an_image_replaced_before_the_plate_is_packed_changes_nothing(root: Path, reads: list[str]) -> None:
    before = plan(root)
    (root / REPLACED).write_bytes(b"other")
    reads.clear()
    assert other_digests(before, plan(root)) == SAME
    assert reads == ["metadata.csv", "tables"]


def test_an_image_that_cannot_be_read_counts_as_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, packed = plan(root), pack(root)
    os.utime(root / REPLACED, (1, 1))
    monkeypatch.setattr(planning, "sha256_files", lambda images, root: {})
    assert other_digests(before, plan(root, packed=packed)) == SAME | {"replaced": {"HUVEC-02_1"}}


def test_a_lost_and_a_restored_image_change_their_plate_only(root: Path) -> None:
    before, packed = plan(root), pack(root)
    image = root / "images/RPE-01/Plate2/B07_s2_w1.png"
    content = image.read_bytes()
    image.unlink()
    without = plan(root, packed=packed)
    assert other_digests(before, without) == SAME | {"missing": {"RPE-01_2"}}
    image.write_bytes(content)
    assert other_digests(before, plan(root, packed=packed)) == SAME


def test_a_lost_folder_changes_its_plate_only(root: Path) -> None:
    before, packed = plan(root), pack(root)
    shutil.rmtree(root / "images/RPE-01/Plate2")
    assert other_digests(before, plan(root, packed=packed)) == SAME | {"missing": {"RPE-01_2"}}


def test_a_link_to_nowhere_is_a_missing_image(root: Path) -> None:
    before, packed = plan(root), pack(root)
    image = root / "images/RPE-01/Plate2/B07_s2_w1.png"
    image.rename(root / "elsewhere.png")
    image.symlink_to(root / "elsewhere.png")
    assert other_digests(before, plan(root, packed=packed)) == SAME
    (root / "elsewhere.png").unlink()
    assert other_digests(before, plan(root, packed=packed)) == SAME | {"missing": {"RPE-01_2"}}


def test_a_file_that_no_row_names_changes_no_plate(root: Path, reads: list[str]) -> None:
    before, packed = plan(root), pack(root)
    (root / "images/HUVEC-01/Plate1/notes.txt").write_text("seen by eye: fine")
    reads.clear()
    assert plan(root, packed=packed).plates == before.plates
    assert reads == ["metadata.csv", "tables"]  # which images are the plate's; none is read


def test_touched_images_are_read_again_once_and_change_nothing(root: Path, reads: list[str]) -> None:
    before, packed = plan(root), pack(root)
    touched = images_of(public_rows({"RPE-01": "train"}))
    for image in touched:
        os.utime(root / image, (1, 1))
    reads.clear()
    after = plan(root, packed=packed)
    assert other_digests(before, after) == SAME
    assert sorted(" ".join(reads).split()) == sorted(["metadata.csv", "tables", *touched])
    reads.clear()
    assert plan(root, packed=packed) == after
    assert reads == []


def test_data_that_moved_has_the_same_plates(root: Path, reads: list[str]) -> None:
    cache, packed = root.parent / "summary.json", pack(root)
    before = plan(root, cache)
    moved = root.rename(root.parent / "elsewhere")
    reads.clear()
    assert plan(moved, cache, SETTINGS.model_copy(update={"root": str(moved)}), packed=packed) == before
    assert reads == []  # where the data lies is no part of it
    copied = root.parent / "copy"
    shutil.copytree(moved, copied, copy_function=shutil.copyfile)  # other times everywhere
    assert other_digests(before, plan(copied, cache, packed=packed)) == SAME


def test_other_settings_or_code_read_the_screen_again(root: Path, reads: list[str]) -> None:
    first = plan(root)
    for options in (
        {"code": CODE | {"cellsignal.screens.rxrx1": "c"}},
        {"chosen": settings("rxrx1", channels=["nuclei"])},
        {"chosen": settings("rxrx1", name="other")},
    ):
        reads.clear()
        second = plan(root, **options)
        assert "tables" in reads, options
        assert list(second.plates) == list(first.plates)
    one_channel = plan(root, chosen=settings("rxrx1", channels=["nuclei"]))
    assert other_digests(first, one_channel) == SAME | {"rows": set(PLATES)}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"key": "another"}',
        "not JSON",
    ],
)
def test_a_cache_that_is_none_is_ignored_and_mended(root: Path, content: str) -> None:
    cache = root.parent / "summary.json"
    expected = plan(root)
    written = cache.read_text()
    cache.write_text(content)
    assert plan(root) == expected
    assert cache.read_text() == written


@pytest.mark.parametrize("lost", ["key", "code", "stamps", "summary", "plates", "metadata", "cell_type"])
def test_a_cache_of_another_shape_is_ignored_and_mended(root: Path, lost: str) -> None:
    cache = root.parent / "summary.json"
    expected = plan(root)
    written = cache.read_text()

    def without(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: without(inner) for key, inner in value.items() if key != lost}

    write_json(cache, without(json.loads(written)))
    assert plan(root) == expected
    assert cache.read_text() == written


def test_the_cache_is_small_and_says_no_path(root: Path) -> None:
    plan(root)
    text = (root.parent / "summary.json").read_text()
    assert str(root) not in text and len(text) < 10_000


def test_a_simulated_screen_is_planned_without_any_file(tmp_path: Path, reads: list[str]) -> None:
    chosen = settings(
        "simulated",
        root=None,
        channels=[f"c{i}" for i in range(6)],
        plate_rows=6,
        plate_columns=8,
        simulated={"cell_types": {"HUVEC": [2, 1], "U2OS": [1, 0]}, "sirnas": 16, "positive_controls": 2},
    )
    summary = plan(tmp_path / "none", tmp_path / "summary.json", chosen)
    assert list(summary.plates) == [
        f"{experiment}_{plate}"
        for experiment in ("HUVEC-01", "HUVEC-02", "HUVEC-03", "U2OS-01")
        for plate in range(1, 5)
    ]
    assert {plate.sites for plate in summary.plates.values()} == {2 * (16 // 4 + 2 + 1)}
    assert (summary.cell_types, summary.test_cell_types) == (["HUVEC", "U2OS"], ["HUVEC"])
    assert (summary.metadata, summary.folders) == ({}, {})
    reads.clear()
    assert plan(tmp_path / "none", tmp_path / "summary.json", chosen) == summary
    assert reads == []


def test_example_plates_are_of_as_many_cell_types_as_can_be() -> None:
    of = {"H1": "HUVEC", "H2": "HUVEC", "H3": "HUVEC", "R1": "RPE", "U1": "U2OS"}
    summary = Summary(
        {name: PlatePlan(cell, 1, "") for name, cell in of.items()}, sorted(set(of.values())), [], 2, 1, {}
    )
    assert summary.examples(2) == ["H1", "R1"]
    assert summary.examples(4) == ["H1", "R1", "U1", "H2"]
    assert sorted(summary.examples(9)) == sorted(of)
