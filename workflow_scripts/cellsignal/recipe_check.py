"""Whether a recipe can run on a screen. A recipe that passed is not walked again until something changed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cellsignal.config.schema import Config
from cellsignal.files import canonical_json, read_json, sha256_text


def planned_problems(
    config: Config,
    root: Path,
    tables: Mapping[str, str],
    code: Mapping[str, str],
    cache: Path,
    keep: Callable[[Path, dict[str, Any]], None] = lambda path, content: None,
) -> list[str]:
    """`recipe_problems` of the screen below `root`; none, without a look, if `cache` says that this recipe passed.

    RxRx1's walk takes seconds, so a recipe that passed is not walked again while settings, tables and code stay.

    Args:
        tables: SHA-256 of each of the screen's metadata files.
        code: digests of this module and of all that it imports.
        cache: JSON file that `keep` left when this recipe passed.
        keep: called with `cache` and what is to be written there, where the recipe passes.
    """
    settings = config.model_dump(mode="json", exclude={"results": True, "threads": True, "screen": {"root"}})
    passed = {"passed": sha256_text(canonical_json({"settings": settings, "tables": dict(tables), "code": dict(code)}))}
    try:
        known = read_json(cache) == passed
    except (OSError, ValueError):
        known = False
    if known:
        return []
    # Here because these import pandas and SciPy, which the planning of a known recipe need not wait for.
    from cellsignal.recipe_problems import recipe_problems
    from cellsignal.screens import planned_sites

    problems = recipe_problems(config, planned_sites(config.screen, root))
    if not problems:
        keep(cache, passed)
    return problems
