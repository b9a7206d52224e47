"""The page of all settings and the JSON schema of recipes, both made from the typed configuration."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cellsignal.config.load import sections_in
from cellsignal.config.schema import Config
from cellsignal.files import canonical_json

INTRODUCTION = """\
# Every setting

Generated from `workflow_scripts/cellsignal/config/` and `config.yaml` by `make settings`; edit those, not this page.

A recipe is a YAML file laid over `config.yaml`: mappings merge, lists are replaced as a whole. The default is what
holds where a recipe says nothing: the value in `config.yaml`, else the schema's. Write numbers with an exponent as
`3.0e-4`. With `# yaml-language-server: $schema=settings.schema.json` as the first line of a recipe, editors that know
YAML complete and check it.
"""
HEADER = "| setting | type | default | range | what it does |\n|---|---|---|---|---|"
WORDS = {  # JSON type → singular, plural
    "string": ("text", "texts"),
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "boolean": ("true or false", "truth values"),
    "null": ("null", "nulls"),
}
BOUNDS = {"minimum": "≥ {:g}", "exclusiveMinimum": "> {:g}", "maximum": "≤ {:g}", "exclusiveMaximum": "< {:g}"}

Node = dict[str, Any]


def generated(config: Path) -> dict[str, str]:
    """File name under `recipes/` → text, for the defaults in the file `config`."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    return {"SETTINGS.md": settings_page(values), "settings.schema.json": canonical_json(recipe_schema())}


def recipe_schema() -> Node:
    """JSON schema of `config.yaml` and of recipes, which may leave out anything but a model's own settings.

    Defaults are left out: those of the schema are not those of `config.yaml`.
    """
    schema = Config.model_json_schema()
    listed = {"ModelSettings"}  # in a list, which a recipe replaces as a whole
    for name, section in {"": schema, **schema["$defs"]}.items():
        if name not in listed:
            section.pop("required", None)
        section.pop("title")
        for node in section["properties"].values():
            node.pop("title", None)
            node.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def settings_page(values: Mapping[str, Any]) -> str:
    """The page, as Markdown: a table per section. `values` is the content of `config.yaml`."""
    schema = Config.model_json_schema()
    nodes = {**schema["$defs"], Config.__name__: schema}
    parts = [INTRODUCTION]
    for key, section, field, given in _sections(Config, "", values):
        about = _prose(inspect.getdoc(section))
        if field and field.description:
            about += f" {field.description[0].upper()}{field.description[1:]}."
        parts.append(f"## {f'`{key}`' if key else 'The run'}\n\n{about}\n")
        properties = nodes[section.__name__]["properties"]
        rows = [
            _row(f"{key}.{name}".lstrip("."), inner, properties[name], given.get(name, inner))
            for name, inner in section.model_fields.items()
            if not sections_in(inner.annotation)
        ]
        if rows:
            parts.append("\n".join([HEADER, *rows]) + "\n")
    return "\n".join(parts)


def _sections(
    section: type[BaseModel], key: str, values: Any, field: FieldInfo | None = None
) -> Iterator[tuple[str, type[BaseModel], FieldInfo | None, Mapping[str, Any]]]:
    """A section and those inside it: dotted key, class, the field that holds it, and its values in `config.yaml`."""
    given = values if isinstance(values, Mapping) else {}
    yield key, section, field, given
    for name, inner in section.model_fields.items():
        for found in sections_in(inner.annotation):
            in_list = "[]" if str(inner.annotation).startswith("list[") else ""
            yield from _sections(found, f"{key}.{name}{in_list}".lstrip("."), given.get(name), inner)


def _row(key: str, field: FieldInfo, node: Node, value: Any) -> str:
    default = "required"
    if value is not field:
        default = f"`{written(value)}`"
    elif not field.is_required():
        default = f"`{written(field.get_default(call_default_factory=True))}`"
    cells = [f"`{key}`", type_in_words(node), default, range_in_words(node), _prose(field.description)]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _prose(text: str | None) -> str:
    """`text` on one line."""
    return " ".join((text or "").split())


def type_in_words(node: Node, plural: bool = False) -> str:
    """What a JSON schema node takes: `number or null`, `list of pairs of numbers`, `1, 4 or 8`."""
    if "anyOf" in node:
        return _either([type_in_words(choice, plural) for choice in node["anyOf"]])
    if "enum" in node or "const" in node:
        return _either([f"`{written(choice)}`" for choice in node.get("enum", [node.get("const")])])
    if node["type"] == "array":
        pair = node.get("minItems") == node.get("maxItems") == 2
        kind = f"{'pair' if pair else 'list'}{'s' if plural else ''}"
        return f"{kind} of {type_in_words(node['items'], plural=True)}"
    if node["type"] == "object":
        of_each = _of_each(node)
        return f"mapping to {type_in_words(of_each, plural=True)}" if of_each else "mapping"
    if node["type"] == "string" and "pattern" in node:
        return "names" if plural else "name"
    return WORDS[node["type"]][plural]


def range_in_words(node: Node) -> str:
    """The bounds of a JSON schema node: `> 0, ≤ 1`, `each ≥ 0`, `at least 1`."""
    if "anyOf" in node:
        return ", ".join(filter(None, map(range_in_words, node["anyOf"])))
    found = [text.format(node[key]) for key, text in BOUNDS.items() if key in node]
    if "minItems" in node and node["minItems"] != node.get("maxItems"):
        found.append(f"at least {node['minItems']}")
    if (inner := _of_each(node)) and (of_each := range_in_words(inner)):
        found.append(f"each {of_each.removeprefix('each ')}")
    if "pattern" in node:
        found.append("letters, digits, `.`, `_` and `-`")
    return ", ".join(found)


def _of_each(node: Node) -> Node | None:
    """The node of the values in a list or mapping; None where they can be anything."""
    choices = [node.get("items"), node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return next((choice for choice in choices if isinstance(choice, dict)), None)


def written(value: Any) -> str:
    """A value as YAML 1.1 reads it back, on one line: `[[100, 0.0001]]`, `1.0e-05`, `{HUVEC: 0.25}`."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {written(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", f"{value:g}")
    return str(value)


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
