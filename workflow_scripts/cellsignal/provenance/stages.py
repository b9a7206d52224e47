"""Stage files: what a rule's result may depend on, written when the workflow is planned.

A stage file holds the settings that the rule reads and the digests of the code that it runs. It is an
input of the rule, so Snakemake reruns the rule when, and only when, its content changes. The job reads
its settings from it, not from the live configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput
from cellsignal.files import canonical_json, read_json
from cellsignal.provenance.code import code_digests

FORMAT = 1


@dataclass(frozen=True)
class Stage:
    """A stage file's content."""

    rule: str
    settings: dict[str, Any]
    code: dict[str, str]


def stage_text(stage: Stage) -> str:
    """The text of a stage file."""
    content = {"format": FORMAT, "rule": stage.rule, "settings": stage.settings, "code": stage.code}
    return canonical_json(content)


def read_stage(path: str | Path) -> Stage:
    """Read a stage file. Raises `BadInput` if it is not one, or of another format."""
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise BadInput(f"{path}: stage file format {content['format']}, expected {FORMAT}")
        return Stage(content["rule"], content["settings"], content["code"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not a stage file ({error})") from error


def changed_settings(made: Mapping[str, Any], planned: Mapping[str, Any]) -> list[str]:
    """Settings that were planned otherwise after `made`, one sentence each."""
    before, after = settings_by_name(made), settings_by_name(planned)
    return [
        f"{name}: {_short(after, name)}, was {_short(before, name)}"
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]


def settings_by_name(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Every setting by its dotted name; the items of a list of named sections (models) by their names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
            value = {item["name"]: item for item in value}
        if isinstance(value, Mapping) and value:
            found |= settings_by_name(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _short(values: dict[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "nothing"
    return text if len(text) <= 60 else f"{text[:59]}…"


def changed_code(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Modules whose digests differ, one sentence each."""
    return [
        f"{module}: " + ("no longer used" if module not in after else "new" if module not in before else "changed")
        for module in sorted(before.keys() | after.keys())
        if before.get(module) != after.get(module)
    ]


def changed_modules(stage: Stage, script: str | Path, library: str | Path) -> list[str]:
    """Modules whose code on disk is not what the stage was planned with, one sentence each."""
    return changed_code(stage.code, code_digests(script, library))
