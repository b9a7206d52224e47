"""The plan: what jobs read of a planning, written together, and never under jobs that still wait to read it.

Snakemake parses the workflow before it locks the folder, and for a dry run or a report it never locks it. So
whoever plans holds a lock of its own on each folder of stage files, as long as its process lives: the system
takes it back from a process that is killed. While others hold it, planning goes on where all that it would
write is there already, and is refused where anything would change.
"""

import errno
import fcntl
import functools
import getpass
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput, Fault, raise_all
from cellsignal.files import FORBIDDEN, canonical_json, read_json, write_text
from cellsignal.provenance.stages import Stage, changed_code, changed_settings, read_stage, stage_text

IN_USE, PLANNING = ".in_use", ".planning"  # lock files in a folder of stage files
PATIENCE = 60.0  # seconds that another planning may take to write its files
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass
class _Folder:
    """A folder of stage files, with its lock."""

    path: Path
    lock: int | None = None  # file descriptor of IN_USE; None: nothing can be written here
    busy: bool = False  # others hold the lock too
    texts: dict[Path, str] = field(default_factory=dict)  # of the files that would change

    def planner(self) -> str:
        """Who wrote what is there."""
        return f"{self.path} is in use by a running workflow, {(self.path / IN_USE).read_text().strip()}"


class Plan:
    """What one planning wants to write into the given folders. Keep it: its locks last as long as it does."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.folders = [_Folder(Path(folder)) for folder in folders]
        self.stages: dict[Path, Stage] = {}
        self.configurations: dict[Path, dict[str, Any]] = {}
        self.unread: dict[Path, Any] = {}

    def add_stage(self, path: str | Path, stage: Stage) -> None:
        """A stage file."""
        self.stages[Path(path)] = stage

    def add_configuration(self, path: str | Path, values: dict[str, Any]) -> None:
        """The whole configuration, which jobs parse the workflow with."""
        self.configurations[Path(path)] = values

    def add_unread(self, path: str | Path, value: Any) -> None:
        """A JSON file that no job's result follows from: it stays as it is while others use the folder."""
        self.unread[Path(path)] = value

    def write(self, unlocking: bool = False, waiting: Callable[[], Sequence[str]] = lambda: ()) -> None:
        """Write what is new or changed, or nothing at all.

        A file whose content is the same keeps its modification time, so planning alone never reruns anything.

        Args:
            unlocking: the planning of `snakemake --unlock`, which must not take the lock from a running workflow.
            waiting: asked, before a file would change, which jobs of a run that was killed wait elsewhere.

        Raises:
            BadInput: a running workflow, or a job that waits, reads other settings or code; all are named.
            Fault: a folder cannot be written and something would have to be.
        """
        planning = [_open(folder.path, PLANNING) for folder in self.folders]
        try:
            for folder, lock in zip(self.folders, planning, strict=True):
                _wait_for(lock, folder.path)
            for folder in self.folders:
                _take(folder)
            self._compare()
            self._check(unlocking, waiting)
            for folder in self.folders:
                self._write(folder)
        except BaseException:
            self.release()
            raise
        finally:
            for lock in planning:
                if lock is not None:
                    os.close(lock)

    def release(self) -> None:
        """Let others plan what they like, as they may once this process has ended."""
        for folder in self.folders:
            if folder.lock is not None:
                os.close(folder.lock)
                folder.lock = None

    def _compare(self) -> None:
        """Find the files that would be new or change."""
        texts = {path: stage_text(stage) for path, stage in self.stages.items()}
        texts |= {path: canonical_json(values) for path, values in self.configurations.items()}
        for path, text in texts.items():
            if _text(path) != text:
                self._folder(path).texts[path] = text

    def _folder(self, path: Path) -> _Folder:
        return next(folder for folder in self.folders if path.is_relative_to(folder.path))

    def _check(self, unlocking: bool, waiting: Callable[[], Sequence[str]]) -> None:
        """Refuse what must not be."""
        busy = [folder for folder in self.folders if folder.busy]
        if unlocking and busy:
            raise BadInput(f"not unlocked: {busy[0].planner()}. Unlock only what a killed run left locked")
        if changed := [path for folder in busy for path in folder.texts if path.exists()]:
            planner = self._folder(changed[0]).planner()
            advice = "which jobs that wait read. Let it end, undo the change, or work with another `results` folder"
            raise_all(self._differences(changed), f"{planner}; this would change its plan, {advice}")
        changed = [path for folder in self.folders for path in folder.texts if path.exists()]
        if changed and (jobs := waiting()):
            advice = "this would change the plan that they read. Wait for them, end them, or undo the change"
            raise_all(self._differences(changed), f"{len(jobs)} jobs of a killed run wait ({jobs[0]} …); {advice}")
        for folder in self.folders:
            if folder.lock is None and folder.texts:
                raise Fault(
                    f"{folder.path}: cannot be written, but {len(folder.texts)} files there would have to be, such as "
                    f"{next(iter(folder.texts)).name}. Make the folder writable, or set `results` to one that is"
                )

    def _differences(self, changed: Sequence[Path]) -> list[str]:
        """Every setting and module that differs, once; settings as the configuration has them, where it differs."""
        settings = [
            sentence
            for path in changed
            if path in self.configurations
            for sentence in changed_settings(read_json(path), self.configurations[path])
        ]
        stages = {path: (read_stage(path), self.stages[path]) for path in changed if path in self.stages}
        if not settings:  # what a stage file holds besides: rows and images of a plate, as they are on disk
            places: dict[str, list[Path]] = {}
            for path, (old, new) in stages.items():
                for sentence in changed_settings(old.settings, new.settings):
                    places.setdefault(sentence.partition(":")[0], []).append(path)
            settings = [f"{name}: changed, in {_listed(paths)}" for name, paths in places.items()]
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for old, new in stages.values():
            before.update(old.code)
            after.update(new.code)
        return settings + changed_code(before, after)

    def _write(self, folder: _Folder) -> None:
        """Write a folder's files, then let others use them."""
        for path, text in folder.texts.items():
            write_text(path, text)
        if folder.lock is None or folder.busy:
            return
        for path, value in self.unread.items():
            if path.is_relative_to(folder.path) and _text(path) != canonical_json(value):
                write_text(path, canonical_json(value))
        os.truncate(folder.lock, 0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        note = f"planned by {_user()} on {platform.node()}, process {os.getpid()}, at {now}\n"
        os.write(folder.lock, note.encode())
        _lock(folder.lock, fcntl.LOCK_SH)


def _listed(paths: Sequence[Path]) -> str:
    return f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}"


