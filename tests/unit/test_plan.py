"""A planning never changes what the jobs of a running workflow read, and says what would have changed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import small_disk

from cellsignal.errors import BadInput, Fault
from cellsignal.files import read_json
from cellsignal.provenance.plan import Plan
from cellsignal.provenance.stages import Stage

CONFIG = {"train": {"rate": 0.1, "epochs": 3}, "models": [{"name": "deep", "margin": 0.1}]}
CODE = {"train_model.py": "a", "cellsignal.losses": "b"}
ROWS = {"A_1": "aa", "A_2": "bb"}


class Planning:
    """A planning of screen `s` and a recipe, as the rule files plan it."""

    def __init__(self, folder: Path, recipe: str = "r") -> None:
        self.screen, self.recipe = folder / "results/s/stages", folder / f"results/s/{recipe}/stages"
        self.plan = Plan([self.screen, self.recipe])

    def write(
        self,
        config: dict[str, Any] = CONFIG,
        code: dict[str, str] = CODE,
        rows: dict[str, str] = ROWS,
        **options: Any,
    ) -> "Planning":
        for plate, digest in rows.items():
            self.plan.add_stage(self.screen / f"pack_plate/{plate}.json", Stage("pack_plate", {"rows": digest}, {}))
        settings = {"train": config["train"]}
        self.plan.add_stage(self.recipe / "train_model.json", Stage("train_model", settings, code))
        self.plan.add_configuration(self.recipe / "plan.json", config)
        self.plan.add_unread(self.recipe / "sources.json", [str(config)])
        self.plan.write(**options)
        return self


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Planning]:
    """A planning whose process lives."""
    planning = Planning(tmp_path).write()
    yield planning
    planning.plan.release()


def refused(planning: Planning, **changes: Any) -> str:
    """The message of a planning that must be refused, and must change nothing."""
    folder = planning.screen.parents[2]
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    with pytest.raises(BadInput) as error:
        planning.write(**changes)
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before
    return str(error.value)


def with_rate(rate: float) -> dict[str, Any]:
    return CONFIG | {"train": {"rate": rate, "epochs": 3}}


def test_alone_a_planning_writes_what_is_new_and_touches_nothing_else(tmp_path: Path) -> None:
    first = Planning(tmp_path).write()
    first.plan.release()
    assert read_json(first.recipe / "plan.json") == CONFIG
    assert read_json(first.recipe / "train_model.json")["settings"] == {"train": CONFIG["train"]}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    second = Planning(tmp_path).write(with_rate(0.2))
    second.plan.release()
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"plan.json", "sources.json", "train_model.json"}
    assert len(before) == 5


def test_the_same_plan_beside_a_running_workflow_goes_on_and_writes_nothing(tmp_path: Path, running: Planning) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    Planning(tmp_path).write()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_setting_is_refused_by_name_with_who_planned_the_other(tmp_path: Path, running: Planning) -> None:
    message = refused(Planning(tmp_path), config=with_rate(0.2) | {"models": [{"name": "deep", "margin": 0.3}]})
    assert f"{running.recipe} is in use by a running workflow, planned by " in message
    assert f"process {os.getpid()}, at 20" in message
    assert message.endswith(": 2 problems\n  - models.deep.margin: 0.3, was 0.1\n  - train.rate: 0.2, was 0.1")


def test_changed_code_is_refused_by_its_module(tmp_path: Path, running: Planning) -> None:
    message = refused(Planning(tmp_path), code=CODE | {"cellsignal.losses": "c", "cellsignal.new": "d"})
    assert message.endswith(": 2 problems\n  - cellsignal.losses: changed\n  - cellsignal.new: new")


def test_raw_data_that_changed_is_refused_by_the_stage_files_that_would_change(
    tmp_path: Path, running: Planning
) -> None:
    message = refused(Planning(tmp_path), rows={"A_1": "cc", "A_2": "dd"})
    assert message.endswith(f"  - rows: changed, in {running.screen}/pack_plate/A_1.json and 1 more")


def test_another_recipe_may_run_beside_it_if_it_wants_the_same_of_the_screen(tmp_path: Path, running: Planning) -> None:
    other = Planning(tmp_path, "other").write(with_rate(0.2))
    assert read_json(other.recipe / "plan.json") == with_rate(0.2)
    other.plan.release()
    assert "rows: changed" in refused(Planning(tmp_path, "third"), rows={"A_1": "cc"})


def test_what_two_use_stays_until_both_have_ended(tmp_path: Path, running: Planning) -> None:
    second = Planning(tmp_path).write()
    running.plan.release()
    assert "train.rate: 0.2, was 0.1" in refused(Planning(tmp_path), config=with_rate(0.2))
    second.plan.release()
    third = Planning(tmp_path).write(with_rate(0.2))
    assert read_json(third.recipe / "plan.json") == with_rate(0.2)
    third.plan.release()


def test_a_stage_file_that_is_missing_is_written_even_beside_a_running_workflow(
    tmp_path: Path, running: Planning
) -> None:
    (running.screen / "pack_plate/A_2.json").unlink()
    Planning(tmp_path).write()
    assert (running.screen / "pack_plate/A_2.json").exists()


def test_unlocking_is_refused_while_a_workflow_runs(tmp_path: Path, running: Planning) -> None:
    message = refused(Planning(tmp_path), unlocking=True)
    assert message.startswith("not unlocked: ") and "in use by a running workflow" in message


def test_jobs_that_a_killed_run_left_in_a_queue_keep_their_plan(tmp_path: Path) -> None:
    asked = []

    def waiting() -> list[str]:
        asked.append("squeue")
        return ["12 (PENDING): rule_train_model", "13 (PENDING): rule_train_model"]

    for _ in range(2):  # of new files and of the same plan, no queue is asked
        Planning(tmp_path).write(waiting=waiting).plan.release()
    assert asked == []
    message = refused(Planning(tmp_path), config=with_rate(0.2), waiting=waiting)
    assert message.startswith("2 jobs of a killed run wait (12 (PENDING): rule_train_model …); this would change the")
    assert message.endswith("  - train.rate: 0.2, was 0.1")
    Planning(tmp_path).write(with_rate(0.2), waiting=list).plan.release()


def test_a_planner_that_was_killed_locks_nothing(tmp_path: Path) -> None:
    code = (
        f"from test_plan import *; p = Planning(Path({str(tmp_path)!r})).write(); print('planned', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "planned\n"
    assert f"process {process.pid}, at" in refused(Planning(tmp_path), config=with_rate(0.2))
    process.send_signal(signal.SIGKILL)
    process.wait()
    Planning(tmp_path).write(with_rate(0.2), unlocking=True).plan.release()


def test_results_that_cannot_be_written_can_be_looked_at_but_not_planned_otherwise(tmp_path: Path) -> None:
    with small_disk(tmp_path / "archive", megabytes=4) as disk:
        Planning(disk.folder).write().plan.release()
        disk.read_only()
        Planning(disk.folder).write()
        with pytest.raises(Fault, match=r"r/stages: cannot be written, but 2 files there would have to be"):
            Planning(disk.folder).write(with_rate(0.2))


def test_a_file_system_without_locks_gets_a_warning_and_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(lock: int, kind: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    planning = Planning(tmp_path).write()
    assert capsys.readouterr().err.count("no locks on this file system (Function not implemented)") == 1
    assert read_json(planning.recipe / "plan.json") == CONFIG
    planning.plan.release()
