"""A hand-made project of three jobs: it passes the audit, and every kind of tampering is named."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cellsignal.errors import BadInput
from cellsignal.files import sha256_text
from cellsignal.provenance.audit import audit
from cellsignal.provenance.code import code_digests
from cellsignal.provenance.job import Job
from cellsignal.provenance.receipts import read_receipt, receipt_path
from cellsignal.provenance.stages import read_stage, write_stage

SITES = pd.DataFrame(
    {
        "site_id": ["A_1_B02_1", "A_1_B03_1", "B_1_B02_1", "C_1_B02_1"],
        "well_id": ["A_1_B02", "A_1_B03", "B_1_B02", "C_1_B02"],
        "experiment": ["A", "A", "B", "C"],
        "plate_id": ["A_1", "A_1", "B_1", "C_1"],
        "dataset": ["train", "train", "train", "test"],
        "well_type": "treatment",
        "sirna": [0, 1, 0, -1],
    }
)
FOLDS = pd.DataFrame({"group": ["A", "B"], "fold": [0, 1], "twin_of": ["", ""]})
ROWS = pd.DataFrame({"site_id": ["A_1_B02_1", "A_1_B03_1"], "role": "train", "sirna": [0, 1], "weight": 1.0})


class Project:
    """Raw files, code and results in one folder, made by three small jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"
        self.raw, self.library = folder / "raw", folder / "code"
        (self.library / "cellsignal").mkdir(parents=True)
        (self.library / "cellsignal/__init__.py").write_text("")
        (self.library / "cellsignal/loss.py").write_text("def loss(x):\n    return x\n")
        self.raw.mkdir()
        (self.raw / "image.png").write_bytes(b"pixels")

    def make(
        self, rule: str, inputs: list[str], outputs: dict[str, pd.DataFrame | str], raw: bool = False, **wildcards: str
    ) -> None:
        """Run one job: `inputs` are paths under results, read with their receipts."""
        script = self.library / f"{rule}.py"
        script.write_text("from cellsignal.loss import loss\n\nloss(1)\n")
        stage = self.results / f"stages/{rule}.json"
        write_stage(stage, rule, {"seed": 1}, code_digests(script, self.library))
        paths = [self.results / name for name in inputs]
        main, *_ = outputs
        job = Job(
            rule=rule,
            script=script,
            library=self.library,
            results=self.results,
            stage=stage,
            inputs=[*{receipt_of(self.results, path) for path in paths}, *paths],
            outputs=[self.results / name for name in outputs],
            receipt=receipt_path(self.results / main),
            wildcards=wildcards,
        )
        for name, content in outputs.items():
            path = self.results / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pd.DataFrame):
                content.to_parquet(path)
            else:
                path.write_text(content)
        if raw:
            job.read_raw({"image.png": sha256_text("pixels")})
        job.finish()

    def run(self, rows: pd.DataFrame = ROWS, train_reads: tuple[str, ...] = ()) -> "Project":
        self.make("index_sites", [], {"sites.parquet": SITES, "answers.parquet": SITES[:1]}, raw=True)
        self.make("assign_folds", ["sites.parquet"], {"folds.parquet": FOLDS})
        self.make(
            "train_model",
            ["sites.parquet", "folds.parquet", *train_reads],
            {"weights.safetensors": "weights", "rows.parquet": rows},
            fold="1",
        )
        self.make("submission", ["weights.safetensors"], {"submission.csv": "id_code,sirna\n"})
        return self

    def audit(self, folder: Path | None = None):
        folder = folder or self.folder
        return audit(folder / "results/submission.csv", folder / "raw", folder / "code")


def receipt_of(results: Path, path: Path) -> Path:
    """The receipt that lists an output (the first output of its job names it)."""
    for receipt in results.rglob("*.receipt.json"):
        if path.relative_to(results).as_posix() in read_receipt(receipt).outputs:
            return receipt
    raise AssertionError(f"no receipt lists {path}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project").run()


def test_an_untouched_project_passes(project: Project) -> None:
    verdict = project.audit()
    assert verdict.passed, verdict.as_text()
    assert verdict.checked == {"receipts": 4, "files": 6, "raw files": 1}


