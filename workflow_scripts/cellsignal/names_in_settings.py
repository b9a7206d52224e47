"""Settings that name things of the screen (experiments, classes, cell types), held against the screen's tables."""

import difflib
from collections.abc import Collection, Iterator

import pandas as pd

from cellsignal.config.schema import Config


def screen_name_problems(config: Config, sites: pd.DataFrame, classes: pd.DataFrame) -> list[str]:
    """A sentence for each name in the settings that the screen does not have, beginning with its key.

    `folds.held_out` is left to `assign_folds`. Cell types of `finetune.epochs_factor` may be others than the
    screen's, as every recipe inherits those of config.yaml, but not all of them: then none of its factors would count.

    Args:
        config: the whole configuration.
        sites: site table. classes: class table.
    """
    test = sorted(sites.loc[sites["dataset"] == "test", "experiment"].unique().tolist())
    cell_types = sorted(sites["cell_type"].unique().tolist())
    score, report = config.score, config.report
    problems = [
        *_unknown("score.public_experiments", score.public_experiments, test, "test experiment"),
        *_unknown("score.left_out_experiments", score.left_out_experiments, test, "test experiment"),
        *_unknown("report.explained_classes", report.explained_classes or [], classes["name"].tolist(), "class"),
        *_unknown("report.tsne_classes", report.tsne_classes or [], classes["name"].tolist(), "class"),
    ]
    factors = config.finetune.epochs_factor if config.finetune else {}
    if factors and len(cell_types) > 1 and not set(factors) & set(cell_types):
        problems += _unknown("finetune.epochs_factor", factors, cell_types, "cell type")
    return problems


def _unknown(key: str, named: Collection[str], known: Collection[str], what: str) -> Iterator[str]:
    """The names of a setting that are not `known`, each with the nearest that are."""
    known = list(known)
    for name in named:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)[:3]
        there = f"one of its {len(known):,}, such as {', '.join(near)}" if known else f"none: it has no {what}"
        yield f"{key}: {name} is no {what} of the screen; expected {there}"
