"""What keeps a recipe from finishing on a screen, found from its tables alone, before anything is packed or trained.

Every job that learns or predicts is walked through: model × fold × cell type. The rows are those that the jobs
themselves would take (`training_rows`, `prediction_rows`), so that what passes here does not fail there.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cellsignal.ablation import schemes
from cellsignal.assignment import check_rule
from cellsignal.config.learning import ALL_CELL_TYPES, Optimization
from cellsignal.config.schema import Config
from cellsignal.errors import BadInput
from cellsignal.folds import assign_folds, held_out
from cellsignal.names_in_settings import screen_name_problems
from cellsignal.plate_groups import derive_groups, treatment_wells
from cellsignal.predictions import some
from cellsignal.sites import Screen, well_table
from cellsignal.training_rows import prediction_rows, training_rows
from cellsignal.trainings import Trainings, unmade


def recipe_problems(config: Config, screen: Screen) -> list[str]:
    """Everything that would stop a job of this recipe on this screen; each sentence begins with the key at fault.

    Args:
        config: the whole configuration.
        screen: the screen as its tables have it; images are not looked at.

    Returns:
        Sentences such as `folds.count: …`; none if the recipe can run from the first job to the last.
    """
    sites, classes = screen.sites, screen.classes
    problems = [
        *screen_name_problems(config, sites, classes),
        *_missing_weights(config),
        *_unlearnable(config, sites, classes),
        *_layout_problems(config, sites, classes),
    ]
    try:
        folds = assign_folds(sites, config.folds)
    except BadInput as error:
        return [*problems, *error.problems]
    return [
        *problems,
        *_jobs_without_rows(config, sites, folds),
        *_lost_cell_types(config, sites, folds),
        *_unmade(config, sites),
    ]


def _missing_weights(config: Config) -> Iterator[str]:
    """Files of pretrained weights that are not there."""
    for number, model in enumerate(config.models):
        if isinstance(model.pretrained, str) and not Path(model.pretrained).is_file():
            yield f"models[{number}].pretrained: {model.pretrained} is no file; expected weights as safetensors"


def _unlearnable(config: Config, sites: pd.DataFrame, classes: pd.DataFrame) -> Iterator[str]:
    """Classes and cell types that test wells ask for and no train well shows; plates of two cell types."""
    train, test = (sites[sites["dataset"] == name] for name in ("train", "test"))
    treatments = classes[classes["well_type"] == "treatment"]
    unlearned = treatments[~treatments["sirna"].isin(train["sirna"])]
    if len(unlearned):
        yield (
            f"screen: no train well holds {_counted(unlearned['name'], 'class', 'classes')}; a class can be "
            "predicted only if it is learned: expected train wells of every treatment class"
        )
    asked = test[test["well_type"] == "treatment"]
    for cell_type in sorted(set(asked["cell_type"]) - set(train["cell_type"])):
        wells = asked.loc[asked["cell_type"] == cell_type, "well_id"].nunique()
        yield (
            f"screen: cell type {cell_type} is in test only ({wells:,} wells); expected train wells of every cell type"
        )
    types = sites.groupby("plate_id")["cell_type"].unique()
    mixed = types[types.map(len) > 1]
    if len(mixed):
        yield (
            f"screen: plate {mixed.index[0]} holds cell types {', '.join(sorted(mixed.iloc[0]))}"
            + (f", and {len(mixed) - 1:,} more plates hold several" if len(mixed) > 1 else "")
            + "; expected one cell type per plate: wells of the others would get no prediction"
        )


def _layout_problems(config: Config, sites: pd.DataFrame, classes: pd.DataFrame) -> Iterator[str]:
    """Rules of the layout that the balancing takes for granted and the screen does not keep."""
    settings = config.balance
    wells = well_table(sites)
    train = treatment_wells(wells[wells["dataset"] == "train"])
    test = wells[(wells["dataset"] == "test") & (wells["well_type"] == "treatment")].reset_index(drop=True)
    if test.empty:
        return
    if settings.method != "none":
        allowed = np.zeros((len(test), len(classes)), dtype=bool)
        allowed[:, (classes["well_type"] == "treatment").to_numpy()] = True
        try:
            check_rule(test, allowed, settings.method, train)
        except BadInput as error:
            for problem in error.problems:
                yield (
                    f"balance.method: {settings.method} needs a screen in which a class occurs once per experiment, "
                    f"but {problem}; expected none"
                )
    groups = derive_groups(train)[0] if settings.plate_groups else None
    if groups is not None and (unknown := sorted(set(test["plate"].astype(str)) - set(groups.plates))):
        yield (
            f"balance.plate_groups: true, but train has no plates named {some(unknown)} (it has "
            f"{', '.join(groups.plates)}); expected false, or the same plate names in test"
        )


def _jobs_without_rows(config: Config, sites: pd.DataFrame, folds: pd.DataFrame) -> Iterator[str]:
    """Trainings without rows to learn from or to validate on, and test wells that nobody would predict."""
    trainings: list[tuple[str, Optimization, list[str], bool]] = [("train", config.train, [ALL_CELL_TYPES], False)]
    cell_types = sorted(sites["cell_type"].unique())
    if config.finetune is not None:
        tuned = cell_types if config.finetune.by_cell_type else [ALL_CELL_TYPES]
        unlabelled = config.finetune.mean_teacher.unlabelled
        trainings.append(("finetune.optimization", config.finetune.optimization, tuned, unlabelled))
    asked = sites.loc[(sites["dataset"] == "test") & (sites["well_type"] == "treatment"), "site_id"].to_numpy(dtype=str)
    for fold in range(config.folds.count):
        for key, optimization, names, unlabelled in trainings:
            for cell_type in names:
                try:
                    training_rows(
                        sites, folds, fold, None,
                        controls=optimization.controls, cell_type=cell_type, unlabelled=unlabelled,
                        validated=optimization.validated,
                    )  # fmt: skip
                except BadInput as error:
                    yield from (f"{key}: {problem}" for problem in error.problems)
        predicted = [prediction_rows(sites, folds, fold, None, cell_type)["site_id"] for cell_type in cell_types]
        unseen = np.setdiff1d(asked, pd.concat(predicted).to_numpy(dtype=str))
        if len(unseen):
            wells = sites.loc[sites["site_id"].isin(unseen), "well_id"].unique()
            yield f"predict: fold {fold} would predict nothing for {len(wells):,} test wells: {some(wells)}"


def _lost_cell_types(config: Config, sites: pd.DataFrame, folds: pd.DataFrame) -> Iterator[str]:
    """Cell types that a drawn fold does not hold out, though models of their own are judged by it."""
    if config.folds.held_out is not None or config.folds.count == 1:
        return  # as the recipe wants it
    if config.finetune is None or not config.finetune.by_cell_type:
        return
    train = sites[sites["dataset"] == "train"]
    groups = train.groupby("cell_type")[config.folds.group].nunique()
    for cell_type, number in groups.items():
        of_type = sites["cell_type"] == cell_type
        without = [fold for fold in range(config.folds.count) if not (held_out(sites, folds, fold) & of_type).any()]
        if without:
            yield (
                f"folds.count: {config.folds.count} folds, but train has {number} {config.folds.group} groups of "
                f"{cell_type}: fold{'s' * (len(without) > 1)} {', '.join(map(str, without))} would hold out none, and "
                f"a model of {cell_type} could not be judged there; expected at most {number}, or folds.held_out "
                "(explicit folds), or finetune.by_cell_type: false"
            )


def _unmade(config: Config, sites: pd.DataFrame) -> Iterator[str]:
    """Jobs that need what no job makes: a fault of this program, which a run would meet weeks later."""
    unknown = sites[(sites["dataset"] == "test") & (sites["well_type"] == "treatment")]
    compared = schemes(sites["experiment"].nunique(), sites["plate_id"].nunique())
    of_screen, of_test = (sorted(table["cell_type"].unique().tolist()) for table in (sites, unknown))
    yield from (f"jobs: {problem}" for problem in unmade(Trainings(config, of_screen, of_test, compared)))


def _counted(names: pd.Series, one: str, several: str) -> str:
    return f"{one} {names.iloc[0]}" if len(names) == 1 else f"{len(names):,} {several}: {some(names.to_numpy())}"
