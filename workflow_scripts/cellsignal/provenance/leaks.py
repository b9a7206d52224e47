"""Clean: whether answers, held-out experiments or unearned labels reached a training.

Checked from the artefacts, not from what a job says of itself: `sites.parquet` (which wells are test),
`folds.parquet` (which groups are held out), each training's `rows.parquet` (what it trained on) and the
pseudo-labels; and from the receipts, which say what was made from what (`lineage`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellsignal.errors import BadInput
from cellsignal.files import read_json
from cellsignal.folds import twins
from cellsignal.provenance.lineage import TRAINING, lineage
from cellsignal.provenance.receipts import Receipt
from cellsignal.provenance.verdict import Answer
from cellsignal.provenance.walk import Ancestry

SITE_COLUMNS = [
    "site_id", "well_id", "experiment", "plate_id", "row", "column", "dataset", "well_type", "sirna",
]  # fmt: skip


def clean(ancestry: Ancestry, broken: Collection[str] = (), open_tables: bool = True) -> Answer:
    """Whether nothing leaked, with what was looked at.

    Args:
        broken: artefacts that are not what their receipts say: they are not opened, and prove nothing.
        open_tables: look into the tables; otherwise at the receipts only.
    """
    answer = lineage(ancestry)
    if open_tables:
        try:
            tables = _training_tables(ancestry, broken)
        except BadInput as error:
            answer.problems.append(f"cannot be checked: {error}")
            return answer
        answer.problems += tables.problems
        answer.evidence += tables.evidence
    elif any(receipt.rule in TRAINING for receipt in ancestry.receipts.values()):
        answer.evidence.append("tables of sites, folds and training rows were not opened")
    if seen := _test_images(ancestry):
        answer.evidence.append(seen)
    if used := priors(ancestry, broken):
        answer.evidence.append(_priors_in_words(used))
    return answer


def _test_images(ancestry: Ancestry) -> str:
    """What images of test wells, never their labels, entered; empty if nothing was trained or predicted."""
    entered: dict[str, None] = {}  # in order
    for receipt in ancestry.receipts.values():
        settings = receipt.stage["settings"] if receipt.rule in (*TRAINING, "predict") else {}
        scheme = settings.get("model", {}).get("normalization")
        if scheme in ("plate", "experiment", "cell_type"):
            entered[f"statistics by {scheme.replace('_', ' ')}, by which images are standardized"] = None
        if settings.get("predict", {}).get("batch_norm") == "plate":
            entered["BatchNorm statistics of each plate"] = None
        teacher = settings.get("finetune", {}).get("mean_teacher", {})
        if teacher.get("unlabelled") and teacher.get("consistency", 0) > 0:
            entered["the consistency loss"] = None
    return f"images of test wells, never their labels, entered {'; '.join(entered)}" if entered else ""


def priors(ancestry: Ancestry, broken: Collection[str] = ()) -> dict[str, Any]:
    """Which priors of the plate layout went into the submission, from `priors.json`."""
    for name in ancestry.maker:
        if Path(name).name == "priors.json" and name not in broken and (ancestry.results / name).is_file():
            try:
                found: dict[str, Any] = read_json(ancestry.results / name)
            except ValueError:  # damaged, and only its size was checked
                return {}
            return found
    return {}


def _priors_in_words(used: dict[str, Any]) -> str:
    rotations = list(used.get("rotations", {}).values())
    leads = [rotation["margin_standard_errors"] for rotation in rotations if rotation["used"]]
    sure = f" in {len(leads)} of {len(rotations)} experiments" if rotations else ""
    sure += f", whose rotations lead by {min(leads)} standard errors or more" if leads else ""
    shares = (
        f"; class shares of each plate from its own predictions, train's counting as {shift:g} wells"
        if (shift := used.get("label_shift"))
        else ""
    )
    return (
        f"priors: balancing by {used.get('method')}; uniqueness {'used' if used.get('uniqueness') else 'not used'}; "
        f"plate groups {used.get('plate_groups')}{sure}; temperature {used.get('temperature')}, "
        f"{used.get('temperature_fitted_on')}{shares}"
    )


@dataclass
class _Tables:
    """Tables of a run, opened only if they are what their receipts say."""

    ancestry: Ancestry
    broken: Collection[str]

    def read(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        path = self.ancestry.results / name
        if name in self.broken or not path.is_file():
            raise BadInput(f"{name} is not what its receipt says")
        try:
            return pd.read_parquet(path, columns=columns)
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{name} cannot be read as a table ({str(error).splitlines()[0]})") from error


def _training_tables(ancestry: Ancestry, broken: Collection[str]) -> Answer:
    tables = _Tables(ancestry, broken)
    names = {Path(name).name: name for name in ancestry.maker if Path(name).name in ("sites.parquet", "folds.parquet")}
    trainings = [receipt for receipt in ancestry.receipts.values() if receipt.rule in TRAINING]
    if len(names) < 2:
        missing = ["no sites.parquet or no folds.parquet: trainings cannot be checked"]
        return Answer(missing if trainings else [])
    sites = tables.read(names["sites.parquet"], SITE_COLUMNS)
    folds = tables.read(names["folds.parquet"])
    hidden = (sites["dataset"] == "test") & (sites["well_type"] == "treatment")
    answer = Answer(_labels_in_sites(sites[hidden]))
    if not answer.problems:
        answer.evidence.append(f"sites.parquet: none of {int(hidden.sum()):,} test treatment sites carries a label")
    layouts = _twins(sites, folds, ancestry.maker[names["folds.parquet"]])
    answer.problems += layouts.problems
    answer.evidence += layouts.evidence
    known = sites.set_index("site_id")
    group = "experiment" if folds["group"].isin(known["experiment"]).all() else "plate_id"
    counts = dict.fromkeys(["train", "pseudo", "unlabelled", "validation"], 0)
    before = len(answer.problems)
    for receipt in trainings:
        answer.problems += _training_leaks(receipt, tables, known, folds, group, counts)
    if trainings and len(answer.problems) == before:
        held_out = "; ".join(
            f"{'never' if fold == -1 else f'fold {fold}'}: {', '.join(part['group'])}"
            for fold, part in folds.sort_values("group").groupby("fold")
        )
        answer.evidence.append(
            f"{len(trainings)} trainings: none of {counts['train']:,} labelled rows is of a held-out {group} or a test "
            f"well, {counts['pseudo']:,} pseudo-labelled rows are the pseudo-labels of the round before "
            f"(held out: {held_out})"
        )
    return answer


def _labels_in_sites(hidden: pd.DataFrame) -> list[str]:
    told = hidden[hidden["sirna"] >= 0]
    if told.empty:
        return []
    return [f"sites.parquet: {len(told)} test sites carry a label, the first {told['site_id'].iloc[0]}"]


def _twins(sites: pd.DataFrame, folds: pd.DataFrame, assigned: Receipt) -> Answer:
    """Experiments that share a layout, by the fold table and, where experiments are held out, found anew."""
    folds_of = {str(group): set(part["fold"]) for group, part in folds.groupby("group")}
    sets = [set(part["group"]) for _, part in folds[folds["twin_of"] != ""].groupby("twin_of")]
    if set(folds_of) <= set(sites["experiment"]):
        sets += [found for found in twins(sites) if found not in sets]
    apart = [sorted(names) for names in sets if len({frozenset(folds_of.get(name, {-1})) for name in names}) > 1]
    if not apart:
        shared = "; ".join(", ".join(sorted(names)) for names in sets)
        return Answer([], [f"twin layouts are held out together: {shared}" if sets else "no two layouts are twins"])
    sentences = [f"folds.parquet: {', '.join(names)} share one layout but are in different folds" for names in apart]
    settings = assigned.stage["settings"].get("folds", {})
    if settings.get("held_out") is not None:
        return Answer([], [f"{sentence}, as folds.held_out asks; no position is a feature" for sentence in sentences])
    if settings.get("keep_twins", True):
        return Answer(sentences)
    return Answer([], [f"{sentence}, as folds.keep_twins: false asks" for sentence in sentences])


def _training_leaks(
    receipt: Receipt, tables: _Tables, known: pd.DataFrame, folds: pd.DataFrame, group: str, counts: dict[str, int]
) -> list[str]:
    """What one training should not have seen. Adds its rows to `counts`, by role."""
    names = [name for name in receipt.outputs if Path(name).name == "rows.parquet"]
    if not names:
        return [f"{receipt.path}: no rows.parquet, so what it trained on cannot be checked"]
    rows = tables.read(names[0])
    fold = int(receipt.wildcards["fold"])
    held_out = folds.loc[folds["fold"] == fold, "group"]
    unknown = ~rows["site_id"].isin(known.index)
    if unknown.any():
        return [f"{names[0]}: {rows.loc[unknown, 'site_id'].iloc[0]} is not a site of the screen"]
    where = known.loc[rows["site_id"]].reset_index()
    role = rows["role"].to_numpy()
    test = ((where["dataset"] == "test") & (where["well_type"] == "treatment")).to_numpy()
    held = where[group].isin(held_out).to_numpy()
    problems = [
        f"{names[0]}: {int(wrong.sum())} {what}, the first {where['site_id'][wrong].iloc[0]}"
        for wrong, what in (
            ((role == "train") & test, "test sites were trained on as labelled"),
            (
                (role == "train") & (where["sirna"] != rows["sirna"]).to_numpy(),
                "labels differ from sites.parquet",
            ),
            (np.isin(role, ["pseudo", "unlabelled"]) & ~test, "sites trained on without a label are no test sites"),
            ((role == "unlabelled") & (rows["sirna"] >= 0).to_numpy(), "unlabelled sites carry a label"),
            ((role == "validation") & ~held, f"validation sites are not of fold {fold}"),
        )
        if wrong.any()
    ]
    if (slipped := (role == "train") & held).any():
        problems.append(
            f"{names[0]}: {int(slipped.sum())} sites of held-out {group} {where[group][slipped].iloc[0]} were trained "
            f"on in fold {fold}"
        )
    for name in counts:
        counts[name] += int((role == name).sum())
    return problems + _pseudo_leaks(receipt, tables, names[0], rows, where)


def _pseudo_leaks(receipt: Receipt, tables: _Tables, name: str, rows: pd.DataFrame, where: pd.DataFrame) -> list[str]:
    """Pseudo-labelled rows must be the pseudo-labels of the round before, letter for letter."""
    pseudo = (rows["role"] == "pseudo").to_numpy()
    if not pseudo.any():
        return []
    sources = [read for read in receipt.reads if Path(read).name == "pseudo_labels.parquet"]
    if len(sources) != 1:
        return [f"{name}: {int(pseudo.sum())} pseudo-labels of {', '.join(sources) or 'nowhere'}, expected one source"]
    labels = tables.read(sources[0]).set_index("well_id")["sirna"]
    differ = labels.reindex(where["well_id"][pseudo]).to_numpy() != rows["sirna"][pseudo].to_numpy()
    return [f"{name}: {int(differ.sum())} pseudo-labels are not those of {sources[0]}"] if differ.any() else []
