"""What must be known of a screen before its jobs can be planned: its plates, cell types and files.

Planning reads the metadata once and keeps a summary beside the results, so that parsing the workflow
stays fast at RxRx1's size. The summary is used again while neither the settings, the metadata's bytes,
the code that reads it nor a folder of images changed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from cellsignal.config.screen import ScreenSettings
from cellsignal.files import canonical_json, read_json, sha256_file, sha256_text, write_json
from cellsignal.screens import metadata_files, planned_sites
from cellsignal.sites import rows_digest


@dataclass(frozen=True)
class PlatePlan:
    """One plate: its cell type, its number of sites, and digests of its rows and of its images' listing."""

    cell_type: str
    sites: int
    rows: str  # SHA-256 of the plate's rows of the site table
    listing: str  # SHA-256 of the names and sizes of its images


@dataclass(frozen=True)
class Summary:
    """What planning needs of a screen."""

    plates: dict[str, PlatePlan]
    cell_types: list[str]
    test_cell_types: list[str]  # those with test treatment wells, whose labels are to be predicted
    classes: int  # those of controls included
    metadata: dict[str, str]  # metadata file, relative to the root → SHA-256
    folders: dict[str, int] = field(default_factory=dict)  # folder of images → its modification time, ns


def summarize(settings: ScreenSettings, root: Path, cache: Path, code: Mapping[str, str], write: bool) -> Summary:
    """The summary of a screen, from `cache` where that is still true.

    `code` are digests of the modules that read the screen. Without any, as in a job, the summary is the one
    that was planned, whatever changed since. With `write` false the cache is only read.
    """
    # The root is where the data happens to lie: moving it changes nothing.
    key = sha256_text(canonical_json(settings.model_dump(mode="json", exclude={"root"})))
    reader = sha256_text(canonical_json(dict(code)))
    cached = _read_cache(cache, key)
    if cached and not code:
        return cached.summary
    if cached and cached.code != reader:
        cached = None
    simulated = settings.kind == "simulated"
    metadata, stamps = ({}, {}) if simulated else _hash_metadata(settings, root, cached)
    if cached and cached.summary.metadata == metadata:
        summary = cached.summary
        if simulated or summary.folders == _modified(root, summary.folders):
            if write and cached.stamps != stamps:
                _write_cache(cache, _Cache(key, reader, stamps, summary))
            return summary
    screen = planned_sites(settings, root)
    folders: dict[str, int] = {}
    listings: dict[str, str] = {}
    if not simulated:
        listings, folders = _list_images(screen.sites, root)
    sites = screen.sites
    plates = {
        str(plate): PlatePlan(
            cell_type=str(rows["cell_type"].iloc[0]),
            sites=len(rows),
            rows=rows_digest(rows),
            listing=listings.get(str(plate), ""),
        )
        for plate, rows in sites.groupby("plate_id", sort=True)
    }
    unknown = sites[(sites["dataset"] == "test") & (sites["well_type"] == "treatment")]
    summary = Summary(
        plates=plates,
        cell_types=sorted(sites["cell_type"].unique().tolist()),
        test_cell_types=sorted(unknown["cell_type"].unique().tolist()),
        classes=len(screen.classes),
        metadata=metadata,
        folders=folders,
    )
    if write:
        _write_cache(cache, _Cache(key, reader, stamps, summary))
    return summary


@dataclass(frozen=True)
class _Cache:
    """What a planning leaves for the next one."""

    key: str  # of the settings
    code: str  # SHA-256 of the digests of the code that read the screen
    stamps: dict[str, list[int]]  # metadata file → size and modification time, ns; [] if there is none
    summary: Summary


def _write_cache(path: Path, content: _Cache) -> None:
    write_json(path, asdict(content))


def _read_cache(path: Path, key: str) -> _Cache | None:
    """The cache of these settings; None where there is none, or where the file is something else."""
    try:
        content = read_json(path)
        if content["key"] != key:
            return None
        stored = content["summary"]
        plates = {name: PlatePlan(**plate) for name, plate in stored["plates"].items()}
        return _Cache(key, content["code"], dict(content["stamps"]), Summary(**{**stored, "plates": plates}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _hash_metadata(
    settings: ScreenSettings, root: Path, cached: _Cache | None
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """SHA-256 of each metadata file, hashed again only if its size or modification time changed."""
    known = cached.summary.metadata if cached else {}
    known_stamps = cached.stamps if cached else {}
    hashes, stamps = {}, {}
    for path in metadata_files(settings, root):
        name = path.relative_to(root).as_posix()
        status = path.stat() if path.exists() else None
        stamps[name] = [status.st_size, status.st_mtime_ns] if status else []
        if status and name in known and known_stamps.get(name) == stamps[name]:
            hashes[name] = known[name]
        else:
            hashes[name] = sha256_file(path) if status else ""
    return hashes, stamps


def _modified(root: Path, folders: Mapping[str, int]) -> dict[str, int]:
    return {folder: _mtime(root / folder) for folder in folders}


def _mtime(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


def _list_images(sites: pd.DataFrame, root: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Per plate, a digest of its images' names and sizes; and the folders' modification times."""
    sizes: dict[str, dict[str, int]] = {}
    listings = {}
    for plate, rows in sites.groupby("plate_id", sort=True):
        found = []
        for image in rows["images"].explode():
            path = PurePosixPath(image)
            folder = path.parent.as_posix()
            if folder not in sizes:
                sizes[folder] = _file_sizes(root / folder)
            found.append([image, sizes[folder].get(path.name, -1)])
        listings[str(plate)] = sha256_text(canonical_json(found))
    return listings, {folder: _mtime(root / folder) for folder in sorted(sizes)}


def _file_sizes(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        return {}
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
