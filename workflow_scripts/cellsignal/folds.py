"""Cross-validation folds: whole experiments (or plates) are held out, drawn with twins together or as the recipe says.

Folds are fixed before any training and used by every stage, so that no model is ever validated on wells
of a group it was trained on.
"""

import difflib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.config.screen import FoldSettings
from cellsignal.errors import BadInput, raise_all

TWIN_AGREEMENT = 0.9  # share of common wells with one and the same class, from which layouts are one
TWIN_WELLS = 8  # fewest common wells for that; small plates agree by chance
DRAWS = 50  # of the stratified split, until every class can be learned in every fold


def _plate_layouts(sites: pd.DataFrame) -> pd.DataFrame:
    """Class of each well with a position (−1: unknown or empty), train plates × positions."""
    known = sites[(sites["dataset"] == "train") & (sites["row"] >= 0) & (sites["sirna"] >= 0)]
    known = known[known["well_type"] != "negative_control"]  # always in the same well
    wells = known.drop_duplicates(["plate_id", "row", "column", "sirna"])
    # A well of several classes (labels of cells or sites, not of wells) says nothing about a layout.
    wells = wells[~wells.duplicated(["plate_id", "row", "column"], keep=False)]
    return wells.pivot(index="plate_id", columns=["row", "column"], values="sirna").fillna(-1).astype(np.int64)  # noqa: PD010


