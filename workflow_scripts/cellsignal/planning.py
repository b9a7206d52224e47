"""What must be known of a screen before its jobs can be planned: its plates, cell types and files.

Planning reads the metadata once and keeps a summary beside the results, so that parsing the workflow
stays fast at RxRx1's size. The summary is used again while neither the settings, the metadata's bytes,
the code that reads it nor the size or time of an image changed. Images whose size or time changed are
hashed again: only other bytes than those that were packed count as a change.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cellsignal.config.screen import ScreenSettings
from cellsignal.files import canonical_json, read_json, sha256_file, sha256_files, sha256_text

if TYPE_CHECKING:
    import pandas as pd

NAMED = 3  # images that a message names


@dataclass(frozen=True)
class PlatePlan:
    """One plate: its cell type, its number of sites, and digests of its rows and of its images."""

    cell_type: str
    sites: int
    rows: str  # SHA-256 of the plate's rows of the site table
    missing: str = ""  # SHA-256 of the names of its images that are not there; empty if all are
    stamp: str = ""  # SHA-256 of the names, sizes and times of its images as they were when last looked at
    replaced: dict[str, str] = field(default_factory=dict)  # image → SHA-256, if not what was packed first


@dataclass(frozen=True)
class Summary:
    """What planning needs of a screen."""

    plates: dict[str, PlatePlan]
    cell_types: list[str]
    test_cell_types: list[str]  # those with test treatment wells, whose labels are to be predicted
    classes: int  # those of controls included
    experiments: int
    metadata: dict[str, str]  # metadata file, relative to the root → SHA-256
    folders: dict[str, str] = field(default_factory=dict)  # folder of images → SHA-256 of its names, sizes and times

    def examples(self, count: int) -> list[str]:
        """So many plates, of as many cell types as can be: the first of each, then the second of each, and so on."""
        seen: Counter[str] = Counter()
        turns = {}
        for name, plate in self.plates.items():
            turns[name] = seen[plate.cell_type]
            seen[plate.cell_type] += 1
        return sorted(self.plates, key=turns.__getitem__)[:count]  # equal turns keep the order of the plates


class Found(NamedTuple):
    """What is in a folder."""

    names: list[str]  # sorted
    stamps: list[int]  # size and modification time, ns, of each in turn; −1, −1: there is nothing behind the name

    def by_name(self) -> dict[str, tuple[int, int]]:
        """Size and modification time by name."""
        return dict(zip(self.names, zip(self.stamps[::2], self.stamps[1::2], strict=True), strict=True))


class Packed(NamedTuple):
    """The packing that made a plate's store, as its receipt says."""

    raw: Mapping[str, str]  # image → SHA-256 of what was read
    replaced: Mapping[str, str]  # images that had been replaced before it


