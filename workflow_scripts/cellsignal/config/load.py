"""Checking a configuration, with errors that name the file, the key and the nearest real key."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cellsignal.config.backbone_names import unknown_backbone
from cellsignal.config.schema import Config
from cellsignal.errors import BadInput, raise_all

Location = tuple[str | int, ...]


def check_config(
    values: Mapping[str, Any], files: Sequence[str | Path] = (), given: Mapping[str, Any] | None = None
) -> Config:
    """The checked configuration.

    `values` is the merged configuration, `files` the YAML files it came from, in the order in which
    they were laid over each other, `given` what the command line laid over them (both are used to say where a wrong
    value stands). Raises `BadInput` with all
    problems at once.
    """
    sources = _sources(files, given)
    problems = _unknown_backbones(values, sources)
    try:
        config = Config.model_validate(dict(values))
    except ValidationError as error:
        found = [line for detail in error.errors() for line in _sentences(detail, sources)]
        raise BadInput(found + problems, "configuration") from None
    raise_all(problems, "configuration")
    return config


def located(
    problems: Sequence[str], files: Sequence[str | Path] = (), given: Mapping[str, Any] | None = None
) -> list[str]:
    """The sentences, each of which begins with a key such as `folds.count: `, behind the file that sets that key.

    `files` and `given` are those of `check_config`. A sentence about a key that no file sets stays as it is.
    """
    sources = _sources(files, given)
    found = []
    for problem in problems:
        match = re.match(r"([a-z_]+(?:\.[a-z_]+|\[\d+\])*): ", problem)
        parts = re.findall(r"[a-z_]+|\d+", match[1]) if match else []
        location: Location = tuple(int(part) if part.isdecimal() else part for part in parts)
        found.append(f"{_file_of(location, sources)}{problem}" if location else problem)
    return found


def _sources(files: Sequence[str | Path], given: Mapping[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """The files and the command line, in the order in which they were laid over each other."""
    return [(str(file), _read(file)) for file in files] + [("--config", dict(given or {}))]


def _unknown_backbones(values: Mapping[str, Any], sources: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """A sentence per model whose backbone there is not; what is no name at all is left to the schema."""
    models = values.get("models")
    problems = []
    for number, model in enumerate(models if isinstance(models, list) else []):
        name = model.get("backbone") if isinstance(model, Mapping) else None
        place: Location = ("models", number, "backbone")
        if isinstance(name, str) and (wrong := unknown_backbone(name)):
            problems.append(f"{_file_of(place, sources)}{_dotted(place)}: {wrong}")
    return problems


def read_config(files: Sequence[str | Path], given: Mapping[str, Any] | None = None) -> Config:
    """The configuration in YAML files, each laid over the one before (mappings merge, lists replace).

    `given` is laid over them all: settings of the command line (`snakemake --config`).
    """
    merged: dict[str, Any] = {}
    for file in files:
        lay_over(merged, _read(file))
    lay_over(merged, given or {})
    return check_config(merged, files, given)


def _read(file: str | Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise BadInput(f"{file}: cannot be read as YAML ({error})") from error
    raise_all([] if isinstance(content, dict) else [f"{file}: expected a mapping of settings"])
    return content


def as_yaml(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the command line as YAML would read them: Snakemake leaves what stands inside braces as text."""
    return {key: _typed(value) if isinstance(value, Mapping | list) else value for key, value in given.items()}


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:  # such as `[` from a quoted text
        return value
    return read if read is None or isinstance(read, bool | int | float) else value


def lay_over(base: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    """Put the settings of `overlay` into `base`: mappings merge, everything else is replaced."""
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            lay_over(base[key], value)
        else:
            base[key] = value


def _sentences(detail: Any, sources: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    location: Location = tuple(detail["loc"])
    place = f"{_file_of(location, sources)}{_dotted(location)}"
    kind, found = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return [f"{place}: unknown key{_nearest(location)}"]
    if kind == "missing":
        return [f"{place}: missing"]
    if kind in ("float_type", "int_type") and isinstance(found, str) and _is_number(found):
        return [
            f"{place}: '{found}' is text, not a number; YAML reads a number with an exponent only if it "
            f"has a decimal point and a sign: write {_yaml_number(found)}"
        ]
    if kind == "value_error":  # from this project's validators: `what was found; what was expected`
        return [_of_validator(location, line, sources) for line in str(detail["ctx"]["error"]).splitlines()]
    return [f"{place}: {detail['msg'][:1].lower()}{detail['msg'][1:]}, found {found!r}"]


def _of_validator(location: Location, line: str, sources: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The sentence of a validator. That of a section begins with the key inside it; give the whole key and its file."""
    if not location:  # about several sections: no one file is at fault
        return line
    if match := re.match(r"([a-z_.]+): ", line):
        location, line = (*location, *match[1].split(".")), line[match.end() :]
    return f"{_file_of(location, sources)}{_dotted(location)}: {line}"


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _file_of(location: Location, sources: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The last file that sets the key, or the command line, as `path: `; empty if none does (a missing key)."""
    for file, content in reversed(sources):
        value: Any = content
        try:
            for part in location:
                value = value[part]
        except (KeyError, IndexError, TypeError):
            continue
        return f"{file}: "
    return ""


def _nearest(location: Location) -> str:
    """` (did you mean …?)`: a sibling key that is spelled alike, else such a key of another section."""
    siblings, everywhere = _known_keys(Config, ()), dict(_all_keys(Config, ""))
    for part in location[:-1]:
        siblings = siblings.get(part, {}) if isinstance(part, str) else siblings
    wrong = str(location[-1])
    if close := difflib.get_close_matches(wrong, list(siblings), n=1):
        return f" (did you mean `{close[0]}`?)"
    by_name = {path.rsplit(".", 1)[-1]: path for path in everywhere}
    if close := difflib.get_close_matches(wrong, list(by_name), n=1):
        return f" (did you mean `{by_name[close[0]]}`?)"
    return f" (known here: {', '.join(siblings)})" if siblings else ""


def _known_keys(model: type[BaseModel], seen: tuple[type, ...]) -> dict[str, Any]:
    return {
        name: {
            key: value
            for inner in sections_in(field.annotation)
            for key, value in _known_keys(inner, (*seen, model)).items()
        }
        for name, field in model.model_fields.items()
    }


def _all_keys(model: type[BaseModel], prefix: str) -> list[tuple[str, str]]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append((f"{prefix}{name}", name))
        for inner in sections_in(field.annotation):
            keys += _all_keys(inner, f"{prefix}{name}.")
    return keys


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections inside an annotation such as `Section | None` or `list[Section]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in sections_in(inner)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml_number(text: str) -> str:
    """A spelling of the number that YAML 1.1 reads as one: `3e-4` → `3.0e-4`."""
    mantissa, _, exponent = text.lower().strip().partition("e")
    if not exponent:
        return mantissa
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent}"
