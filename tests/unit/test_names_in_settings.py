"""Names of experiments, classes and cell types in the settings are held against the screen."""

from pathlib import Path
from typing import Any

import pytest
from layout_screen import layout_screen

from cellsignal.config.load import read_config
from cellsignal.names_in_settings import screen_name_problems

ROOT = Path(__file__).resolve().parents[2]
SCREEN = layout_screen()  # HUVEC-01 to -03 and RPE-01 to -03, the third of each in test; classes s0 to s21
NO_SPLIT = {"score": {"public_experiments": [], "left_out_experiments": []}}


def problems(**given: Any) -> list[str]:
    config = read_config([ROOT / "config.yaml"], NO_SPLIT | given)
    return screen_name_problems(config, SCREEN.sites, SCREEN.classes)


def test_names_that_the_screen_has_are_no_problem() -> None:
    score = {"public_experiments": ["HUVEC-03"], "left_out_experiments": ["RPE-03"]}
    assert problems(score=score, report={"explained_classes": ["s0", "s21"]}) == []


def test_every_name_that_the_screen_lacks_is_told_with_the_nearest() -> None:
    score = {"public_experiments": ["HUVEC-3", "HUVEC-01"], "left_out_experiments": ["RPE-04"]}
    found = problems(score=score, report={"explained_classes": ["s0", "S1"], "tsne_classes": ["s77"]})
    assert len(found) == 5
    first, train, left_out, label, drawn = found
    assert drawn.startswith("report.tsne_classes: s77 is no class of the screen")
    assert first.startswith("score.public_experiments: HUVEC-3 is no test experiment") and "HUVEC-03" in first
    assert train.startswith("score.public_experiments: HUVEC-01 is no test experiment")  # it is train's
    assert left_out.startswith("score.left_out_experiments: RPE-04") and "RPE-03" in left_out
    assert label.startswith("report.explained_classes: S1 is no class of the screen; expected one of its 22")


@pytest.mark.parametrize(("factors", "count"), [({"HUVEC": 0.5, "U2OS": 1.0}, 0), ({"A549": 1.0, "U2OS": 0.5}, 2)])
def test_factors_of_cell_types_may_be_inherited_but_one_must_count(factors: dict[str, float], count: int) -> None:
    config = read_config([ROOT / "config.yaml"], NO_SPLIT)
    assert config.finetune is not None
    config = config.model_copy(update={"finetune": config.finetune.model_copy(update={"epochs_factor": factors})})
    found = screen_name_problems(config, SCREEN.sites, SCREEN.classes)
    assert len(found) == count and all(problem.startswith("finetune.epochs_factor: ") for problem in found)
