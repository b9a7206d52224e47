"""Change something and run again: exactly what it invalidates reruns, and nothing else."""

import os
import random
import time

import pytest
from projects import Project

LIBRARY = "workflow_scripts/cellsignal"
Jobs = dict[str, int]

END = {"audit_verdict": 1, "all": 1}
SCORED = {"score": 1, "score_ladder": 1, "accuracy_breakdown": 1, "confusion": 1, "plate_map": 1} | END
SUBMITTED = {"balance_plates": 1, "submission": 1, "provenance_graph": 1} | SCORED
LAST_ROUND = {
    "finetune_cell_type": 2,  # 1 model × 2 folds
    "predict": 2,
    "ensemble_teachers": 1,
    "training_curves": 1,
    "embed_tsne": 1,
} | SUBMITTED
RELABELLED = {"pseudo_labels": 1} | LAST_ROUND
TRAINED = RELABELLED | {
    "train_model": 4,  # 2 models × 2 folds
    "finetune_cell_type": 4,  # 1 model × 2 folds × 2 rounds
    "predict": 6,
    "ensemble_teachers": 3,
    "grad_cam": 1,
}
FIGURES = {
    "site_images", "normalization_effect", "training_curves", "score_ladder", "accuracy_breakdown", "confusion",
    "plate_map", "embed_tsne", "grad_cam", "provenance_graph",
}  # fmt: skip
EVERYTHING_FROM_THE_STORES = TRAINED | dict.fromkeys(FIGURES, 1) | {"normalization": 1}


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


def test_comments_docstrings_and_formatting_rerun_nothing(project: Project) -> None:
    for path in (project.folder / "workflow_scripts").rglob("*.py"):
        text = path.read_text().replace('"""', '"""Put in other words: ', 1)
        path.write_text(f"{text}\n\n\n# a remark\n")
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("losses.py", TRAINED),
        ("figures/confusion.py", {"confusion": 1} | END),
        ("figures/style.py", dict.fromkeys(FIGURES, 1) | END),
        ("images.py", {"pack_plate": 12} | EVERYTHING_FROM_THE_STORES),
        ("submission.py", {"submission": 1, "provenance_graph": 1} | SCORED),
        ("provenance/receipts.py", {}),  # records what happened, and changes no result
    ],
)
def test_changed_code_reruns_what_runs_it_and_what_follows(project: Project, module: str, expected: Jobs) -> None:
    path = project.folder / LIBRARY / module
    path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")
    assert project.planned() == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"seed": 1}, TRAINED | {"site_images": 1}),
        ({"folds": {"seed": 1}}, TRAINED | {"assign_folds": 1}),
        ({"train": {"weight_decay": 0.1}}, TRAINED),
        ({"predict": {"views": 4}}, RELABELLED | {"predict": 6, "ensemble_teachers": 3}),
        ({"balance": {"method": "uniqueness"}}, RELABELLED),
        ({"pseudo_labels": {"weight": 0.1}}, RELABELLED),
        ({"pseudo_labels": {"rounds": 2}}, RELABELLED),  # of the new round; the earlier ones stay
        ({"score": {"public_experiments": ["HUVEC-03"]}}, SCORED),
        ({"report": {"tsne_sites": 60}}, {"embed_tsne": 1} | END),
        ({"report": {"grad_cam_sites": 3}}, {"grad_cam": 1} | END),
    ],
)
def test_a_changed_setting_reruns_what_reads_it_and_what_follows(
    project: Project, settings: dict[str, object], expected: Jobs
) -> None:
    project.overlay(settings)
    assert project.planned() == expected


def test_settings_that_change_no_result_rerun_nothing(project: Project) -> None:
    project.overlay(
        {
            "train": {"checkpoint_minutes": 1},
            "finetune": {"optimization": {"checkpoint_minutes": 1}, "epochs_factor": {"RPE": 0.5}},  # has no RPE
        }
    )
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("margin: 0.1", "margin: 0.2", TRAINED | {"train_model": 2, "predict": 4, "ensemble_teachers": 2}),
        (
            "normalization: cell_type",  # of the reference, which the submission does not know
            "normalization: site",
            {"train_model": 2, "predict": 2, "ensemble_teachers": 1, "training_curves": 1} | SCORED,
        ),
        (
            "ensemble: false",  # it is fine-tuned now and votes, from the weights of stage 1 that it has
            "ensemble: true",
            RELABELLED | {"finetune_cell_type": 6, "predict": 6, "ensemble_teachers": 2},
        ),
    ],
)
def test_one_models_settings_rerun_its_own_trainings(project: Project, old: str, new: str, expected: Jobs) -> None:
    project.edit("tiny.yaml", old, new)
    assert project.planned() == expected


def test_another_recipe_shares_what_depends_on_the_data_alone(project: Project) -> None:
    project.overlay({"recipe": "other"})
    everything_after = EVERYTHING_FROM_THE_STORES | {"assign_folds": 1}
    del everything_after["normalization"]
    assert project.planned() == everything_after


def test_planning_a_change_and_taking_it_back_reruns_nothing(project: Project) -> None:
    project.overlay({"seed": 1})
    assert project.planned() != {}
    project.overlay({})
    assert project.planned() == {}


def test_a_job_that_writes_the_same_bytes_again_invalidates_nothing(project: Project) -> None:
    store = project.one("plates/*.h5")
    before, content = store.stat().st_mtime_ns, store.read_bytes()
    project.run(str(store.relative_to(project.folder)), "--force")
    assert store.stat().st_mtime_ns > before and store.read_bytes() == content
    assert project.planned() == {}


def test_a_rerun_changes_the_receipts_of_what_it_made_and_no_other(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.results("*.receipt.json")}
    path = project.folder / LIBRARY / "figures/confusion.py"
    path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")
    project.run("all")
    changed = [path.name for path in before if path.read_bytes() != before[path]]
    assert changed == ["confusion.svg.receipt.json"]
    assert project.planned() == {}
