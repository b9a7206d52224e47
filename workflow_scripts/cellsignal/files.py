"""Writing files that are whole or absent, and naming them by their content."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK = 1 << 20  # bytes read at once when hashing


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there when the block ends well, else remove it.

    The temporary keeps the suffix of `path`, because writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys: equal values give equal text. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
