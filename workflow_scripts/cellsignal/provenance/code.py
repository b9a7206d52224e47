"""Digests of code that change when behaviour can change, and only then.

A digest is taken over the syntax tree without docstrings, comments, formatting and the `description`
of configuration fields, so that editing prose reruns nothing.
"""

import ast
import functools
import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cellsignal.errors import Fault
from cellsignal.files import read_json, sha256_text, write_json

PACKAGE = "cellsignal"
RULES = Path(__file__).read_bytes()  # of digesting: with others, nothing that was found before holds


def code_digests(script: str | Path, library: str | Path) -> dict[str, str]:
    """Digests of a script and of every library module that it imports, transitively.

    `library` is the folder that holds the package. Returns {module or script name: SHA-256}; raises
    `SyntaxError` if a file cannot be parsed. Imports are found statically, wherever they stand. `running`,
    through which every script writes its receipt, is outside the package: it records what happened and
    cannot change a result.
    """
    return {name: source.digest for name, source in _read(script, library).items()}


def third_party(script: str | Path, library: str | Path) -> list[str]:
    """Top-level names of the third-party and standard packages that the same files import."""
    imports = (name for source in _read(script, library).values() for name in source.imports)
    return sorted({name.split(".")[0] for name in imports} - {PACKAGE})


class _Source(NamedTuple):
    text: str  # SHA-256 of the file
    digest: str
    imports: list[str]  # every dotted name in the file's imports, `from a import b` as `a` and `a.b`; sorted


def _read(script: str | Path, library: str | Path) -> dict[str, _Source]:
    """A script and the modules that it imports, by name, sorted."""
    script, library = Path(script), Path(library)
    parsed = _Parsed.of(library.resolve())
    found = {script.name: parsed.source(script)}
    waiting = _modules(found[script.name])
    while waiting:
        module = waiting.pop()
        path = None if module in found else _module_file(module, library)
        if path is not None:
            found[module] = parsed.source(path)
            waiting |= _modules(found[module])
    parsed.keep()
    return dict(sorted(found.items()))


def _module_file(module: str, library: Path) -> Path | None:
    base = library.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


class _Parsed:
    """What was found in the files of a library, by their text; also for the next process.

    Parsing a job's modules takes a tenth of a second, as long as many jobs. Like Python's own compiled files, the
    results lie in __pycache__; unlike them, they hold for the same text alone, whatever its date.
    """

    def __init__(self, library: Path) -> None:
        self.library = library
        self.path = library / "__pycache__" / f"digests.{sys.implementation.cache_tag}.json"
        try:
            self.sources = {name: _Source(*values) for name, values in read_json(self.path).items()}
        except (OSError, ValueError, TypeError, AttributeError):  # none yet, or of another version
            self.sources = {}
        self.is_new = False

    @staticmethod
    @functools.cache
    def of(library: Path) -> "_Parsed":
        """The one of a folder."""
        return _Parsed(library)

    def source(self, path: Path) -> _Source:
        """A file as it is now. Raises `SyntaxError` if it cannot be parsed."""
        name = os.path.relpath(path, self.library)
        content = path.read_bytes()
        text = hashlib.sha256(RULES + content).hexdigest()
        if name not in self.sources or self.sources[name].text != text:
            self.sources[name] = _parse(path, content, text)
            self.is_new = True
        return self.sources[name]

    def keep(self) -> None:
        """Write what is new for the next process, where that can be."""
        if self.is_new:
            with suppress(OSError, Fault):
                write_json(self.path, self.sources)
            self.is_new = False


def _parse(path: Path, content: bytes, text: str) -> _Source:
    tree = ast.parse(content, filename=str(path))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return _Source(text, sha256_text(ast.unparse(_WithoutProse().visit(tree))), sorted(names))


def _modules(source: _Source) -> set[str]:
    """Names of the library that a file imports, with the packages around them; not all are modules."""
    names = [name.split(".") for name in source.imports if name.split(".")[0] == PACKAGE]
    return {".".join(parts[: n + 1]) for parts in names for n in range(len(parts))}


class _WithoutProse(ast.NodeTransformer):
    """Drops docstrings, other bare strings, and `description=` of configuration fields."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [word for word in node.keywords if word.arg != "description"]
        return self.generic_visit(node)
