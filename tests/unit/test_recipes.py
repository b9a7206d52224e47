"""Every recipe is a valid overlay with a header that says what it is, and those of published systems are theirs."""

import re
from pathlib import Path

import pytest
import yaml

from cellsignal.config.load import read_config
from cellsignal.config.schema import Config

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def read(name: str = "") -> Config:
    return read_config([ROOT / "config.yaml", *([ROOT / "recipes" / name] if name else [])])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_valid_and_opens_with_what_it_reproduces_takes_and_is_run_by(path: Path) -> None:
    text = path.read_text()
    header = text.partition("\nrecipe:")[0]
    for entry in ("# Reproduces: ", "# Takes: ", "# Run: "):
        assert entry in header
    assert f"recipes/{path.name}" in header
    assert read(path.name).recipe == path.stem


def test_deepnoise_is_config_yaml() -> None:
    assert read("deepnoise.yaml") == read()


def test_recipes_of_one_screen_agree_about_it() -> None:
    """They share its plates: another setting would make them anew for each in turn."""
    screens: dict[str, object] = {}
    for path in RECIPES:
        screen = yaml.safe_load(path.read_text()).get("screen")
        if screen:
            assert screens.setdefault(screen["name"], screen) == screen, path.name


def test_the_first_place_is_as_released() -> None:
    recipe = read("first_place.yaml")
    (model,) = recipe.models
    assert (model.backbone, model.embedding, model.neck, model.cell_type) == ("densenet161", 1024, "mlp", True)
    assert (model.head, model.composite, model.scale, model.margin) == ("composite", [0.8, 0.1], 30.0, 0.5)
    assert recipe.train.batch_size * recipe.train.accumulate == 48 and recipe.train.epochs == 90
    assert recipe.finetune is not None and not recipe.finetune.by_cell_type
    rounds = recipe.pseudo_labels
    assert rounds.rounds * recipe.finetune.optimization.epochs == 40
    assert rounds.share == 0.4 and rounds.share_step == pytest.approx(10 * 0.015)


def test_the_explained_model_is_the_papers() -> None:
    recipe = read("explain.yaml")
    (model,) = recipe.models
    assert (model.backbone, model.backbone_options, model.embedding) == (
        "densenet161",
        {"memory_efficient": True},
        1024,
    )
    assert (model.head, model.composite, model.scale, model.margin) == ("composite", [0.8, 0.2], 30.0, 0.5)
    assert model.cell_type and recipe.augment.cutmix == 1.0 and recipe.pseudo_labels.ramp is not None


def test_the_capstones_models_and_schedule_are_its_own() -> None:
    recipe = read("capstone.yaml")
    assert [model.backbone for model in recipe.models] == ["resnet50", "resnet18", "capstone_cnn"]
    assert [model.pretrained for model in recipe.models] == [True, True, False]
    assert {model.normalization for model in recipe.models} == {"none"} and not recipe.models[2].head_bias
    changed = {key: value for key, value in recipe.augment.model_dump().items() if value}
    assert changed == {} and recipe.predict.views == 1  # no further transformation
    for step in (recipe.train, recipe.finetune and recipe.finetune.optimization):
        assert step and (step.optimizer, step.rate, step.schedule.kind) == ("adam", 3e-4, "exponential")
        assert step.schedule.gamma == 0.95
        assert step.epochs == 15 and step.select == "best" and step.patience is not None


def test_the_capstones_other_setting_is_the_one_of_its_header() -> None:
    (command,) = re.findall(r"--config recipe=capstone_fast .*}}}'", (ROOT / "recipes/capstone.yaml").read_text(), re.S)
    given = dict(re.findall(r"(\w+)='(.*?)'", command))
    recipe = read_config(
        [ROOT / "config.yaml", ROOT / "recipes/capstone.yaml"],
        {key: yaml.safe_load(text) for key, text in given.items()},
    )
    for step in (recipe.train, recipe.finetune and recipe.finetune.optimization):
        assert step and (step.rate, step.schedule.kind, step.schedule.gamma) == (6e-4, "exponential", 0.9)


def test_deepnoises_stage_2_is_its_code() -> None:
    """SGD without momentum; three views; EMA steps at epochs; pseudo-labels weak, without margin, each by its count."""
    recipe = read()
    assert recipe.finetune is not None
    second = recipe.finetune.optimization
    assert (second.optimizer, second.momentum, second.rate, second.weight_decay) == ("sgd", 0.0, 0.1, 2e-4)
    assert (recipe.finetune.mean_teacher.consistency, recipe.finetune.mean_teacher.ramp_epochs) == (100.0, 5)
    assert recipe.finetune.mean_teacher.decay_epochs == [[0, 0.5], [1, 0.9], [10, 0.99], [20, 0.999]]
    labels = recipe.pseudo_labels
    assert (labels.view, labels.start_epochs, labels.weight, labels.supervised_weight) == ("weak", 20, 0.05, 0.95)


@pytest.mark.parametrize("name", ["explain.yaml", "explain_small.yaml"])
def test_the_explained_models_never_see_controls(name: str) -> None:
    """So that controls are junk classes of the template matrices, and a negative control is unknown."""
    recipe = read(name)
    assert recipe.finetune is not None
    assert not recipe.train.controls and not recipe.finetune.optimization.controls
    assert recipe.pseudo_labels.average == "each" and recipe.pseudo_labels.view == "same"
