"""Digests of code that change when behaviour can change, and only then.

A digest is taken over the syntax tree without docstrings, comments, formatting and the `description`
of configuration fields, so that editing prose reruns nothing.
"""

import ast
import functools
from pathlib import Path

from cellsignal.files import sha256_text

PACKAGE = "cellsignal"
UNTRACKED = f"{PACKAGE}.provenance"
"""Not digested: it records what happened and cannot change a result. Its formats carry versions."""


def code_digests(script: str | Path, library: str | Path) -> dict[str, str]:
    """Digests of a script and of every library module that it imports, transitively.

    `library` is the folder that holds the package. Returns {module or script name: SHA-256}; raises
    `SyntaxError` if a file cannot be parsed. Imports are found statically, wherever they stand.
    """
    script, library = Path(script), Path(library)
    digests = {script.name: _digest(_version(script))}
    waiting = _imports(script, library)
    while waiting:
        module = waiting.pop()
        if module in digests or module == UNTRACKED or module.startswith(UNTRACKED + "."):
            continue
        path = _module_file(module, library)
        if path is None:
            continue
        digests[module] = _digest(_version(path))
        waiting |= _imports(path, library)
    return dict(sorted(digests.items()))


def third_party(script: str | Path, library: str | Path) -> list[str]:
    """Top-level names of the third-party and standard packages that the same files import."""
    script, library = Path(script), Path(library)
    files = [script] + [
        path for module in code_digests(script, library) if (path := _module_file(module, library)) is not None
    ]
    return sorted({name.split(".")[0] for path in files for name in _imported_names(_version(path))} - {PACKAGE})


def _module_file(module: str, library: Path) -> Path | None:
    base = library.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: the key of the caches below."""
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


@functools.cache
def _digest(version: tuple[Path, int, int]) -> str:
    return sha256_text(ast.unparse(_WithoutProse().visit(_parse(version[0]))))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def _imported_names(version: tuple[Path, int, int]) -> frozenset[str]:
    """Every dotted name in the file's imports, `from a import b` as `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(_parse(version[0])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _imports(path: Path, library: Path) -> set[str]:
    """Library modules that a file imports, with the packages around them."""
    found: set[str] = set()
    for name in _imported_names(_version(path)):
        parts = name.split(".")
        if parts[0] == PACKAGE:
            prefixes = (".".join(parts[: n + 1]) for n in range(len(parts)))
            found |= {prefix for prefix in prefixes if _module_file(prefix, library)}
    return found


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
