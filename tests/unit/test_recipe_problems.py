"""Planning refuses a recipe that could not finish on its screen; every recipe of this project passes on its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from layout_screen import CLASSES, layout_screen

from cellsignal import recipe_problems as module
from cellsignal.config.load import located, read_config
from cellsignal.config.schema import Config
from cellsignal.recipe_check import planned_problems
from cellsignal.recipe_problems import recipe_problems
from cellsignal.screens import planned_sites
from cellsignal.sites import Screen

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CELLSIGNAL_DATA", "unset"))
OF_RXRX1 = [
    "config.yaml",
    "deepnoise.yaml",
    "first_place.yaml",
    "plate_batchnorm.yaml",
    "explain.yaml",
    "capstone.yaml",
]
OTHERS = sorted({path.name for path in (ROOT / "recipes").glob("*.yaml")} - set(OF_RXRX1))
EXPERIMENTS = {"HEPG2": (7, 11), "HUVEC": (16, 24), "RPE": (7, 11), "U2OS": (3, 5)}  # last of train, last of test


def recipe(name: str, **given: Any) -> Config:
    files = [ROOT / "config.yaml", *([ROOT / "recipes" / name] if name != "config.yaml" else [])]
    return read_config(files, given)


def synthetic_rxrx1() -> Screen:
    """The experiments of RxRx1, four plates each, with 20 siRNAs for 1,108."""
    names = {cell: [f"{cell}-{i:02d}" for i in range(1, last + 1)] for cell, (_, last) in EXPERIMENTS.items()}
    train = {e: i % 4 for cell, (last, _) in EXPERIMENTS.items() for i, e in enumerate(names[cell][:last])}
    test = {e: i % 4 for cell, (last, _) in EXPERIMENTS.items() for i, e in enumerate(names[cell][last:])}
    return layout_screen(train, test)


@pytest.fixture(scope="module")
def rxrx1() -> Screen:
    return synthetic_rxrx1()


@pytest.fixture(scope="module")
def real() -> Screen:
    if not DATA.is_dir():
        pytest.skip("CELLSIGNAL_DATA is not set: no real tables")
    settings = {"kind": "kaggle", "root": str(DATA / "rxrx1-metadata"), "metadata": "kaggle-original"}
    return planned_sites(recipe("config.yaml", screen=settings).screen, DATA / "rxrx1-metadata")


@pytest.mark.parametrize("name", OF_RXRX1)
def test_every_recipe_for_rxrx1_can_finish_on_the_real_tables(name: str, real: Screen) -> None:
    assert recipe_problems(recipe(name), real) == []


@pytest.mark.parametrize("name", OF_RXRX1)
def test_every_recipe_for_rxrx1_can_finish_on_a_screen_of_its_experiments(name: str, rxrx1: Screen) -> None:
    assert recipe_problems(recipe(name), rxrx1) == []


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_recipe_can_finish_on_its_own_screen(name: str) -> None:
    config = recipe(name)
    if config.screen.kind == "simulated":
        root = Path("unused")
    elif not DATA.is_dir():
        pytest.skip("CELLSIGNAL_DATA is not set: no real tables")
    else:
        root = DATA / "mitocheck"
    assert recipe_problems(config, planned_sites(config.screen, root)) == []


def without(screen: Screen, drop: Callable[[pd.DataFrame], Any]) -> Screen:
    """The screen without the sites that `drop` says."""
    sites = screen.sites[~drop(screen.sites).to_numpy()].reset_index(drop=True)
    return Screen(sites, screen.answers, screen.classes)


def refused(screen: Screen, **given: Any) -> str:
    """The problems of config.yaml with other settings, as one text; there must be some."""
    problems = recipe_problems(recipe("config.yaml", **given), screen)
    assert problems
    return "\n".join(problems)


def test_five_drawn_folds_over_three_groups_of_a_cell_type_are_refused(rxrx1: Screen) -> None:
    """What config.yaml did until DeepNoise's own folds were taken: two folds had no U2OS to validate on."""
    said = refused(rxrx1, folds={"held_out": None})
    assert "folds.count: 5 folds, but train has 3 experiment groups of U2OS" in said and "at most 3" in said
    assert recipe_problems(recipe("config.yaml", folds={"held_out": None, "count": 3}), rxrx1) == []


def test_more_folds_than_groups_are_refused(rxrx1: Screen) -> None:
    assert "folds.count: 40 folds of" in refused(rxrx1, folds={"held_out": None, "count": 40})


def test_a_held_out_experiment_that_there_is_not_is_refused(rxrx1: Screen) -> None:
    said = refused(rxrx1, folds={"held_out": [["U2OS-1"]], "count": 1})
    assert "folds.held_out" in said and "U2OS-1" in said


def test_a_fold_that_never_learns_a_class_is_refused(rxrx1: Screen) -> None:
    drop = lambda sites: (sites["sirna"] == 3) & (sites["experiment"] != "U2OS-02")  # noqa: E731
    assert "class 3" in refused(without(rxrx1, drop))


def test_a_class_that_only_test_has_is_refused(rxrx1: Screen) -> None:
    drop = lambda sites: (sites["sirna"] == 3) & (sites["dataset"] == "train")  # noqa: E731
    assert "no train well holds class s3" in refused(without(rxrx1, drop))


def test_a_cell_type_that_only_test_has_is_refused(rxrx1: Screen) -> None:
    drop = lambda sites: (sites["cell_type"] == "RPE") & (sites["dataset"] == "train")  # noqa: E731
    no_controls = {"controls": False}  # those of test plates would be trained on
    changes = {"folds": {"held_out": None, "count": 3}, "train": no_controls, "finetune": {"optimization": no_controls}}
    said = refused(without(rxrx1, drop), **changes)
    assert "cell type RPE is in test only" in said
    assert "finetune.optimization: fold 0, RPE: no sites to train on" in said


