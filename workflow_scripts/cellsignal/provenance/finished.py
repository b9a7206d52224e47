"""A finished recipe, opened through its receipts: its tables, classes, ensembles and priors."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cellsignal.ensemble import WellProbabilities, read_probabilities
from cellsignal.errors import BadInput
from cellsignal.files import read_json
from cellsignal.plate_groups import PlateGroups, derive_groups, treatment_wells
from cellsignal.provenance.receipts import SUFFIX, Receipt
from cellsignal.provenance.walk import Ancestry, walk
from cellsignal.sites import read_table, well_table

Values = dict[str, Any]
SHOWN = 5  # folders that a message names


def find_results(below: str | Path = "results") -> Path:
    """The only recipe's folder `results/{screen}/{recipe}` that has a submission or scores. Raises `BadInput`."""
    tops = [*Path(below).glob(f"*/*/submission.csv{SUFFIX}"), *Path(below).glob(f"*/*/scores.json{SUFFIX}")]
    found = sorted({path.parent for path in tops})
    if len(found) != 1:
        names = ", ".join(str(path) for path in found[:SHOWN]) or "none"
        raise BadInput(f"{below}: {len(found)} recipes with a submission or scores ({names}); name one with --results")
    return found[0]


@dataclass
class FinishedRun:
    """A finished recipe: its receipts, and the tables of its screen. `folder` is `results/{screen}/{recipe}`."""

    folder: Path

    @cached_property
    def ancestry(self) -> Ancestry:
        for name in ("scores.json", "submission.csv"):
            if (self.folder / f"{name}{SUFFIX}").is_file():
                return walk(self.folder / name)
        raise BadInput(f"{self.folder}: neither a submission nor scores with a receipt; expected results/SCREEN/RECIPE")

    def of_rule(self, rule: str) -> list[Receipt]:
        """Receipts of a rule, in the order of their paths."""
        return [made for _, made in sorted(self.ancestry.receipts.items()) if made.rule == rule]

    def path(self, rule: str, name: str) -> Path | None:
        """The output of that name of the only job of a rule; None if no such job is behind the result."""
        names = [output for made in self.of_rule(rule) for output in made.outputs if Path(output).name == name]
        return self.ancestry.results / names[0] if names else None

    def table(self, rule: str, name: str) -> pd.DataFrame:
        """A table that must be there."""
        path = self.path(rule, name)
        if path is None:
            raise BadInput(f"{self.folder}: no {name} of rule {rule} is behind the result")
        return read_table(path)

    @cached_property
    def sites(self) -> pd.DataFrame:
        return self.table("index_sites", "sites.parquet")

    @cached_property
    def wells(self) -> pd.DataFrame:
        return well_table(self.sites)

    @cached_property
    def classes(self) -> pd.DataFrame:
        return self.table("index_sites", "classes.parquet")

    def name(self, sirna: int) -> str:
        """The name of a class."""
        return str(self.classes.set_index("sirna")["name"].get(sirna, "unknown"))

    @cached_property
    def ensembles(self) -> dict[str, WellProbabilities]:
        """Rounds in order, then references. Ensembles of single folds, which label only, are left out."""
        made = {
            receipt.wildcards["ensemble"]: next(iter(receipt.outputs))
            for receipt in self.of_rule("ensemble_teachers")
            if not re.fullmatch(r"round\d+-fold\d+", receipt.wildcards["ensemble"])
        }
        rounds = sorted((name for name in made if name.startswith("round")), key=lambda name: int(name[5:]))
        order = [*rounds, *(name for name in made if name not in rounds)]
        return {name: read_probabilities(self.ancestry.results / made[name]) for name in order}

    @cached_property
    def priors(self) -> Values:
        path = self.path("balance_plates", "priors.json")
        found: Values = read_json(path) if path else {}
        return found

    @cached_property
    def balance(self) -> Values:
        """The settings of balancing that the run was scored with; none if it was not."""
        scored = self.of_rule("score")
        found: Values = scored[0].stage["settings"]["balance"] if scored else {}
        return found

    @cached_property
    def groups(self) -> PlateGroups | None:
        return derive_groups(treatment_wells(self.wells[self.wells["dataset"] == "train"]))[0]

    def sha256(self, name: str) -> str:
        return self.ancestry.maker[name].outputs[name].sha256
