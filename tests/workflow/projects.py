"""Copies of this project that tests run, change and break, always through Snakemake's command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["Snakefile", "config.yaml", "rules", "workflow_scripts", "recipes", "profiles", "slurm"]
LOCAL = "profiles/local"
TINY = "tiny.yaml"
OVERLAY = "change.yaml"  # laid over the recipe where a test wrote one
PATIENCE = 900  # seconds until a command that hangs is given up


@dataclass(frozen=True)
class Project:
    """A folder with the project's sources and what its runs left there."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Project":
        """A fresh copy of the sources, with the tiny recipe beside them."""
        folder.mkdir(parents=True)
        for name in SOURCES:
            source, target = ROOT / name, folder / name
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target, follow_symlinks=False)
        shutil.copy2(Path(__file__).with_name(TINY), folder / TINY)
        return cls(folder)

    def copy_to(self, folder: Path) -> "Project":
        """This project with all its results and Snakemake's records, modification times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def command(self, *arguments: str, profile: str = LOCAL, recipe: str = TINY) -> list[str]:
        """`snakemake ARGUMENTS` with a recipe, and the test's overlay where there is one."""
        files = [recipe, *([OVERLAY] if (self.folder / OVERLAY).exists() else [])]
        return [sys.executable, "-m", "snakemake", *arguments, "--profile", profile, "--configfile", *files]

    def snakemake(self, *arguments: str, profile: str = LOCAL, recipe: str = TINY) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; its output and errors come as one text, `stdout`."""
        return subprocess.run(
            self.command(*arguments, profile=profile, recipe=recipe),
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def run(self, *arguments: str, profile: str = LOCAL, recipe: str = TINY) -> str:
        """The output of a command that must succeed."""
        done = self.snakemake(*arguments, profile=profile, recipe=recipe)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def fail(self, *arguments: str) -> str:
        """The output of a command that must fail, with a message for people."""
        done = self.snakemake(*arguments)
        assert done.returncode != 0, done.stdout[-6000:]
        assert "Traceback" not in done.stdout, done.stdout[-6000:]
        return done.stdout

    def audit(self, artefact: str) -> str:
        """What `cellsignal audit` says of an artefact."""
        command = [sys.executable, "-P", "-m", "cellsignal.cli", "audit", artefact]
        library = {"PYTHONPATH": str(self.folder / "workflow_scripts")}
        done = subprocess.run(command, cwd=self.folder, env=environment() | library, capture_output=True, text=True)
        return done.stdout + done.stderr

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a dry run of `all` would run; `{}` if nothing is to be done."""
        return job_counts(self.run("all", "--dry-run", *arguments))

    def overlay(self, settings: Mapping[str, object]) -> None:
        """Lay settings over the tiny recipe, in place of those laid over it before."""
        (self.folder / OVERLAY).write_text(yaml.safe_dump(dict(settings)))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file of the project."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new))

    def read_json(self, file: str) -> Any:
        """What a JSON file of the project holds."""
        return json.loads((self.folder / file).read_text())

    def results(self, pattern: str = "*") -> list[Path]:
        """Files below `results/` that match a pattern, sorted."""
        return sorted(path for path in (self.folder / "results").rglob(pattern) if path.is_file())

    def one(self, pattern: str) -> Path:
        """The first of those files."""
        return self.results(pattern)[0]


def environment() -> dict[str, str]:
    """The environment of the tests, one thread per process."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def job_counts(output: str) -> dict[str, int]:
    """Jobs by rule, from the table that Snakemake prints before it starts."""
    if "Nothing to be done" in output:
        return {}
    table = output.partition("Job stats:\n")[2].partition("\n\n")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    assert jobs.pop("total") == sum(jobs.values()), output
    return jobs


def flip_a_byte(path: Path) -> None:
    """Change one byte in the middle of a file; its length and modification time stay."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)