def test_a_moved_project_still_verifies(project: Project, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere/archive"
    shutil.move(project.folder, moved)
    assert project.audit(moved).passed


@pytest.mark.parametrize(
    "name", ["sites.parquet", "folds.parquet", "weights.safetensors", "rows.parquet", "submission.csv"]
)
def test_a_changed_artefact_is_named_with_its_way_to_the_submission(project: Project, name: str) -> None:
    path = project.results / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    problems = [problem for problem in project.audit().intact if problem.startswith(f"{name}: SHA-256")]
    assert len(problems) == 1 and problems[0].endswith("submission.csv.receipt.json)")


def test_a_changed_raw_image_is_named(project: Project) -> None:
    (project.raw / "image.png").write_bytes(b"pixelz")
    assert [problem.split(":")[0] for problem in project.audit().intact] == ["image.png"]


def test_a_missing_artefact_is_named(project: Project) -> None:
    (project.results / "folds.parquet").unlink()
    assert any(problem.startswith("folds.parquet: missing") for problem in project.audit().intact)


def test_swapped_receipts_are_found(project: Project) -> None:
    one, two = project.results / "folds.parquet.receipt.json", project.results / "sites.parquet.receipt.json"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert any("moved or swapped" in problem for problem in project.audit().intact)


def test_an_edited_receipt_breaks_the_edge_above_it(project: Project) -> None:
    path = project.results / "folds.parquet.receipt.json"
    content = json.loads(path.read_text())
    content["seed"] = 2
    path.write_text(json.dumps(content))
    assert any("folds.parquet.receipt.json: not the receipt that" in problem for problem in project.audit().intact)


def test_code_changed_after_the_run_is_not_current(project: Project) -> None:
    (project.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    verdict = project.audit()
    assert not verdict.intact
    assert "stages/train_model.json: cellsignal.loss: changed" in verdict.current


def test_a_comment_after_the_run_is_still_current(project: Project) -> None:
    (project.library / "cellsignal/loss.py").write_text("# a note\ndef loss(x):\n    return x\n")
    assert project.audit().passed


def test_settings_changed_after_the_run_are_not_current(project: Project) -> None:
    stage = read_stage(project.results / "stages/train_model.json")
    write_stage(project.results / "stages/train_model.json", "train_model", {"seed": 2}, stage.code)
    verdict = project.audit()
    assert verdict.current == ["stages/train_model.json: seed: 2, was 1"]


def test_code_planned_anew_after_the_run_is_named_by_module(project: Project) -> None:
    (project.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    script = project.library / "train_model.py"
    write_stage(
        project.results / "stages/train_model.json", "train_model", {"seed": 1}, code_digests(script, project.library)
    )
    assert "stages/train_model.json: cellsignal.loss: changed" in project.audit().current


def test_a_stage_file_edited_by_hand_is_not_current(project: Project) -> None:
    path = project.results / "stages/train_model.json"
    path.write_text(path.read_text() + "\n")
    (problem,) = project.audit().current
    assert problem.startswith("stages/train_model.json: not the file that the job read")


def test_training_on_a_held_out_experiment_is_a_leak(tmp_path: Path) -> None:
    rows = pd.DataFrame({"site_id": ["B_1_B02_1"], "role": "train", "sirna": [0], "weight": 1.0})
    assert any("held-out experiment B" in problem for problem in Project(tmp_path).run(rows).audit().clean)


def test_training_on_a_test_well_is_a_leak(tmp_path: Path) -> None:
    rows = pd.DataFrame({"site_id": ["C_1_B02_1"], "role": "train", "sirna": [3], "weight": 1.0})
    assert any("1 test sites were trained on" in problem for problem in Project(tmp_path).run(rows).audit().clean)


def test_answers_read_by_a_training_are_a_leak(tmp_path: Path) -> None:
    verdict = Project(tmp_path).run(train_reads=("answers.parquet",)).audit()
    assert any("train_model read answers.parquet" in problem for problem in verdict.clean)


def test_a_job_refuses_when_its_code_changed_after_planning(project: Project) -> None:
    stage = project.results / "stages/submission.json"
    (project.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    with pytest.raises(BadInput, match=r"cellsignal\.loss: changed"):
        Job("submission", project.library / "submission.py", project.library, project.results, stage, [], [], "r", {})


def test_a_job_refuses_an_input_that_no_receipt_lists(project: Project) -> None:
    stray = project.results / "stray.parquet"
    stray.write_text("x")
    script, stage = project.library / "submission.py", project.results / "stages/submission.json"
    with pytest.raises(BadInput, match=r"stray\.parquet: read without a receipt"):
        Job("submission", script, project.library, project.results, stage, [stray], [], "r", {})


def test_the_same_bytes_give_the_same_receipt(project: Project, tmp_path: Path) -> None:
    again = Project(tmp_path / "again").run()
    for receipt in sorted(project.results.rglob("*.receipt.json")):
        assert receipt.read_bytes() == (again.results / receipt.relative_to(project.results)).read_bytes()
