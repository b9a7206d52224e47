"""Every job of every recipe has its inputs made by somebody, and what is strictly out of fold stays so."""

from pathlib import Path
from typing import Any

import pytest

from cellsignal.ablation import SCHEMES
from cellsignal.config.load import read_config
from cellsignal.trainings import Job, Trainings, unmade

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))
CELL_TYPES = ["HEPG2", "HUVEC", "RPE", "U2OS"]


def trainings(recipe: str = "deepnoise.yaml", test: bool = True, **given: Any) -> Trainings:
    config = read_config([ROOT / "config.yaml", ROOT / "recipes" / recipe], given)
    return Trainings(config, CELL_TYPES, CELL_TYPES if test else [], list(SCHEMES))


@pytest.mark.parametrize("teachers", ["all", "own_fold"])
@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("recipe", RECIPES)
def test_somebody_makes_what_each_job_needs_once(recipe: str, test: bool, teachers: str) -> None:
    known = trainings(recipe, test, pseudo_labels={"teachers": teachers})
    assert unmade(known) == []
    for ablation in (True, False):
        made = [path for job in known.jobs(ablation) for path in job.makes]
        assert len(made) == len(set(made))


def test_a_job_whose_input_nobody_makes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = trainings()
    monkeypatch.setattr(Trainings, "parent", lambda *_: "models/nobody.safetensors")
    assert any("nothing makes models/nobody.safetensors" in problem for problem in unmade(known))


def count(jobs: list[Job], rule: str) -> int:
    return sum(job.name.split()[0] == rule for job in jobs)


def test_deepnoise_has_as_many_jobs_as_its_numbers_say() -> None:
    jobs = list(trainings().jobs(ablation=False))
    assert count(jobs, "train_model") == 2 * 5
    assert count(jobs, "finetune_cell_type") == count(jobs, "predict") == 2 * 5 * 4 * 3
    assert count(jobs, "ensemble_teachers") == 3 and count(jobs, "pseudo_labels") == 2


def behind(jobs: list[Job], path: str) -> set[str]:
    """All that a file is made from."""
    maker = {made: job for job in jobs for made in job.makes}
    found: set[str] = set()
    waiting = [path]
    while waiting:
        job = maker.get(waiting.pop())
        new = set(job.needs if job else []) - found
        found |= new
        waiting += sorted(new)
    return found


@pytest.mark.parametrize(("teachers", "strict"), [("all", False), ("own_fold", True)])
def test_with_its_own_teachers_nothing_of_another_fold_is_behind_a_folds_models(teachers: str, strict: bool) -> None:
    """Another fold's models learned the labels that this one holds out."""
    known = trainings(pseudo_labels={"teachers": teachers})
    jobs = list(known.jobs())
    models = [path for path in behind(jobs, known.teacher("xception", 3, "U2OS", 2)) if path.startswith("models/")]
    assert models and all("/fold3/" in path for path in models) == strict
    assert known.strict == ("round2" if strict else "round0")
    before = [path for path in behind(jobs, "ensembles/round0.h5") if "pseudo_labels" in path]
    assert before == []
