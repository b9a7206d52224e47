"""Touch, edit, move or delete something and run again: exactly what it invalidates reruns, and nothing else."""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from expected import (
    DRAWN,
    END,
    FIGURES,
    FINETUNED,
    INDEXED,
    NORMALIZED,
    PACKED,
    PAGE,
    PREDICTED,
    RELABELLED,
    SCORED,
    SUBMITTED,
    TRAINED,
    Jobs,
)
from projects import SOURCES, TINY, Project

SCRIPTS = "workflow_scripts"
LIBRARY = f"{SCRIPTS}/cellsignal"
RECIPE = "results/tiny_screen/tiny"


def test_a_second_run_does_nothing(finished: Project) -> None:
    assert finished.planned() == {}


def test_touching_any_kind_of_file_reruns_nothing(project: Project) -> None:
    later = time.time() + 3600
    kinds = [
        *project.results("raw/images/**/*.png"),
        *project.results("raw/metadata/*.csv"),
        *project.results("plates/*.h5"),
        *project.results("sites.parquet"),
        *project.results("*.receipt.json"),
        *project.results("stages/**/*.json"),
        *project.results("weights.safetensors"),
        *project.results("ensembles/*.h5"),
        *(project.folder / "workflow_scripts").rglob("*.py"),
        *(project.folder / "rules").glob("*.smk"),
        *(project.folder / name for name in ("Snakefile", "config.yaml", "tiny.yaml")),
    ]
    assert len({path.suffix for path in kinds}) == 10
    # Snakemake compares no bytes of large files (above 1 MB); here weights are to count as large.
    large = 500_000
    assert max(path.stat().st_size for path in kinds) > large
    for path in kinds:
        os.utime(path, (later, later))
    assert project.planned("--max-checksum-file-size", str(large)) == {}


def test_clocks_that_are_wrong_or_coarse_rerun_nothing(project: Project) -> None:
    """Every file gets some time within two days of now, past or future, of a file system that counts by 2 s."""
    dice, now = random.Random(0), int(time.time())
    files = [path for path in project.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert len(files) > 500
    for path in files:
        moment = (now + dice.randrange(-2 * 86_400, 2 * 86_400)) // 2 * 2
        os.utime(path, (moment, moment))
    assert project.planned() == {}


def test_comments_docstrings_formatting_and_what_jobs_ask_of_a_machine_rerun_nothing(project: Project) -> None:
    for path in (project.folder / SCRIPTS).rglob("*.py"):
        text = path.read_text().replace('"""', '"""Put in other words: ', 1)
        path.write_text(f"{text}\n\n\n# a remark\n")
    for path in (*(project.folder / "rules").glob("*.smk"), project.folder / TINY, project.folder / "config.yaml"):
        path.write_text(f"# a remark\n\n{path.read_text()}")
    project.edit("rules/train.smk", "grown(NEEDS.train_mb)", "grown(30000)")
    project.edit("rules/train.smk", "Training {wildcards.model}", "Now training {wildcards.model}")
    project.edit(TINY, "  epochs: 1\n  batch_size: 16\n", "  batch_size:    16\n  epochs:   1\n")
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        (["index_sites"], INDEXED),
        (["pack_plate"], PACKED),
        (["normalization"], NORMALIZED),
        (["assign_folds"], TRAINED | {"assign_folds": 1}),
        (["train_model"], TRAINED),
        (["finetune_cell_type"], FINETUNED),
        (["predict"], PREDICTED),
        (
            ["explain_sites"],
            {"explain_sites": 1, "grad_cam": 1, "channel_attention": 1, "nearest_neighbours": 1} | PAGE,
        ),
        (["ensemble_teachers"], RELABELLED | {"ensemble_teachers": 3}),
        (["pseudo_labels"], RELABELLED),
        (["balance_plates"], SUBMITTED),
        (["submission"], {"submission": 1, "provenance_graph": 1} | SCORED),
        (["score"], SCORED),
        (sorted(FIGURES), DRAWN),
        (["audit", "crate"], END),  # a crate is no part of `all`
        (["running", "settings_page"], {}),
    ],
)
def test_a_changed_script_reruns_its_rule_and_what_follows(
    project: Project, scripts: list[str], expected: Jobs
) -> None:
    for name in scripts:
        change(project, f"{SCRIPTS}/{name}.py")
    assert project.planned() == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("losses.py", TRAINED),
        ("images.py", PACKED),
        ("figures/confusion.py", {"confusion": 1} | PAGE),
        ("figures/style.py", DRAWN),
        ("provenance/receipts.py", {"provenance_graph": 1} | END),  # which are read there; written by every job
    ],
)
def test_a_changed_module_reruns_what_runs_it_and_what_follows(
    project: Project, module: str, expected: Jobs
) -> None:  # every module: tests/unit/test_modules_and_rules.py
    change(project, f"{LIBRARY}/{module}")
    assert project.planned() == expected


