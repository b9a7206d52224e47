"""Stage files: what a rule's result may depend on, written when the workflow is planned.

A stage file holds the settings that the rule reads and the digests of the code that it runs. It is an
input of the rule, so Snakemake reruns the rule when, and only when, its content changes. The job reads
its settings from it, not from the live configuration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellsignal.errors import BadInput
from cellsignal.files import canonical_json, read_json, write_text
from cellsignal.provenance.code import code_digests

FORMAT = 1


@dataclass(frozen=True)
class Stage:
    """A stage file's content."""

    rule: str
    settings: dict[str, Any]
    code: dict[str, str]


def write_stage(path: str | Path, rule: str, settings: dict[str, Any], code: dict[str, str]) -> bool:
    """Write a stage file if its content changed; returns whether it did.

    An unchanged file keeps its modification time, so planning alone never reruns anything.
    """
    text = canonical_json({"format": FORMAT, "rule": rule, "settings": settings, "code": code})
    path = Path(path)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


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


def changed_settings(made: Stage, planned: Stage) -> list[str]:
    """Settings that were planned otherwise after `made`, one sentence each."""
    before, after = dict(_leaves(made.settings)), dict(_leaves(planned.settings))
    return [
        f"{name}: {_short(after, name)}, was {_short(before, name)}"
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]


def _leaves(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _short(values: dict[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "nothing"
    return text if len(text) <= 60 else f"{text[:59]}…"


def changed_modules(stage: Stage, script: str | Path, library: str | Path) -> list[str]:
    """Modules whose code on disk is not what the stage was planned with, one sentence each."""
    now = code_digests(script, library)
    return [
        f"{module}: " + ("no longer used" if module not in now else "new" if module not in stage.code else "changed")
        for module in sorted(stage.code.keys() | now.keys())
        if stage.code.get(module) != now.get(module)
    ]