def _like_plates(sites: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of train plates whose wells hold the same classes at the same positions."""
    table = _plate_layouts(sites)
    plates, layout = table.index.tolist(), table.to_numpy()
    pairs = []
    for i, plate in enumerate(layout[:-1]):
        common = (layout[i + 1 :] >= 0) & (plate >= 0)
        agreement = (common & (layout[i + 1 :] == plate)).sum(1)
        shared = common.sum(1)
        like = (shared >= TWIN_WELLS) & (agreement >= TWIN_AGREEMENT * shared)
        # Plates that overlap in few of their wells are not compared.
        like &= 2 * shared >= np.maximum((layout[i + 1 :] >= 0).sum(1), (plate >= 0).sum())
        pairs += [(plates[i], plates[i + 1 + j]) for j in np.flatnonzero(like)]
    return pairs


def _merge(pairs: list[tuple[str, str]]) -> list[set[str]]:
    """Connected sets of the pairs, each named in some pair; sorted by their first member."""
    of: dict[str, set[str]] = {}
    for a, b in pairs:
        union = of.get(a, {a}) | of.get(b, {b})
        of.update(dict.fromkeys(union, union))
    return sorted({id(s): s for s in of.values()}.values(), key=min)


def twins(sites: pd.DataFrame) -> list[set[str]]:
    """Train experiments that share one well layout, plates possibly in another order.

    A model that could see the position would know the classes of one from the other. Two experiments are
    twins if each of their plates has a like one in the other: ≥ 90 % of the common wells hold the same class.
    Wells without a position or a known class do not count, nor do negative controls.

    Args:
        sites: the site table.

    Returns:
        Sets of at least two experiments, sorted. In RxRx1's train set: {HUVEC-07, RPE-03}.
    """
    experiment_of = sites.drop_duplicates("plate_id").set_index("plate_id")["experiment"].to_dict()
    plates_of = {e: set(p) for e, p in sites.groupby("experiment")["plate_id"].unique().items()}
    matched: dict[tuple[str, str], set[str]] = {}
    for a, b in _like_plates(sites):
        pair = min((experiment_of[a], experiment_of[b]), (experiment_of[b], experiment_of[a]))
        if pair[0] != pair[1]:
            matched.setdefault(pair, set()).update((a, b))
    return _merge([pair for pair, plates in matched.items() if plates >= plates_of[pair[0]] | plates_of[pair[1]]])


def assign_folds(sites: pd.DataFrame, settings: FoldSettings) -> pd.DataFrame:
    """The groups of the train set that each fold holds out.

    Explicit folds (`settings.held_out`) are taken as they are, also where they part twins. A single fold without
    them holds out nothing. Else folds are drawn: greedily, as scikit-learn's `StratifiedGroupKFold`, on groups in
    which twins are merged: most uneven groups first, each to the fold where the strata stay most even, ties in an
    order that follows from the seed. A draw in which some fold's training part lacks a class, or a fold is empty, is
    drawn again, up to 50 times.

    Args:
        sites: the site table.
        settings: number of folds, what is grouped and what is spread, or what each fold holds out.

    Returns:
        group str (experiment or plate_id), fold int64 from 0, twin_of str: the first of the group's twins
        by name (the same for each of them; "" for a group without twins); sorted by group, then fold. A row for each
        fold that holds out the group, and one with fold −1 for a group that none does.

    Raises:
        BadInput: fewer groups than folds, a held-out group that train does not have, or a training part that lacks
            a class.
    """
    train = sites[sites["dataset"] == "train"]
    explicit = settings.held_out is not None
    merged = _twin_groups(sites, settings.group) if explicit or settings.keep_twins else []
    leader = {member: min(members) for members in merged for member in members}
    if settings.held_out is not None:
        pairs = _explicit(train, settings.group, settings.held_out)
    elif settings.count == 1:
        pairs = []
    else:
        pairs = _drawn(train, settings, leader)
    known = {group for group, _ in pairs}
    never = [(group, -1) for group in train[settings.group].unique().tolist() if group not in known]
    table = pd.DataFrame(sorted([*pairs, *never]), columns=["group", "fold"]).astype({"group": str, "fold": np.int64})
    table["twin_of"] = [leader.get(group, "") for group in table["group"]]
    return table


def _explicit(train: pd.DataFrame, group: str, held_out: list[list[str]]) -> list[tuple[str, int]]:
    """(group, fold) of the groups that the recipe holds out."""
    names = sorted(train[group].unique().tolist())
    problems = []
    for fold, groups in enumerate(held_out):
        for name in groups:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=3) or names[:3]
                problems.append(
                    f"folds.held_out: fold {fold} holds out {name}, but train has no such {group}; expected one of its "
                    f"{len(names)}, such as {', '.join(near)}"
                )
        left = train[~train[group].isin(groups)]
        lost = sorted(set(train["sirna"]) - set(left["sirna"]) - {-1})
        problems += [
            f"folds.held_out: fold {fold} holds out every {group} with class {number}, so its training part lacks it"
            for number in lost
        ]
    raise_all(problems, "folds" if len(problems) > 1 else "")
    return [(name, fold) for fold, groups in enumerate(held_out) for name in groups]


def _drawn(train: pd.DataFrame, settings: FoldSettings, leader: dict[str, str]) -> list[tuple[str, int]]:
    """(group, fold) of a partition of all groups; groups of one `leader` stay together."""
    group = settings.group
    unit = train[group].map(lambda g: leader.get(g, g)).to_numpy(dtype=str)
    if (units := len(set(unit))) < settings.count:
        merged = {name: sorted(g for g, first in leader.items() if first == name) for name in leader.values()}
        together = "; ".join(f"{', '.join(members)} share one layout" for _, members in sorted(merged.items()))
        raise BadInput(
            f"folds.count: {settings.count} folds of {units} train groups ({group}); expected at least as many groups"
            + (f". Kept together: {together}; folds.keep_twins: false would part them" if merged else "")
        )
    stratum = train["cell_type" if settings.stratify == "cell_type" else "sirna"].to_numpy()
    counts = pd.crosstab(unit, stratum)
    best: tuple[NDArray[np.int64], list[str]] | None = None
    for draw in range(DRAWS):
        fold = _draw(counts.to_numpy(), settings.count, np.random.default_rng([settings.seed, draw]))
        of_row = pd.Series(fold, counts.index).loc[unit].to_numpy()
        problems = _problems(of_row, train["sirna"].to_numpy(), unit, settings.count)
        if best is None or len(problems) < len(best[1]):
            best = of_row, problems
        if not problems:
            break
    assert best is not None
    if best[1]:
        advice = "; folds.keep_twins: false would part twins" if leader else ""
        raise BadInput(best[1], f"folds by {group}: no split lets every fold learn every class{advice}")
    table = pd.DataFrame({"group": train[group].to_numpy(dtype=str), "fold": best[0]}).drop_duplicates()
    return list(zip(table["group"].tolist(), table["fold"].tolist(), strict=True))


def _twin_groups(sites: pd.DataFrame, group: str) -> list[set[str]]:
    return twins(sites) if group == "experiment" else _merge(_like_plates(sites))


def _draw(counts: NDArray[np.int64], folds: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each unit, from the number of its sites in each stratum (units, strata); one random split."""
    share = counts / counts.sum(0)
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order].std(1), kind="stable")]
    load, rows, fold = np.zeros((folds, counts.shape[1])), np.zeros(folds), np.empty(len(counts), np.int64)
    for unit in order:
        unevenness = np.empty(folds)
        for f in range(folds):
            load[f] += share[unit]
            unevenness[f] = load.std(0).mean()
            load[f] -= share[unit]
        ties = np.flatnonzero(np.isclose(unevenness, unevenness.min()))
        fold[unit] = chosen = ties[np.argmin(rows[ties])]
        load[chosen] += share[unit]
        rows[chosen] += counts[unit].sum()
    return fold


