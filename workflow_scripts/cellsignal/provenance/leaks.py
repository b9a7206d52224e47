"""Whether answers, held-out experiments or unearned labels reached a training, from the artefacts themselves."""

from pathlib import Path
from typing import Any

import pandas as pd

from cellsignal.files import read_json
from cellsignal.provenance.receipts import Receipt
from cellsignal.provenance.walk import Ancestry

TRAINING = ("train_model", "finetune_cell_type")
READS_ANSWERS = "score"


def leaks(ancestry: Ancestry) -> list[str]:
    """Every leak found, one sentence each.

    Checked from the files, not from what a job says of itself: `sites.parquet` (which wells are test),
    `folds.parquet` (which groups are held out) and each training's `rows.parquet` (what it trained on).
    """
    problems = _answers_read(ancestry)
    tables = {
        Path(name).name: ancestry.results / name
        for receipt in ancestry.receipts.values()
        for name in receipt.outputs
        if Path(name).name in ("sites.parquet", "folds.parquet")
    }
    if len(tables) < 2 or not all(path.is_file() for path in tables.values()):
        trained = any(receipt.rule in TRAINING for receipt in ancestry.receipts.values())
        return problems + (["sites.parquet or folds.parquet missing: trainings cannot be checked"] if trained else [])
    sites, folds = pd.read_parquet(tables["sites.parquet"]), pd.read_parquet(tables["folds.parquet"])
    problems += _labels_in_sites(sites)
    problems += _twins_apart(folds)
    for receipt in ancestry.receipts.values():
        if receipt.rule in TRAINING:
            problems += _training_leaks(receipt, ancestry, sites, folds)
    return problems


def priors(ancestry: Ancestry) -> dict[str, Any]:
    """Which priors of the plate layout went into the submission, from `priors.json`."""
    for receipt in ancestry.receipts.values():
        for name in receipt.outputs:
            if Path(name).name == "priors.json" and (ancestry.results / name).is_file():
                found: dict[str, Any] = read_json(ancestry.results / name)
                return found
    return {}


def _answers_read(ancestry: Ancestry) -> list[str]:
    return [
        f"{receipt.path}: rule {receipt.rule} read {name}; only {READS_ANSWERS} may"
        for receipt in ancestry.receipts.values()
        if receipt.rule != READS_ANSWERS
        for name in receipt.reads
        if Path(name).name == "answers.parquet"
    ]


def _labels_in_sites(sites: pd.DataFrame) -> list[str]:
    told = sites[(sites["dataset"] == "test") & (sites["well_type"] == "treatment") & (sites["sirna"] >= 0)]
    if told.empty:
        return []
    return [f"sites.parquet: {len(told)} test sites carry a label, the first {told['site_id'].iloc[0]}"]


def _twins_apart(folds: pd.DataFrame) -> list[str]:
    spread = folds[folds["twin_of"] != ""].groupby("twin_of")["fold"].nunique()
    return [
        f"folds.parquet: experiments that share the layout of {name} are in different folds"
        for name in spread[spread > 1].index
    ]


def _training_leaks(receipt: Receipt, ancestry: Ancestry, sites: pd.DataFrame, folds: pd.DataFrame) -> list[str]:
    names = [name for name in receipt.outputs if Path(name).name == "rows.parquet"]
    if not names or not (ancestry.results / names[0]).is_file():
        return [f"{receipt.path}: no rows.parquet, so what it trained on cannot be checked"]
    rows = pd.read_parquet(ancestry.results / names[0])
    known = sites.set_index("site_id")
    fold = int(receipt.wildcards["fold"])
    group = "experiment" if folds["group"].isin(known["experiment"]).all() else "plate_id"
    held_out = set(folds.loc[folds["fold"] == fold, "group"])
    trained = rows[rows["role"] == "train"]
    unknown = ~rows["site_id"].isin(known.index)
    problems = []
    if unknown.any():
        problems.append(f"{names[0]}: {rows.loc[unknown, 'site_id'].iloc[0]} is not a site of the screen")
        return problems
    where = known.loc[trained["site_id"]]
    slipped = where[where[group].isin(held_out)]
    if len(slipped):
        problems.append(
            f"{names[0]}: {len(slipped)} sites of held-out {group} {slipped[group].iloc[0]} were trained on "
            f"in fold {fold}"
        )
    told = where[(where["dataset"] == "test") & (where["well_type"] == "treatment")]
    if len(told):
        problems.append(f"{names[0]}: {len(told)} test sites were trained on as labelled, the first {told.index[0]}")
    wrong = trained["sirna"].to_numpy() != where["sirna"].to_numpy()
    if wrong.any():
        problems.append(
            f"{names[0]}: {int(wrong.sum())} labels differ from sites.parquet, the first {where.index[wrong][0]}"
        )
    return problems + _pseudo_leaks(receipt, ancestry, names[0], rows, known)


def _pseudo_leaks(
    receipt: Receipt, ancestry: Ancestry, name: str, rows: pd.DataFrame, known: pd.DataFrame
) -> list[str]:
    """Pseudo-labelled rows must be the pseudo-labels of the round before, letter for letter."""
    pseudo = rows[rows["role"] == "pseudo"]
    if pseudo.empty:
        return []
    sources = [read for read in receipt.reads if Path(read).name == "pseudo_labels.parquet"]
    round_before = str(int(receipt.wildcards.get("round", "0")) - 1)
    if len(sources) != 1 or Path(sources[0]).parent.name != round_before:
        return [f"{name}: pseudo-labels of {sources or 'nowhere'}, expected those of round {round_before}"]
    path = ancestry.results / sources[0]
    if not path.is_file():
        return []  # `intact` names the missing file
    labels = pd.read_parquet(path).set_index("well_id")["sirna"]
    given = labels.reindex(known.loc[pseudo["site_id"], "well_id"]).to_numpy()
    differ = given != pseudo["sirna"].to_numpy()
    if differ.any():
        return [f"{name}: {int(differ.sum())} pseudo-labels are not those of {sources[0]}"]
    return []
