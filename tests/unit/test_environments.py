"""One pinned list makes every environment: Make's .venv, Docker, Apptainer and conda cannot drift apart."""

import importlib.metadata
import re
import shlex
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
DOCKERFILE, APPTAINER = (ENVS / "Dockerfile").read_text(), (ENVS / "apptainer.def").read_text()
CONDA = yaml.safe_load((ENVS / "conda.yaml").read_text())
TOOLS = {"git", "make"}  # and OpenSSH, by another name in each


def commands(text: str) -> str:
    """Commands without comments, continued lines joined."""
    return re.sub(r"\\\n", " ", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))


def installs(text: str) -> list[list[str]]:
    """What each `pip install` installs, without its flags; the folder of the list left out."""
    found = []
    for line in re.findall(r"pip install (.+?)(?:&&|$)", commands(text).replace("$$", "$"), flags=re.MULTILINE):
        words = re.sub(r"\S*/requirements\.txt", "requirements.txt", line).split()
        found.append([word for word in words if not word.startswith("--")])
    return found


def python_of(text: str, keyword: str) -> str:
    (image,) = re.findall(rf"^{keyword} (\S+)$", commands(text), flags=re.MULTILINE)
    return image


def debian_packages(text: str) -> set[str]:
    (line,) = re.findall(r"apt-get install (.+?)(?:&&|$)", commands(text), flags=re.MULTILINE)
    return {word for word in line.split() if not word.startswith("--")}


def test_every_environment_installs_the_same_list_in_the_same_steps() -> None:
    steps = [["$(grep", "'^torch=='", "requirements.txt)"], ["-r", "requirements.txt"]]
    assert installs((ROOT / "Makefile").read_text()) == installs(DOCKERFILE) == installs(APPTAINER) == steps
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt"]


def test_every_environment_has_the_same_python_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "workflow_scripts/pyproject.toml").read_text())
    minimum = project["project"]["requires-python"].removeprefix(">=")
    image = python_of(DOCKERFILE, "FROM")
    assert image == python_of(APPTAINER, "From:")
    assert re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", image)[1] == minimum
    assert f"python={minimum}" in CONDA["dependencies"]
    assert f"Python {minimum} or newer" in (ROOT / "README.md").read_text()


def test_every_environment_has_the_tools_that_the_readme_uses() -> None:
    assert debian_packages(DOCKERFILE) == debian_packages(APPTAINER) == TOOLS | {"openssh-client"}
    named = {entry for entry in CONDA["dependencies"] if isinstance(entry, str)}
    assert {re.split("[=<>]", name)[0] for name in named} == TOOLS | {"openssh", "python", "pip"}


def test_no_definition_pins_a_package_a_second_time() -> None:
    for text in (DOCKERFILE, APPTAINER, (ENVS / "conda.yaml").read_text()):
        assert re.findall(r"[\w-]+\s*[=<>~!]=\s*\d", commands(text)) == []
    assert re.findall(r"[\w-]+\s*[=<>~!]=\s*\d", (ENVS / "requirements.txt").read_text())


def test_every_line_of_the_list_is_one_exact_pin_that_is_installed_here() -> None:
    for line in (ENVS / "requirements.txt").read_text().splitlines():
        if requirement := line.partition("#")[0].strip():
            name, version = re.fullmatch(r"([A-Za-z0-9-]+)==([\w.]+)", requirement).groups()
            assert importlib.metadata.version(name).split("+")[0] == version


def test_the_docker_image_copies_nothing_but_the_list() -> None:
    copied = re.findall(r"^(?:COPY|ADD) (.+)$", commands(DOCKERFILE), flags=re.MULTILINE)
    assert [shlex.split(line) for line in copied] == [["envs/requirements.txt", "/opt/cellsignal/requirements.txt"]]
    assert re.findall(r"^\s+(envs/\S+) (\S+)$", APPTAINER, flags=re.MULTILINE) == [tuple(shlex.split(copied[0]))]
    keywords = {line.split()[0] for line in commands(DOCKERFILE).splitlines() if line.strip()}
    assert keywords == {"FROM", "RUN", "COPY", "ENV"}
