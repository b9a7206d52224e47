"""Real file systems that tests fill up or make read-only. Mounting needs root: elsewhere these tests skip."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory, of its own size, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.filler = folder / "filler"

    def fill(self, leave: int) -> None:
        """Fill the disk, but for `leave` bytes (rounded down to pages)."""
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_bsize
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - leave, 1))

    def make_room(self) -> None:
        self.filler.unlink()

    def read_only(self, read_only: bool = True) -> None:
        """Root may write where permissions forbid it, so the file system itself must refuse."""
        mount("-o", f"remount,{'ro' if read_only else 'rw'}", str(self.folder))

    def names(self) -> list[str]:
        """Files on the disk, but for the filler."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and path != self.filler)
        return sorted(path.relative_to(self.folder).as_posix() for path in files)


def mount(*arguments: str) -> None:
    """Run `mount`; skip the test where that is not allowed."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no `mount` here to make a small disk with")
    if done.returncode:
        pytest.skip(f"mounting a small disk is not allowed here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk on `folder`, made if it is not there, while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
