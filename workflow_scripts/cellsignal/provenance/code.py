"""Digests of code that change when behaviour can change, and only then.

A digest is taken over the syntax tree without docstrings, comments, formatting and the `description`
of configuration fields, so that editing prose reruns nothing.
"""

import ast
import functools
from pathlib import Path
from typing import NamedTuple

from cellsignal.files import sha256_text

PACKAGE = "cellsignal"


def code_digests(script: str | Path, library: str | Path) -> dict[str, str]:
    """Digests of a script and of every library module that it imports, transitively.

    `library` is the folder that holds the package. Returns {module or script name: SHA-256}; raises
    `SyntaxError` if a file cannot be parsed. Imports are found statically, wherever they stand. `running`,
    through which every script writes its receipt, is outside the package: it records what happened and
    cannot change a result.
    """
    script, library = Path(script), Path(library)
    source = _source(_version(script))
    digests = {script.name: source.digest}
    waiting = _modules(source)
    while waiting:
        module = waiting.pop()
        path = None if module in digests else _module_file(module, library)
        if path is not None:
            source = _source(_version(path))
            digests[module] = source.digest
            waiting |= _modules(source)
    return dict(sorted(digests.items()))


def third_party(script: str | Path, library: str | Path) -> list[str]:
    """Top-level names of the third-party and standard packages that the same files import."""
    script, library = Path(script), Path(library)
    files = [script] + [
        path for module in code_digests(script, library) if (path := _module_file(module, library)) is not None
    ]
    return sorted({name.split(".")[0] for path in files for name in _source(_version(path)).imports} - {PACKAGE})


def _module_file(module: str, library: Path) -> Path | None:
    base = library.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: the key of the cache below."""
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


class _Source(NamedTuple):
    digest: str
    imports: frozenset[str]  # every dotted name in the file's imports, `from a import b` as `a` and `a.b`


@functools.cache
def _source(version: tuple[Path, int, int]) -> _Source:
    """A file, parsed once."""
    tree = ast.parse(version[0].read_text(encoding="utf-8"), filename=str(version[0]))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return _Source(sha256_text(ast.unparse(_WithoutProse().visit(tree))), frozenset(names))


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
