"""Writing files that are whole or absent, and naming them by their content."""

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cellsignal.errors import Fault

CHUNK = 1 << 20  # bytes read at once when hashing
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there when the block ends well, else remove it.

    The temporary keeps the suffix of `path`, because writers choose their format by it. Raises `Fault`, naming
    `path` and what it needs, where the disk is full or the folder not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with report_unwritable(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it is gone already, or the file system has become read-only
            temporary.unlink()


@contextmanager
def report_unwritable(path: str | Path, temporary: str | Path | None = None) -> Iterator[None]:
    """Raise `Fault`, naming `path`, where the block cannot write it (or `temporary`): a full disk, no permission."""
    path, written = Path(path), Path(temporary or path)
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(error.filename)
        if named not in (None, path, written, *path.parents):
            raise
        reason = os.strerror(error.errno or 0)
        if error.errno in FORBIDDEN:
            raise Fault(
                f"{path}: cannot be written: {reason}. Make the folder writable, or set `results` to one that is"
            ) from error
        if error.errno in FULL:
            wrote = written.stat().st_size if written.exists() else 0
            need = error.need if isinstance(error, NoRoom) else f"more than {byte_count(wrote)}"
            free = next(shutil.disk_usage(folder).free for folder in path.absolute().parents if folder.exists())
            raise Fault(
                f"{path}: cannot be written: {reason}; it needs {need}, {byte_count(free)} are free. "
                "Make room, then run again"
            ) from error
        raise


class NoRoom(OSError):
    """A disk that is full, with what was needed of it."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__(number, os.strerror(number))
        self.need = byte_count(size)


def reserve(path: str | Path, size: int) -> None:
    """Take `size` bytes of disk for a file, made if it is not there, so that writing them cannot fill the disk.

    Raises `NoRoom` where they are not to be had. On file systems that reserve nothing, writing may fail instead.
    """
    with open(path, "ab") as file:
        try:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom(error.errno, size) from None
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def remove_parts(path: str | Path) -> list[Path]:
    """Remove what killed writers of `path` left beside it; returns what that was."""
    path = Path(path)
    parts = sorted(path.parent.glob(f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}*"))
    for part in parts:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    return parts


def byte_count(size: int) -> str:
    """A size for people: 12 bytes, 65.5 kB, 3.4 MB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys: equal values give equal text. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic(path) as temporary:
        reserve(temporary, len(content))
        with open(temporary, "r+b") as file:
            file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` atomically, as canonical JSON."""
    write_text(path, canonical_json(value))


def read_json(path: str | Path) -> Any:
    """The value in a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256_text(text: str) -> str:
    """SHA-256 of `text` (UTF-8), as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, read in pieces, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_files(names: Iterable[str], root: str | Path, threads: int = 8) -> dict[str, str]:
    """SHA-256 of each file below `root` that can be read, by name; several are read at once."""

    def digest(name: str) -> tuple[str, str]:
        try:
            return name, sha256_file(Path(root) / name)
        except OSError:
            return name, ""

    with ThreadPoolExecutor(threads) as pool:  # hashing and reading release the interpreter lock
        return {name: sha256 for name, sha256 in pool.map(digest, names) if sha256}
