"""Digests change when behaviour can change, and only then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellsignal.provenance.code import code_digests, third_party

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"
SCRIPT = "from cellsignal.a import f\nimport numpy as np\n\nprint(f(np.ones(3)))\n"
MODULE_A = '"""Docs."""\n\nfrom cellsignal.b import g\n\n\ndef f(x):\n    """Doc of f."""\n    return g(x) + 1  # why\n'


@pytest.fixture
def library(tmp_path: Path) -> Path:
    package = tmp_path / "cellsignal"
    (package / "provenance").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "a": MODULE_A,
        "b": "from cellsignal.config import Field\n\n\ndef g(x):\n    return 2 * x\n",
        "config": "class C:\n    a: int = Field(1, description='an a')\n",
        "unused": "x = 1\n",
        "provenance/__init__": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def digests(library: Path) -> dict[str, str]:
    return code_digests(library / "script.py", library)


def edit(library: Path, module: str, old: str, new: str) -> list[str]:
    """Modules whose digest changes when `old` becomes `new` in `module`."""
    before = digests(library)
    path = library / module
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    after = digests(library)
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def test_imports_are_followed_transitively(library: Path) -> None:
    assert sorted(digests(library)) == ["cellsignal", "cellsignal.a", "cellsignal.b", "cellsignal.config", "script.py"]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("cellsignal/a.py", "# why", "# because"),
        ("cellsignal/a.py", "Doc of f.", "Another text."),
        ("cellsignal/a.py", "return g(x) + 1", "return (g( x )+1)"),
        ("cellsignal/config.py", "an a", "the a"),
        ("cellsignal/unused.py", "x = 1", "x = 2"),
        ("script.py", "\n\nprint", "\n\n\n\n# here\nprint"),
    ],
)
def test_prose_formatting_and_unused_modules_change_nothing(library: Path, module: str, old: str, new: str) -> None:
    assert edit(library, module, old, new) == []


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        ("cellsignal/a.py", "+ 1", "+ 2", ["cellsignal.a"]),
        ("cellsignal/b.py", "2 * x", "3 * x", ["cellsignal.b"]),
        ("script.py", "ones(3)", "ones(4)", ["script.py"]),
        ("script.py", "import numpy", "import cellsignal.unused\nimport numpy", ["cellsignal.unused", "script.py"]),
        ("cellsignal/config.py", "Field(1,", "Field(2,", ["cellsignal.config"]),
    ],
)
def test_code_changes_are_named_by_module(library: Path, module: str, old: str, new: str, changed: list[str]) -> None:
    assert edit(library, module, old, new) == changed


def test_how_a_script_meets_snakemake_is_not_part_of_what_made_a_result(library: Path) -> None:
    (library / "running.py").write_text("import cellsignal.unused\n")
    before = digests(library)
    edit(library, "script.py", "import numpy", "import numpy\nfrom running import run")
    assert set(digests(library)) == set(before)


def test_third_party_packages_are_those_imported(library: Path) -> None:
    assert third_party(library / "script.py", library) == ["numpy"]


def in_another_process(library: Path) -> tuple[dict[str, str], int]:
    """The digests as a job finds them, and how many files it parsed."""
    program = (
        "import ast, json, sys; parsed = []; parse = ast.parse\n"
        "ast.parse = lambda *a, **k: (parsed.append(a), parse(*a, **k))[1]\n"
        "from cellsignal.provenance.code import code_digests\n"
        "parsed.clear()  # what dataclasses and such parse while they are imported\n"
        "print(json.dumps([code_digests(sys.argv[1] + '/script.py', sys.argv[1]), len(parsed)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(library)],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )  # fmt: skip
    found, count = json.loads(done.stdout)
    return found, count


def test_a_process_parses_only_what_none_before_it_did(library: Path) -> None:
    first, parsed = in_another_process(library)
    assert parsed == 5
    assert in_another_process(library) == (first, 0)
    path = library / "cellsignal/b.py"
    before = path.stat()
    path.write_text(path.read_text().replace("2 * x", "3 * x"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again, parsed = in_another_process(library)
    assert (again["cellsignal.b"] != first["cellsignal.b"], parsed) == (True, 1), "same size and date, other text"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"script.py": 3}', '{"script.py": ["0", "1", []]}'])
def test_what_was_found_before_is_not_needed(library: Path, content: str) -> None:
    expected, _ = in_another_process(library)
    (kept,) = (library / "__pycache__").glob("digests.*.json")
    kept.write_text(content)
    assert in_another_process(library)[0] == expected
    kept.unlink()
    kept.mkdir()  # cannot be read, nor replaced
    assert in_another_process(library)[0] == expected
