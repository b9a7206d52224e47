"""What users and machines do to a run while it goes on: in the end all is whole, or the run says why not."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import small_disk
from projects import PATIENCE, Project, environment

from cellsignal.provenance.audit import audit

DAY = 86_400
HELD = ("site_images", "embed_tsne", "confusion")  # rules whose jobs wait for the file `go`
WAIT = 'import time\n\nwhile not __import__("pathlib").Path("go").exists():\n    time.sleep(0.1)\n'


class LiveRun:
    """A run that makes three figures one after the other, and holds them until it is let go."""

    def __init__(self, project: Project) -> None:
        self.project = project
        for rule in HELD:
            script = project.folder / f"workflow_scripts/{rule}.py"
            script.write_text(script.read_text().replace("with run(", f"{WAIT}\nwith run("))
        figures = [project.one(f"figures/{rule}.*g").relative_to(project.folder).as_posix() for rule in HELD]
        self.targets = [*figures, "--cores", "1", "--keep-going"]
        self.run = subprocess.Popen(
            project.command(*self.targets, "--prioritize", figures[0]),
            cwd=project.folder,
            env=environment(),
            stdout=open(project.folder / "live.log", "w"),
            stderr=subprocess.STDOUT,
        )
        given_up = time.monotonic() + PATIENCE
        while "Figure: channel images" not in self.output() and time.monotonic() < given_up:
            assert self.run.poll() is None, self.output()
            time.sleep(0.1)

    def output(self) -> str:
        return (self.project.folder / "live.log").read_text()

    def planned(self) -> dict[Path, tuple[int, bytes]]:
        """What its jobs read of the planning."""
        files = self.project.results("stages/*.json") + self.project.results("stages/**/*.json")
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    def let_go(self) -> str:
        """Let the jobs work; the output of the run when it has ended."""
        (self.project.folder / "go").touch()
        self.run.wait(PATIENCE)
        return self.output()


def check(project: Project) -> None:
    """The submission must be intact, current and clean, and nothing be left to do."""
    library = project.folder / "workflow_scripts"
    verdict = audit(project.one("submission.csv"), None, library, checkout=project.folder)
    assert verdict.passed, verdict.as_text()
    assert project.planned() == {}


@pytest.fixture
def live(project: Project) -> Iterator[LiveRun]:
    run = LiveRun(project)
    try:
        yield run
    finally:
        run.run.kill()
        run.run.wait()


def test_a_run_goes_on_as_planned_whatever_is_edited_and_started_beside_it(live: LiveRun) -> None:
    project, before = live.project, live.planned()
    assert set(project.planned()) >= set(HELD)  # a dry run of the same plan is welcome
    assert "Directory cannot be locked" in project.fail(*live.targets)
    assert re.search("not unlocked: .* is in use by a running workflow, planned by", project.fail("--unlock"))

    project.edit("tiny.yaml", "example_sites: 2", "example_sites: 1")
    project.edit("tiny.yaml", "tsne_sites: 50", "tsne_sites: 60")
    module = "workflow_scripts/cellsignal/figures/confusion.py"
    (project.folder / module).write_text(f"{(project.folder / module).read_text()}\n\nCHANGED = True\n")
    for refused in (project.fail("all", "--dry-run"), project.fail(*live.targets), project.fail("--report", "r.html")):
        assert "is in use by a running workflow, planned by " in refused
        differences = re.findall(r"^  - (.+)$", refused, re.MULTILINE)
        assert differences == [
            "report.example_sites: 1, was 2", "report.tsne_sites: 60, was 50", "cellsignal.figures.confusion: changed"
        ]  # fmt: skip
    assert live.planned() == before

    output = live.let_go()
    assert live.run.returncode == 1
    assert "confusion: the code changed after this job was planned; run snakemake again" in output
    assert "  - cellsignal.figures.confusion: changed" in output
    for figure, name, value in (("site_images.png", "example_sites", 2), ("embed_tsne.png", "tsne_sites", 50)):
        receipt = json.loads(project.one(f"figures/{figure}.receipt.json").read_text())
        assert receipt["stage"]["settings"][name] == value
    assert not project.results("figures/confusion.svg")

    project.run("all")  # now with what was edited
    receipt = json.loads(project.one("figures/site_images.png.receipt.json").read_text())
    assert receipt["stage"]["settings"]["example_sites"] == 1
    check(project)


def test_a_full_disk_and_a_read_only_folder_are_told_and_a_plain_rerun_completes(project: Project) -> None:
    results = project.folder / "results"
    shutil.move(results, project.folder / "kept")
    store = "results/tiny_screen/plates/HUVEC-01_1.h5"
    with small_disk(results, megabytes=64) as disk:
        shutil.copytree(project.folder / "kept", results, symlinks=True, dirs_exist_ok=True)
        disk.fill(16 * 1024)
        script, edited = "workflow_scripts/pack_plate.py", "CHANGED = True\nwith run("
        project.edit(script, "with run(", edited)
        output = project.fail(store)
        assert f"pack_plate: {store}: cannot be written: No space left on device; it needs " in output
        assert "Make room, then run again" in output
        assert not (project.folder / store).exists() and not list(results.rglob("*.part*"))
        disk.make_room()
        assert project.planned()["pack_plate"] == 12  # this one, too, and what follows
        project.edit(script, edited, "with run(")
        project.run(store)  # now nothing else is out of date, and `all` would not ask for it
        check(project)

        disk.read_only()
        assert project.planned() == {}  # what is whole can be looked at
        project.overlay({"seed": 1})
        assert "stages: cannot be written, but " in project.fail("all", "--dry-run")
        disk.read_only(False)


def test_inputs_from_the_future_cost_no_job_its_work(project: Project) -> None:
    """Snakemake throws away what a job made, however long it took, where an input claims to be newer."""
    later = time.time() + DAY
    for path in [*project.results("plates/*"), *project.results("stages/**/*.json"), *project.results("sites*")]:
        os.utime(path, (later, later))
    figure = project.one("figures/site_images.png").relative_to(project.folder).as_posix()
    project.run(figure, "--force")
    assert "inputs were dated in the future" in project.one("logs/site_images.log").read_text()
    check(project)