def _user() -> str:
    """Who plans, by number where a container has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _open(folder: Path, name: str) -> int | None:
    """Open a lock file, made if it is not there; None where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno in FORBIDDEN:
            return None
        raise


def _lock(lock: int, kind: int) -> bool:
    """Take a lock, or change it; False where others are in the way."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn(error.strerror)
    return True


@functools.cache
def _warn(reason: str) -> None:
    """Say once that nothing is protected here."""
    print(f"no locks on this file system ({reason}): change no settings or code while jobs wait", file=sys.stderr)


def _take(folder: _Folder) -> None:
    """Lock a folder for use, and find out whether others use it."""
    folder.lock = _open(folder.path, IN_USE)
    if folder.lock is not None and not _lock(folder.lock, fcntl.LOCK_EX):
        folder.busy = True
        _lock(folder.lock, fcntl.LOCK_SH)  # who writes holds PLANNING too, so nobody is in the way


def _wait_for(lock: int | None, folder: Path) -> None:
    """Wait until no other planning writes into a folder. Raises `BadInput` if one does for too long."""
    given_up = time.monotonic() + PATIENCE
    while lock is not None and not _lock(lock, fcntl.LOCK_EX):
        if time.monotonic() > given_up:
            raise BadInput(f"{folder}: another planning has been writing here for {PATIENCE:.0f} seconds; try again")
        time.sleep(0.05)
