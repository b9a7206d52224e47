"""Every recipe is a valid overlay with a header that says what it is, and those of published systems are theirs."""

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
    for step in (recipe.train, recipe.finetune and recipe.finetune.optimization):
        assert step and (step.optimizer, step.rate, step.schedule.kind) == ("adam", 3e-4, "exponential")
        assert step.epochs == 15 and step.select == "best" and step.patience is not None
