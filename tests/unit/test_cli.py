"""The command `cellsignal`: its answers, exit statuses and output, and whose library it runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_project import RECIPE, Project

from cellsignal import cli
from cellsignal.errors import BadInput
from cellsignal.provenance.receipts import receipt_path

import running

CHECKOUT = Path(__file__).resolve().parents[2]
SUBMISSION = f"results/{RECIPE}/submission.csv"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("finished") / "project").run()


@pytest.fixture
def project(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the finished project, which the command is called in."""
    copied = finished.copy_to(tmp_path / "project")
    monkeypatch.chdir(copied.folder)
    return copied


def test_an_audit_that_passes_exits_0(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", SUBMISSION]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Audit of {SUBMISSION}: PASSED\n") and not err
    for line in ("intact: yes", "current: yes", "clean: yes", "· no two layouts are twins"):
        assert line in out


def test_an_audit_that_fails_exits_1_and_names_the_file(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.raw / "metadata.csv").write_text("edited")
    assert cli.main(["audit", SUBMISSION, "--threads", "1"]) == 1
    assert "    - metadata.csv: SHA-256" in capsys.readouterr().out


def test_an_audit_as_json_has_answers_evidence_and_verdict(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", SUBMISSION, "--quick", "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["passed"] and verdict["quick"] and verdict["intact"] == []
    assert set(verdict["evidence"]) == {"intact", "current", "clean"}
    assert verdict["priors"]["method"] == "assignment"


def test_raw_data_elsewhere_is_given(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(project.raw, project.folder / "disk")
    assert cli.main(["audit", SUBMISSION]) == 1
    assert cli.main(["audit", SUBMISSION, "--raw", "disk"]) == 0
    assert "the folder of raw data is not there" in capsys.readouterr().out


def test_the_present_code_is_that_of_the_checkout_around_or_named(
    project: Project, finished: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    assert cli.main(["audit", SUBMISSION, "--quick"]) == 1
    assert "cellsignal.loss: changed" in capsys.readouterr().out
    assert cli.main(["audit", SUBMISSION, "--quick", "--checkout", str(finished.folder)]) == 0
    assert cli.main(["audit", SUBMISSION, "--checkout", "results"]) == 2
    assert "results: not a checkout of cellsignal" in capsys.readouterr().err


def test_the_checkout_is_found_from_any_folder_in_it(tmp_path: Path, finished: Project) -> None:
    assert cli.find_checkout(None, finished.results / RECIPE) == finished.folder
    assert cli.find_checkout(None, tmp_path) == CHECKOUT


def test_an_installed_library_has_no_checkout_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "lib/site-packages/cellsignal/cli.py"))
    with pytest.raises(BadInput, match=r"no checkout of cellsignal around this folder; expected .* \(--checkout\)"):
        cli.find_checkout(None, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["audit", "nothing.csv"], "cellsignal audit: nothing.csv: has no receipt"),
        (["row", "C_1_B22"], "C_1_B22: no well of the screen; the nearest are C_1_B02"),
        (["row", "C_1_B02", "--results", "elsewhere"], "elsewhere: neither a submission nor scores with a receipt"),
        (["diff", SUBMISSION, "no/submission.csv"], "cellsignal diff: no/submission.csv: has no receipt"),
        (["crate", "nothing.csv", "crate"], "cellsignal crate: nothing.csv: has no receipt"),
    ],
)
def test_a_question_that_cannot_be_answered_exits_2_with_a_sentence(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert sentence in err and not out and "Traceback" not in err


@pytest.mark.parametrize("arguments", [[], ["audit"], ["audit", "a", "--threads", "0"], ["fly"], ["diff", "a"]])
def test_a_wrong_call_exits_2_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cellsignal")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in ("audit", "row", "diff", "crate"))


def test_a_row_is_told_as_text_and_as_json(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["row", "C_1_B02"]) == 0
    text = capsys.readouterr().out
    assert cli.main(["row", "C_1_B02", "--json"]) == 0
    story = json.loads(capsys.readouterr().out)
    assert "submitted as gene2; truth gene2, from the answers, by score (correct)" in text
    assert all(image["sha256"] in text for image in story["images"])  # a pipe is not squeezed into 80 columns
    assert [step["step"] in text for step in story["steps"]] == [True] * 6


def test_several_recipes_must_be_told_apart(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(project.results / RECIPE, project.results / "small/other")
    assert cli.main(["row", "C_1_B02"]) == 2
    assert (
        "results: 2 recipes with a submission or scores (results/small/other, results/small/tiny); name one with "
        "--results" in capsys.readouterr().err
    )
    assert cli.main(["row", "C_1_B02", "--results", f"results/{RECIPE}"]) == 0


def test_diff_exits_0_for_the_same_and_1_for_others(
    project: Project, finished: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["diff", SUBMISSION, str(finished.submission)]) == 0
    assert "The same receipt" in capsys.readouterr().out
    other = Project(tmp_path / "other", recipe="balance: {method: none}\n").run()
    assert cli.main(["diff", SUBMISSION, str(other.submission)]) == 1
    text = capsys.readouterr().out
    assert "setting balance.method: 'assignment' → 'none'; in balance_plates, pseudo_labels" in text
    assert "setting predict.views: 4 → 8; in predict/deep (no file of these stages differs)" in text
    assert cli.main(["diff", "--json", SUBMISSION, str(other.submission)]) == 1
    assert {origin["name"] for origin in json.loads(capsys.readouterr().out)["origins"]} >= {"balance.method"}


def test_a_crate_is_written_from_the_checkout(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(CHECKOUT / "Snakefile", project.folder)
    for name in ("LICENSE", "rules", "envs"):
        source = CHECKOUT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project.folder / name)
    assert cli.main(["crate", SUBMISSION, "crate"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "crate\n"
    described = json.loads((project.folder / "crate/ro-crate-metadata.json").read_text())
    assert any(entity["@id"].endswith("submission.csv") for entity in described["@graph"])


def test_a_bar_is_shown_on_a_terminal_only(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["audit", SUBMISSION]) == 0
    assert not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert cli.main(["audit", SUBMISSION]) == 0
    out, err = capsys.readouterr()
    assert "reading files" in err and "reading raw files" in err and out.startswith("Audit of")


def make_checkout(folder: Path) -> Path:
    """A checkout whose `cellsignal` says where it lies and what it was asked, with the environment of this one."""
    package = folder / "workflow_scripts/cellsignal"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text("import sys\nprint(__file__, sys.argv[1:])\n")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    shutil.copy(CHECKOUT / "workflow_scripts/bin/cellsignal", folder / ".venv/bin/cellsignal")
    return package / "cli.py"


def called(command: Path | str, here: Path, path: str = "") -> str:
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([command, "row", "a well"], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_command_runs_the_library_of_its_own_checkout(tmp_path: Path) -> None:
    one, other = make_checkout(tmp_path / "one"), make_checkout(tmp_path / "other one")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mine").symlink_to(tmp_path / "one/.venv/bin/cellsignal")
    expected = {library: f"{library} ['row', 'a well']" for library in (one, other)}
    here = tmp_path / "other one/workflow_scripts"  # a foreign library in the present folder is not picked up
    assert called(tmp_path / "one/.venv/bin/cellsignal", here) == expected[one]
    assert called(tmp_path / "other one/.venv/bin/cellsignal", tmp_path) == expected[other]
    assert called("cellsignal", here, path=str(tmp_path / "one/.venv/bin")) == expected[one]
    assert called(tmp_path / "bin/mine", here) == expected[one]


def test_a_checkout_that_borrows_an_environment_runs_its_own_library(tmp_path: Path) -> None:
    make_checkout(tmp_path / "lender")
    borrower = make_checkout(tmp_path / "borrower")
    shutil.rmtree(tmp_path / "borrower/.venv")
    (tmp_path / "borrower/.venv").symlink_to(tmp_path / "lender/.venv")
    assert called(tmp_path / "borrower/.venv/bin/cellsignal", tmp_path).startswith(str(borrower))


def test_no_installed_library_stands_before_those_of_other_checkouts() -> None:
    """Snakemake puts a script's folder last in sys.path: an installed library would win over a checkout's own."""
    look = "import importlib.util; print(importlib.util.find_spec('cellsignal'))"
    done = subprocess.run([sys.executable, "-I", "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


def test_a_job_refuses_another_library_than_the_one_beside_its_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake = SimpleNamespace(rule="score", log=[], scriptdir=str(tmp_path))
    with pytest.raises(SystemExit), running.run_without_stage(snakemake):
        raise AssertionError("the job was begun")
    assert f"score: the library was imported from {CHECKOUT}" in capsys.readouterr().err
    snakemake.scriptdir = str(CHECKOUT / "workflow_scripts")
    with running.run_without_stage(snakemake):
        begun = True
    assert begun


def test_the_console_script_that_pip_would_make_is_this_command() -> None:
    import tomllib

    project = tomllib.loads((CHECKOUT / "workflow_scripts/pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"cellsignal": "cellsignal.cli:main"}


def test_the_real_command_answers_from_another_folder(project: Project, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "cellsignal.cli", "audit", str(project.submission), "--quick"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "workflow_scripts")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1  # by the code of this checkout, which did not make it
    assert f"Audit of {project.submission}: FAILED (quick)" in done.stdout and not done.stderr
    receipt_path(project.submission).unlink()
    assert subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True).returncode == 2