def _problems(fold: NDArray[np.int64], classes: NDArray[Any], unit: NDArray[Any], count: int) -> list[str]:
    """Folds that hold nothing, and classes that a fold's training part lacks."""
    problems = [f"fold {f}: no groups" for f in range(count) if not (fold == f).any()]
    pairs = pd.DataFrame({"sirna": classes, "fold": fold, "unit": unit}).drop_duplicates()
    for sirna, rows in pairs[pairs["sirna"] >= 0].groupby("sirna"):
        if len(set(rows["fold"])) == 1:
            where = ", ".join(sorted(set(rows["unit"]))[:5])
            problems.append(
                f"class {sirna}: only in {where}, so the training part of fold {rows['fold'].iloc[0]} lacks it; "
                "expected it in groups of at least two folds"
            )
    return problems


def held_out(sites: pd.DataFrame, folds: pd.DataFrame, fold: int) -> NDArray[np.bool_]:
    """Which sites (sites,) a fold holds out; never test sites.

    Args:
        sites: site table, or some of its rows.
        folds: fold table, as `assign_folds` makes it.
        fold: number of the fold.

    Raises:
        BadInput: a train site's group is not in the fold table.
    """
    train = (sites["dataset"] == "train").to_numpy()
    known = set(folds["group"])
    by = next((c for c in ("experiment", "plate_id") if known.issuperset(sites.loc[train, c].unique())), None)
    if by is None:
        missing = sites.loc[train & ~(sites["experiment"].isin(known) | sites["plate_id"].isin(known)), "plate_id"]
        raise_all([f"folds: no fold for plate {p}, nor for its experiment" for p in sorted(set(missing))])
        raise BadInput("folds: groups of experiments and of plates mixed; expected one kind")
    return train & sites[by].isin(folds.loc[folds["fold"] == fold, "group"]).to_numpy()


def folds_of_wells(sites: pd.DataFrame, folds: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    """The folds that hold out each train well, ascending; () of a well that none does. Test wells are left out."""
    found: dict[str, list[int]] = {well: [] for well in sites.loc[sites["dataset"] == "train", "well_id"].tolist()}
    for fold in sorted(set(folds["fold"].tolist()) - {-1}):
        for well in dict.fromkeys(sites.loc[held_out(sites, folds, fold), "well_id"].tolist()):
            found[well].append(fold)
    return {well: tuple(numbers) for well, numbers in found.items()}