def test_the_best_epoch_needs_something_to_validate_on(rxrx1: Screen) -> None:
    held_out = [["HUVEC-01"], ["HUVEC-02", "RPE-01", "HEPG2-01", "U2OS-01"]]
    kept = {"folds": {"held_out": held_out, "count": 2}}
    assert recipe_problems(recipe("config.yaml", **kept), rxrx1) == []  # the last epoch needs nothing
    said = refused(rxrx1, **kept, finetune={"optimization": {"select": "best"}})
    for cell_type in ("HEPG2", "RPE", "U2OS"):
        assert f"finetune.optimization: fold 0, {cell_type}: no sites to validate on" in said
    assert "HUVEC" not in said and "fold 1" not in said


def test_a_balancing_whose_rule_the_screen_does_not_keep_is_refused(rxrx1: Screen) -> None:
    rows = rxrx1.sites[(rxrx1.sites["experiment"] == "HUVEC-01") & (rxrx1.sites["sirna"] == 0)]
    twice = rows.assign(
        well="Z99", well_id=rows["well_id"].str[:-3] + "Z99", site_id=rows["site_id"].str.replace("_B", "_Z")
    )
    sites = pd.concat([rxrx1.sites, twice], ignore_index=True)
    said = refused(Screen(sites, rxrx1.answers, rxrx1.classes))
    assert "balance.method: assignment needs a screen in which a class occurs once per experiment" in said
    assert "class 0 in HUVEC-01" in said


def test_a_plate_with_more_wells_than_classes_is_refused(rxrx1: Screen) -> None:
    plate = rxrx1.sites[(rxrx1.sites["plate_id"] == "U2OS-04_1") & (rxrx1.sites["sirna"] < 0)]
    wells = [f"U2OS-04_1_Z{i:02d}" for i in range(CLASSES)]
    more = [plate.head(1).assign(well=well[-3:], well_id=well, site_id=f"{well}_1") for well in wells]
    sites = pd.concat([rxrx1.sites, *more], ignore_index=True)
    assert "U2OS-04 has 40 treatment wells for 20 classes" in refused(Screen(sites, rxrx1.answers, rxrx1.classes))


def test_test_plates_of_other_names_cannot_use_plate_groups(rxrx1: Screen) -> None:
    there = (rxrx1.sites["dataset"] == "test") & (rxrx1.sites["plate"] == "1")
    sites = rxrx1.sites.assign(plate=rxrx1.sites["plate"].where(~there, "A"))
    said = refused(Screen(sites, rxrx1.answers, rxrx1.classes))
    assert "balance.plate_groups: true, but train has no plates named A (it has 1, 2, 3, 4)" in said


def test_a_plate_of_two_cell_types_is_refused(rxrx1: Screen) -> None:
    there = (rxrx1.sites["plate_id"] == "U2OS-04_1") & (rxrx1.sites["column"] > 5)
    sites = rxrx1.sites.assign(cell_type=rxrx1.sites["cell_type"].where(~there, "RPE"))
    assert "plate U2OS-04_1 holds cell types RPE, U2OS" in refused(Screen(sites, rxrx1.answers, rxrx1.classes))


def test_experiments_of_the_score_that_there_are_not_are_refused(rxrx1: Screen) -> None:
    said = refused(rxrx1, score={"public_experiments": ["HEPG2-08", "HUVEC-71"]})
    assert "score.public_experiments" in said and "HUVEC-71" in said and "HEPG2-08," not in said


def test_pretrained_weights_that_are_not_there_are_refused(rxrx1: Screen) -> None:
    models = [{"name": "m", "backbone": "resnet18", "pretrained": "nowhere.safetensors"}]
    assert "models[0].pretrained: nowhere.safetensors is no file" in refused(rxrx1, models=models)


def test_all_problems_are_told_at_once_with_the_files_that_set_the_keys(rxrx1: Screen, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("folds: {held_out: null}\nscore: {public_experiments: [X-01], left_out_experiments: []}\n")
    files = [ROOT / "config.yaml", mine]
    problems = located(recipe_problems(read_config(files), rxrx1), files)
    assert len(problems) == 2
    assert any(problem.startswith(f"{ROOT / 'config.yaml'}: folds.count: ") for problem in problems)
    assert any(problem.startswith(f"{mine}: score.public_experiments") for problem in problems)


def test_what_passed_is_not_walked_again_until_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[str] = []
    monkeypatch.setattr(module, "recipe_problems", lambda config, screen: walks.append(config.recipe) or [])
    kept: dict[str, Any] = {}

    def keep(path: Path, content: dict[str, Any]) -> None:
        kept[path.name] = content
        path.write_text(__import__("json").dumps(content))

    def plan(code: str = "a", tables: str = "t", **given: Any) -> None:
        config = recipe("demo.yaml", **given)
        planned_problems(config, tmp_path, {"table": tables}, {"module": code}, tmp_path / "passed.json", keep)

    plan()
    plan()
    plan(threads=2)
    assert len(walks) == 1
    for changed in ({"code": "b"}, {"tables": "u"}, {"seed": 1}):
        plan(**changed)
    assert len(walks) == 4
    monkeypatch.setattr(module, "recipe_problems", lambda config, screen: walks.append(config.recipe) or ["no"])
    for _ in range(2):  # what failed is walked again
        plan(seed=2)
    assert len(walks) == 6