def summarize(
    settings: ScreenSettings,
    root: Path,
    cache: Path,
    code: Mapping[str, str],
    keep: Callable[[Path, dict[str, Any]], None] = lambda path, content: None,
    packed: Callable[[str], Packed | None] = lambda plate: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Summary:
    """The summary of a screen, from `cache` where that is still true.

    Args:
        root: the folder that metadata and images are relative to.
        code: digests of the modules that read the screen. Without any, as in a job, the summary is the one
            that was planned, whatever changed since.
        keep: called with `cache` and what is to be written there as JSON, where that is not what is there.
        packed: what a plate's store was made from; None: it is not packed yet.
        say: called with a sentence when images are read again, and when some were replaced.
    """
    # The root is where the data happens to lie: moving it changes nothing.
    key = sha256_text(canonical_json(settings.model_dump(mode="json", exclude={"root"})))
    reader = sha256_text(canonical_json(dict(code)))
    earlier = _read_cache(cache)
    cached = earlier if earlier and earlier.key == key else None
    if cached and not code:
        return cached.summary
    if cached and cached.code != reader:
        cached = None
    if (found := cached and _still_true(cached, root)) is None:
        known = earlier.summary.plates if earlier else {}
        found = _Cache(key, reader, *_read_screen(settings, root, known, packed, say))
    if found != earlier:
        keep(cache, asdict(found))
    return found.summary


@dataclass(frozen=True)
class _Cache:
    """What a planning leaves for the next one."""

    key: str  # of the settings
    code: str  # SHA-256 of the digests of the code that read the screen
    stamps: dict[str, list[int]]  # metadata file → size and modification time, ns; [] if there is none
    summary: Summary


def _read_cache(path: Path) -> _Cache | None:
    """The cache; None where there is none, or where the file is something else."""
    try:
        content = read_json(path)
        stored = content["summary"]
        plates = {name: PlatePlan(**plate) for name, plate in stored["plates"].items()}
        summary = Summary(**{**stored, "plates": plates})
        return _Cache(content["key"], content["code"], dict(content["stamps"]), summary)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _still_true(cached: _Cache, root: Path) -> _Cache | None:
    """The cache, with the present times of the metadata; None if the metadata or an image changed."""
    stamps = {name: _stamp(root / name) for name in cached.summary.metadata}
    for name, sha256 in cached.summary.metadata.items():
        if stamps[name] != cached.stamps[name] and (sha256_file(root / name) if stamps[name] else "") != sha256:
            return None
    for folder, digest in cached.summary.folders.items():
        if _digest(_look_into(root / folder)) != digest:
            return None
    return replace(cached, stamps=stamps)


def _stamp(path: Path) -> list[int]:
    """Size and modification time, ns; empty if there is no such file."""
    status = path.stat() if path.exists() else None
    return [status.st_size, status.st_mtime_ns] if status else []


def _read_screen(
    settings: ScreenSettings,
    root: Path,
    known: Mapping[str, PlatePlan],
    packed: Callable[[str], Packed | None],
    say: Callable[[str], None],
) -> tuple[dict[str, list[int]], Summary]:
    """Stamps of the metadata, and the summary from the tables and images themselves."""
    # Here because every job parses the workflow, with the summary at hand, and these import pandas and SciPy.
    from cellsignal.screens import metadata_files, planned_sites
    from cellsignal.sites import rows_digest

    simulated = settings.kind == "simulated"
    files = [] if simulated else metadata_files(settings, root)
    stamps = {path.relative_to(root).as_posix(): _stamp(path) for path in files}
    metadata = {name: sha256_file(root / name) if stamp else "" for name, stamp in stamps.items()}
    screen = planned_sites(settings, root)
    sites = screen.sites
    plates = {
        str(plate): PlatePlan(str(rows["cell_type"].iloc[0]), len(rows), rows_digest(rows))
        for plate, rows in sites.groupby("plate_id", sort=True)
    }
    folders: dict[str, Found] = {}
    if not simulated:
        names = dict.fromkeys(image.rpartition("/")[0] for image in sites["images"].explode())
        folders = {folder: _look_into(root / folder) for folder in names}
        plates = _look_at_images(plates, sites, root, folders, known, packed, say)
    unknown = sites[(sites["dataset"] == "test") & (sites["well_type"] == "treatment")]
    return stamps, Summary(
        plates=plates,
        cell_types=sorted(sites["cell_type"].unique().tolist()),
        test_cell_types=sorted(unknown["cell_type"].unique().tolist()),
        experiments=int(sites["experiment"].nunique()),
        classes=len(screen.classes),
        metadata=metadata,
        folders={folder: _digest(found) for folder, found in sorted(folders.items())},
    )


def _look_at_images(
    plates: Mapping[str, PlatePlan],
    sites: "pd.DataFrame",
    root: Path,
    folders: Mapping[str, Found],
    known: Mapping[str, PlatePlan],
    packed: Callable[[str], Packed | None],
    say: Callable[[str], None],
) -> dict[str, PlatePlan]:
    """The plates with what is missing and what was replaced. `known`: as they were when last looked at."""
    files = {folder: found.by_name() for folder, found in folders.items()}
    images_of = {str(name): rows["images"].explode() for name, rows in sites.groupby("plate_id")}
    looked = {}
    for name, plate in plates.items():
        there, missing = [], []
        for image in images_of[name]:
            folder, _, file = image.rpartition("/")
            size, time = files[folder].get(file, (-1, -1))
            if size < 0:
                missing.append(image)
            else:
                there.append((image, size, time))
        stamp = _digest(there)
        before = known.get(name)
        if before and before.stamp == stamp:
            replaced = before.replaced
        else:
            replaced = _replaced(name, [image for image, *_ in there], root, packed(name), say)
        listed = sha256_text(canonical_json(missing)) if missing else ""
        looked[name] = PlatePlan(plate.cell_type, plate.sites, plate.rows, listed, stamp, replaced)
    return looked


def _replaced(
    name: str, images: Sequence[str], root: Path, packed: Packed | None, say: Callable[[str], None]
) -> dict[str, str]:
    """Images by SHA-256 that are not those that the plate was packed from first.

    The result is what the plate's stage file is to hold. It stays as it is when the plate is packed again:
    what the last packing knew to be replaced is part of its receipt.
    """
    if packed is None:
        return {}  # whatever is there now will be packed
    read = [image for image in images if image in packed.raw]
    say(f"plate {name}: image sizes or times changed; comparing {len(read):,} images with those that were packed")
    found = sha256_files(read, root)
    differing = {image: found.get(image, "") for image in read if found.get(image) != packed.raw[image]}
    if differing:
        more = f" and {len(differing) - NAMED:,} more" if len(differing) > NAMED else ""
        say(f"plate {name}: replaced since it was packed: {', '.join(sorted(differing)[:NAMED])}{more}")
    return {**packed.replaced, **differing}


def _digest(stamps: Sequence[object]) -> str:
    """SHA-256 of names, sizes and times. By `repr`, because JSON takes seconds for the 754,000 of RxRx1."""
    return sha256_text(repr(stamps))


def _look_into(folder: Path) -> Found:
    """What is in a folder; nothing if there is no such folder.

    Written for speed, because every planning looks at every image: 3 µs each, most of it the system's.
    """
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return Found([], [])
    try:
        names = sorted(os.listdir(here))  # noqa: PTH208 (a path for each would double the time)
        stamps: list[int] = []
        stat = os.stat
        for name in names:
            try:
                status = stat(name, dir_fd=here)
            except FileNotFoundError:  # a link to nowhere
                stamps += (-1, -1)
                continue
            stamps.append(status.st_size)
            stamps.append(status.st_mtime_ns)
    finally:
        os.close(here)
    return Found(names, stamps)
