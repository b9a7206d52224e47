"""The page of settings is up to date, complete, and says what the configuration does."""

import copy
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from cellsignal.config import labelling, learning, reporting, schema, screen
from cellsignal.config.base import Section
from cellsignal.config.load import check_config, read_config
from cellsignal.config.page import generated, written
from cellsignal.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))
PAGE = (ROOT / "recipes/SETTINGS.md").read_text()
COLUMNS = ["setting", "type", "default", "range", "what it does"]
FREE_MAPPINGS = ("epochs_factor", "cell_types", "backbone_options")  # keys of the user's own


def table_rows() -> dict[str, dict[str, str]]:
    """Key → row of the page's tables."""
    lines = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in PAGE.splitlines() if line.startswith("| `")]
    assert all(len(cells) == len(COLUMNS) for cells in lines)
    return {cells[0].strip("`"): dict(zip(COLUMNS, cells, strict=True)) for cells in lines}


def leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a whole configuration; models are `models[]`."""
    if isinstance(values, dict) and not key.endswith(FREE_MAPPINGS):
        for name, value in values.items():
            yield from leaves(value, f"{key}.{name}".lstrip("."))
    elif key == "models":
        for value in values:
            yield from leaves(value, "models[]")
    else:
        yield key, values


@pytest.mark.parametrize("name", ["SETTINGS.md", "settings.schema.json"])
def test_what_is_generated_is_up_to_date(name: str) -> None:
    assert generated(ROOT / "config.yaml")[name] == (ROOT / "recipes" / name).read_text(), (
        f"recipes/{name} is out of date: run `make settings`"
    )


def sections() -> list[type[BaseModel]]:
    modules = (schema, screen, learning, labelling, reporting)
    found = {
        item
        for module in modules
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, Section) and item is not Section
    }
    return sorted(found, key=lambda section: section.__name__)


@pytest.mark.parametrize("section", sections())
def test_every_setting_has_a_description(section: type[BaseModel]) -> None:
    assert section.__doc__
    properties = section.model_json_schema()["properties"]
    inner = {name for name, node in properties.items() if "$ref" in json.dumps(node)}
    undescribed = [name for name, node in properties.items() if name not in inner and not node.get("description")]
    assert undescribed == []


def test_every_setting_is_on_the_page_once() -> None:
    rows = table_rows()
    keys: set[str] = set()
    for recipe in RECIPES:  # simulated and table screens, with and without fine-tuning
        config = read_config([ROOT / "config.yaml", ROOT / "recipes" / recipe])
        keys |= {key for key, value in leaves(config.model_dump()) if value is not None or key in rows}
    assert keys == set(rows)
    assert len(re.findall(r"^\| `", PAGE, flags=re.MULTILINE)) == len(rows)


def test_every_default_is_what_holds_without_a_recipe() -> None:
    config = read_config([ROOT / "config.yaml"]).model_dump()
    rows = table_rows()
    checked = 0
    for key, value in leaves(config):
        if key in rows and not key.startswith("models[]"):
            assert yaml.safe_load(rows[key]["default"].strip("`")) == value, key
            checked += 1
    assert checked > 80


def test_the_defaults_of_a_model_are_those_of_the_schema() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["models"] = [{"name": "mine", "backbone": "resnet10t"}]
    rows = table_rows()
    for key, value in leaves(check_config(values).model_dump()["models"], "models"):
        if key in ("models[].name", "models[].backbone"):
            assert rows[key]["default"] == "required"
        else:
            assert yaml.safe_load(rows[key]["default"].strip("`")) == value, key


def put(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of the configuration with one value changed."""
    changed = copy.deepcopy(values)
    *parents, last = key.replace("models[]", "models.0").split(".")
    section: Any = changed
    for name in parents:
        section = section[int(name)] if name.isdecimal() else section.setdefault(name, {})
    section[last] = value
    return changed


def test_every_range_is_the_one_that_is_enforced() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    tried = 0
    for key, row in table_rows().items():
        bounds = re.findall(r"([≥>≤<]) (-?[0-9.]+)", row["range"])
        if not bounds or "list" in row["type"] or "pair" in row["type"] or "mapping" in row["type"]:
            continue
        if key.startswith(("screen.simulated", "screen.table")):
            continue
        for sign, bound in bounds:
            number: float = float(bound) if "whole" not in row["type"] else int(bound)
            beyond = {"≥": number - 1, ">": number, "≤": number + 1, "<": number}[sign]
            place = key.replace("[]", "[0]")
            with pytest.raises(BadInput) as caught:
                check_config(put(values, key, beyond))
            assert any(problem.startswith(f"{place}: ") for problem in caught.value.problems), (key, sign, bound)
            tried += 1
    assert tried > 60


def test_types_and_ranges_are_in_words() -> None:
    rows = table_rows()
    assert rows["folds.group"]["type"] == "`experiment` or `plate_id`"
    assert rows["predict.views"]["type"] == "`1`, `4` or `8`"
    assert rows["balance.temperature"]["type"] == "number or null"
    assert rows["models[].pretrained"]["type"] == "true or false or text"
    assert rows["train.schedule.steps"]["type"] == "list of pairs of numbers"
    assert rows["train.schedule.steps"]["default"] == "`[[100, 0.0001], [140, 1.0e-05]]`"
    assert rows["screen.simulated.cell_types"]["type"] == "mapping to pairs of whole numbers"
    assert rows["models[].margin"]["range"] == "≥ 0, < 1.5"
    assert rows["augment.scale"]["range"] == "each > 0"
    assert rows["screen.channels"]["range"] == "at least 1"


@pytest.mark.parametrize(
    "value",
    [True, None, 3, 0.25, 1e-5, 3e-7, 1e20, -2.5e-9, [[0.0, 1e-6], []], {"RPE": 0.5, "U2OS": [1, 2]}, "data/rxrx1"],
)
def test_values_are_written_as_yaml_reads_them(value: Any) -> None:
    assert yaml.safe_load(written(value)) == value


@pytest.mark.parametrize("recipe", RECIPES)
def test_editors_accept_config_yaml_and_every_recipe(recipe: str) -> None:
    rules = json.loads((ROOT / "recipes/settings.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    for file in (ROOT / "config.yaml", ROOT / "recipes" / recipe):
        jsonschema.validate(yaml.safe_load(file.read_text()), rules)


@pytest.mark.parametrize(
    "recipe",
    [
        {"train": {"weight_decai": 0.1}},
        {"train": {"rate": "3e-4"}},
        {"folds": {"count": 0}},
        {"models": [{"name": "a"}]},
    ],
)
def test_editors_refuse_what_the_workflow_refuses(recipe: dict[str, Any]) -> None:
    rules = json.loads((ROOT / "recipes/settings.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe, rules)
