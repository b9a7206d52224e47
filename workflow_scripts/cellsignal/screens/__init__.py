"""Screens: each kind of raw table becomes the same site table (`cellsignal.sites`)."""

import os
from collections.abc import Callable, Mapping, Set
from pathlib import Path

import pandas as pd

from cellsignal.config.screen import ScreenSettings
from cellsignal.screens import kaggle, rxrx1, simulated, table
from cellsignal.sites import Screen, listed, validate_sites

__all__ = [
    "Screen",
    "describe_missing",
    "empty_plates",
    "metadata_files",
    "missing_images",
    "planned_sites",
    "read_screen",
]

READ: dict[str, Callable[[ScreenSettings, Path], Screen]] = {
    "rxrx1": rxrx1.read,
    "simulated": rxrx1.read,  # laid out as the public release
    "kaggle": kaggle.read,
    "table": table.read,
}
FILES: dict[str, Callable[[ScreenSettings, Path], list[Path]]] = {
    "rxrx1": rxrx1.metadata_files,
    "simulated": rxrx1.metadata_files,
    "kaggle": kaggle.metadata_files,
    "table": table.metadata_files,
}


def metadata_files(settings: ScreenSettings, root: Path) -> list[Path]:
    """The files that `read_screen` reads. Simulated screens have one per plate, once simulated."""
    return FILES[settings.kind](settings, Path(root))


def read_screen(settings: ScreenSettings, root: Path) -> Screen:
    """The screen whose tables lie below `root`. Images are not looked at: see `missing_images`.

    Raises `BadInput` with every problem of the tables.
    """
    screen = READ[settings.kind](settings, Path(root))
    validate_sites(screen.sites, screen.classes, " + ".join(str(f) for f in metadata_files(settings, root)[:4]))
    return screen


def planned_sites(settings: ScreenSettings, root: Path) -> Screen:
    """The screen as it will be: like `read_screen`, but a simulated screen needs no file."""
    if settings.kind != "simulated":
        return read_screen(settings, root)
    source = f"layout of simulated screen {settings.name}"
    screen = rxrx1.from_metadata(simulated.layout(settings), settings, source)
    validate_sites(screen.sites, screen.classes, source)
    return screen


def missing_images(sites: pd.DataFrame, root: Path, listing: Mapping[str, Set[str]] | None = None) -> pd.DataFrame:
    """The images of `sites` that are not below `root`: site_id, plate_id, image, problem.

    One directory listing per folder, because a `stat` per file takes hours on a network file system.
    `listing`: the names in each folder (relative to `root`), where they are known already.
    """
    names: dict[str, Set[str] | None] = dict(listing or {})
    found = []
    for site_id, plate_id, images in zip(sites["site_id"], sites["plate_id"], sites["images"], strict=True):
        for image in images:
            folder, _, name = image.rpartition("/")
            if folder not in names:
                names[folder] = None if listing is not None else _names_in(Path(root) / folder)
            content = names[folder]
            if content is None or name not in content:
                found.append((site_id, plate_id, image, "no such folder" if content is None else "no such file"))
    return pd.DataFrame(found, columns=["site_id", "plate_id", "image", "problem"], dtype=str)


def _names_in(folder: Path) -> Set[str] | None:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return None


def empty_plates(missing: pd.DataFrame, sites: pd.DataFrame) -> list[str]:
    """One sentence per plate that has none of its images (`missing`: from `missing_images`)."""
    listed_images = sites.groupby("plate_id")["images"].agg(lambda images: sum(map(len, images)))
    lines = []
    for plate_id, rows in missing.groupby("plate_id"):
        if len(rows) < listed_images[plate_id]:
            continue
        folders = listed(sorted({image.rpartition("/")[0] or "." for image in rows["image"]}))
        why = listed(sorted(rows["problem"].unique()))
        lines.append(
            f"{folders}: none of the {len(rows)} images that the metadata lists for plate {plate_id} is "
            f"there ({why}); expected names such as {rows['image'].iloc[0]}"
        )
    return lines


def describe_missing(missing: pd.DataFrame, sites: pd.DataFrame) -> list[str]:
    """`missing` in sentences: one per plate without any image, else one per incomplete site."""
    lines = empty_plates(missing, sites)
    listed_images = sites.groupby("plate_id")["images"].agg(lambda images: sum(map(len, images)))
    for plate_id, rows in missing.groupby("plate_id"):
        if len(rows) < listed_images[plate_id]:
            lines += [
                f"site {site_id}: {len(images)} image{'s' * (len(images) > 1)} not there: {listed(images)}; "
                "expected every channel"
                for site_id, images in rows.groupby("site_id")["image"].agg(list).items()
            ]
    return lines
