"""A change in any module of the library reaches the rules that run it, and no other.

Which rules run a module is found here in another way than the digests do it: from the imports in the compiled
byte code (`modulefinder`) rather than from the syntax tree. A rule reruns when its stage file changes, and the
stage file holds these digests: that it does, and what follows it, is tried on the real Snakefile for every rule
in tests/workflow/test_reruns.py. A dry run for each of some hundred modules would only repeat that.
"""

import re
import shutil
from collections import defaultdict
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import pytest

from cellsignal.provenance.code import code_digests

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow_scripts"
RULES = sorted(
    match
    for file in (ROOT / "rules").glob("*.smk")
    for match in re.findall(r"workflow_scripts/(\w+)\.py", file.read_text())
)
MODULES = sorted(
    ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")
    for path in (LIBRARY / "cellsignal").rglob("*.py")
)
ELSEWHERE = {  # in `cellsignal`, `make settings`, planning, notebooks, or `running`, which writes receipts
    "cellsignal.cli",
    "cellsignal.clocks",
    "cellsignal.config.page",
    "cellsignal.names_in_settings",
    "cellsignal.planning",
    "cellsignal.provenance.diff",
    "cellsignal.provenance.diff_text",
    "cellsignal.provenance.finished",
    "cellsignal.provenance.job",
    "cellsignal.provenance.plan",
    "cellsignal.provenance.progress",
    "cellsignal.provenance.progress_text",
    "cellsignal.provenance.row",
    "cellsignal.provenance.row_text",
    "cellsignal.recipe_check",
    "cellsignal.recipe_problems",
    "cellsignal.rxrx",
    "cellsignal.sizing",
    "cellsignal.trainings",
}


class Imports(ModuleFinder):
    """Who imports whom, wherever in a file the import stands."""

    def __init__(self) -> None:
        super().__init__([str(LIBRARY)])
        self.of: dict[str, set[str]] = defaultdict(set)

    def import_hook(
        self, name: str, caller: Any = None, fromlist: list[str] | None = None, level: int = -1
    ) -> Any:  # called for every import statement, and again for each name in it
        if caller is not None:
            self.of[caller.__name__] |= {name, *(f"{name}.{part}" for part in fromlist or [])}
        return super().import_hook(name, caller, fromlist, level)


@pytest.fixture(scope="module")
def rules_of() -> dict[str, set[str]]:
    """Module → the rules whose script imports it, directly or not."""
    imports = Imports()
    for rule in RULES:
        imports.load_file(str(LIBRARY / f"{rule}.py"))
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for rule in RULES:
        seen: set[str] = set()
        waiting = [rule]
        while waiting:
            name = waiting.pop()
            if name in seen or name == "running":  # writes receipts, and changes no result
                continue
            seen.add(name)
            packages = [name.rpartition(".")[0]] if "." in name else []
            waiting += [*imports.of[name], *packages]
        for module in seen & set(MODULES):
            found[module].add(rule)
    return found


def path_of(library: Path, module: str) -> Path:
    base = library.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def digests(library: Path) -> dict[str, dict[str, str]]:
    """What the stage file of each rule holds of the code."""
    return {rule: code_digests(library / f"{rule}.py", library) for rule in RULES}


def test_the_stage_of_a_rule_holds_exactly_the_modules_that_it_runs(rules_of: dict[str, set[str]]) -> None:
    held = digests(LIBRARY)
    assert {module: {rule for rule in RULES if module in held[rule]} for module in MODULES} == rules_of
    assert all(set(held[rule]) - set(MODULES) == {f"{rule}.py"} for rule in RULES)


def test_an_edit_of_a_module_changes_its_digest_in_the_stage_of_every_such_rule(tmp_path: Path) -> None:
    """All are edited at once; that an edit changes no other module's digest: test_code_digests.py."""
    library = tmp_path / "workflow_scripts"
    shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("__pycache__"))
    before = digests(library)
    for module in MODULES:
        path = path_of(library, module)
        path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")
    after = digests(library)
    kept = {(rule, name) for rule in RULES for name in before[rule] if after[rule][name] == before[rule][name]}
    assert kept == {(rule, f"{rule}.py") for rule in RULES}


def test_every_rule_runs_a_module_and_every_module_but_these_is_run(rules_of: dict[str, set[str]]) -> None:
    assert set().union(*rules_of.values()) == set(RULES) and len(RULES) >= 24
    assert {module for module in MODULES if not rules_of[module]} == ELSEWHERE