def change(project: Project, file: str) -> None:
    """Change what a file of code does, in a way that harms nothing."""
    path = project.folder / file
    path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")


def test_a_job_that_writes_the_same_bytes_again_invalidates_nothing(project: Project) -> None:
    store = project.one("plates/*.h5")
    before, content = store.stat().st_mtime_ns, store.read_bytes()
    project.run(str(store.relative_to(project.folder)), "--force")
    assert store.stat().st_mtime_ns > before and store.read_bytes() == content
    assert project.planned() == {}


def test_a_rerun_changes_the_receipts_of_what_it_made_and_no_other(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.results("*.receipt.json")}
    change(project, f"{LIBRARY}/figures/confusion.py")
    project.run("all")
    changed = [path.name for path in before if path.read_bytes() != before[path]]
    assert sorted(changed) == ["confusion.svg.receipt.json", "overview.html.receipt.json"]
    assert project.planned() == {}


def test_deleting_what_nothing_needs_any_more_reruns_nothing(project: Project) -> None:
    results = project.folder / "results/tiny_screen"
    for name in ("raw/images", "plates", "normalization", "tiny/models", "tiny/predictions", "tiny/rounds"):
        folder = results / name
        for path in [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".receipt.json")]:
            path.unlink()
    for name in ("logs", "benchmarks", "tiny/logs", "tiny/benchmarks"):
        shutil.rmtree(results / name)
    assert {path.parent.name for path in project.results("*.h5")} == {"ensembles", "tiny"}  # explanations.h5
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        ("figures/confusion.svg", {"confusion": 1} | PAGE),
        ("scores.json", SCORED),
        ("submission.csv", {"submission": 1, "provenance_graph": 1} | SCORED),
        ("audit.json", END),
    ],
)
def test_deleting_a_result_makes_it_again(project: Project, deleted: str, expected: Jobs) -> None:
    (project.folder / RECIPE / deleted).unlink()
    assert project.planned() == expected


@pytest.mark.parametrize("records", ["kept", "lost"])
def test_a_fresh_clone_beside_kept_results_reruns_nothing(project: Project, tmp_path: Path, records: str) -> None:
    git(project.folder, "init", "--quiet")
    git(project.folder, "add", *SOURCES, TINY)
    git(project.folder, "-c", "user.name=A", "-c", "user.email=a@lab.org", "commit", "--quiet", "-m", "All")
    git(tmp_path, "clone", "--quiet", str(project.folder), "clone")
    clone = tmp_path / "clone"
    if records == "lost":  # only the results were kept, with their times, as `mv` and `rsync -a` do
        shutil.move(project.folder / "results", clone / "results")
    else:  # both were copied, and every file has a new time
        for name in ("results", ".snakemake"):
            shutil.copytree(project.folder / name, clone / name, copy_function=shutil.copyfile)
    assert not (clone / "results/tiny_screen/raw").is_symlink()
    assert Project(clone).planned() == {}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)
