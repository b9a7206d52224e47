"""What a wrong configuration gets: every problem at once, naming file, key and what to write instead."""

from pathlib import Path

import pytest
import yaml

from cellsignal.config.load import check_config, read_config
from cellsignal.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def problems_of(tmp_path: Path, **changes: object) -> list[str]:
    """Problems of an overlay on config.yaml that holds `changes`."""
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump(changes))
    with pytest.raises(BadInput) as caught:
        read_config([ROOT / "config.yaml", overlay])
    return [problem.replace(f"{overlay}: ", "mine.yaml: ") for problem in caught.value.problems]


@pytest.mark.parametrize("recipe", sorted(path.name for path in (ROOT / "recipes").glob("*.yaml")))
def test_every_recipe_is_valid(recipe: str) -> None:
    config = read_config([ROOT / "config.yaml", ROOT / "recipes" / recipe])
    assert config.recipe == Path(recipe).stem


def test_config_yaml_is_the_published_deepnoise() -> None:
    config = read_config([ROOT / "config.yaml"])
    assert (config.train.epochs, config.train.batch_size, config.train.rate) == (160, 64, 3e-4)
    assert config.train.schedule.steps == [[100, 1e-4], [140, 1e-5]]
    assert [(model.scale, model.margin) for model in config.models] == [(30.0, 0.1)] * 2
    assert config.finetune is not None and config.finetune.epochs_factor["HUVEC"] == 0.25


def test_an_unknown_key_names_the_nearest_real_one(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, train={"weight_decai": 0.1})
    assert problem == "mine.yaml: train.weight_decai: unknown key (did you mean `weight_decay`?)"


def test_an_unknown_key_is_looked_for_in_other_sections(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, weight_decay=0.1)
    assert "did you mean `train.weight_decay`" in problem or "weight_decay`?" in problem


def test_a_value_out_of_range_is_named_with_its_range(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, folds={"count": 1})
    assert problem.startswith("mine.yaml: folds.count:") and "2" in problem and problem.endswith("found 1")


def test_3e_4_read_as_text_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("train: {rate: 3e-4}\n")
    with pytest.raises(BadInput, match=r"mine.yaml: train.rate: '3e-4' is text.*write 3.0e-4"):
        read_config([ROOT / "config.yaml", overlay])


@pytest.mark.parametrize(("written", "better"), [("3e-4", "3.0e-4"), ("3.5e4", "3.5e+4"), ("12", "12")])
def test_the_suggested_spelling_is_a_number_in_yaml(written: str, better: str) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["train"]["rate"] = written
    with pytest.raises(BadInput, match=f"write {better.replace('+', '.')}$"):
        check_config(values)
    assert isinstance(yaml.safe_load(better), float | int)
    assert float(yaml.safe_load(better)) == float(written)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    found = problems_of(tmp_path, seed=-1, train={"epochs": 0, "optimizer": "adamx"}, folds={"cuont": 5})
    assert len(found) == 4


def test_a_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, recipe="../elsewhere")
    assert problem.startswith("mine.yaml: recipe:") and "../elsewhere" in problem


def test_repeated_model_names_are_refused(tmp_path: Path) -> None:
    model = {"name": "a", "backbone": "resnet10t"}
    (problem,) = problems_of(tmp_path, models=[model, model])
    assert "a named more than once" in problem


def test_a_table_screen_without_its_table_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, screen={"kind": "table"})
    assert problem.startswith("screen.table: missing")


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("train: [unclosed\n")
    with pytest.raises(BadInput, match=r"broken.yaml: cannot be read as YAML"):
        read_config([broken])
