"""The commands of the README resolve: on a cluster as typed, and for every recipe whose data is simulated."""

import re
from pathlib import Path

import pytest
import yaml
import yte
from projects import ROOT, Project, job_counts

ON_DEMAND = {"audit", "crate", "ablation_table", "ablation_ladder"}  # no part of `all`
ON_RXRX1 = {"published_scores"}  # part of `all` on RxRx1 only
RECIPES = {path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "recipes").glob("*.yaml"))}
SIMULATED = [name for name, content in RECIPES.items() if content.get("screen", {}).get("kind") == "simulated"]


def rules() -> dict[str, str]:
    """Every rule's text, by name."""
    text = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    return dict(re.findall(r"^ *rule (\w+):\n(.*?)(?=^ *rule |^\w|\Z)", text, re.MULTILINE | re.DOTALL))


def test_the_cluster_command_resolves_as_typed(fresh: Project) -> None:
    jobs = job_counts(fresh.run("all", "--dry-run", profile="slurm"))
    assert jobs["train_model"] == 4 and jobs["finetune_cell_type"] == 4 and jobs["predict"] == 6
    assert set(jobs) == {"all", *rules()} - ON_DEMAND - ON_RXRX1


def test_the_cluster_profile_sends_the_rules_that_need_a_gpu_to_its_gpu_partition() -> None:
    profile = yte.process_yaml((ROOT / "profiles/slurm/config.yaml").read_text(), require_use_yte=True)
    need_gpu = {name for name, text in rules().items() if "gpu=1" in text}
    assert need_gpu == {"train_model", "finetune_cell_type", "predict", "explain_sites"}
    assert {name for name, asked in profile["set-resources"].items() if asked["slurm_partition"] == "gpu"} == need_gpu
    assert profile["default-resources"]["slurm_partition"] != "gpu" and profile["default-resources"]["gpu"] == 0


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*/config.yaml")), ids=lambda path: path.parent.name)
def test_the_readme_of_the_profiles_explains_every_entry(path: Path) -> None:
    explained = (ROOT / "profiles/README.md").read_text()
    profile = yaml.safe_load(path.read_text())
    entries = {name for name in profile if not name.startswith("__")}
    variables = set(profile.get("__variables__", {})) - {"trainings"}  # no setting: the rules that `gpus` is about
    assert {name for name in entries | variables if not re.search(rf"`{name}\b", explained)} == set()


def test_every_rule_says_what_it_needs_and_what_it_does() -> None:
    for name, text in rules().items():
        for entry in ("threads:", "mem_mb=", "runtime=", "message:", "script:"):
            assert entry in text, f"{name} has no {entry}"
        assert name == "audit" or ("log:" in text and "benchmark:" in text), name


@pytest.mark.parametrize("recipe", SIMULATED)
def test_every_simulated_recipe_can_be_planned(fresh: Project, recipe: str) -> None:
    settings = RECIPES[recipe]
    jobs = job_counts(fresh.run("all", "--dry-run", recipe=f"recipes/{recipe}"))
    plates = 4 * sum(map(sum, settings["screen"]["simulated"]["cell_types"].values()))
    assert jobs["simulate_plate"] == jobs["pack_plate"] == plates
    assert jobs["train_model"] == len(settings["models"]) * settings["folds"]["count"]


def test_the_link_in_the_root_is_the_cluster_profile() -> None:
    assert (ROOT / "slurm").resolve() == (ROOT / Path("profiles/slurm")).resolve()


def test_each_fold_may_learn_from_its_own_teachers(fresh: Project) -> None:
    """One set of pseudo-labels per fold, each by an ensemble of that fold alone."""
    every = job_counts(fresh.run("all", "--dry-run"))
    fresh.overlay({"pseudo_labels": {"teachers": "own_fold"}})
    own = job_counts(fresh.run("all", "--dry-run"))
    assert own["pseudo_labels"] == 2 and every["pseudo_labels"] == 1
    assert own["ensemble_teachers"] == every["ensemble_teachers"] + 2
    changed = {"pseudo_labels", "ensemble_teachers"}
    assert {rule: n for rule, n in own.items() if rule not in changed} == {
        rule: n for rule, n in every.items() if rule not in changed
    }
