"""The crate of a hand-made recipe: what is in it, that it is valid, that it says what the receipts say."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from small_recipe import PLATES, SmallRecipe

from cellsignal.errors import BadInput
from cellsignal.files import sha256_file
from cellsignal.provenance.audit import audit
from cellsignal.provenance.crate import write_crate
from cellsignal.provenance.walk import walk

COMMIT = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True}
NOT_FOLLOWED = {
    "The Action SHOULD have an agent": "receipts name no people",
    "The Root Data Entity SHOULD have a link to a Contextual Entity representing the `author`": "as above",
    "The `publisher` property": "as above",
    "The Collection SHOULD have a hasPart": "thousands of images are named in the receipts",
    "The Collection SHOULD have a mainEntity": "as above",
    "The Application SHOULD have a url": "the scripts are files of the crate",
    "The SoftwareApplication id SHOULD be an absolute URI": "as above",
    "Web-based Data Entity ni:": "artefacts that are not copied have no address, but a hash",
    "Web-based Data Entities SHOULD": "as above",
}
"""Recommendations that the crate does not follow, each with its reason."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> SmallRecipe:
    return SmallRecipe(tmp_path_factory.mktemp("project"), git=COMMIT)


@pytest.fixture(scope="module")
def crate(recipe: SmallRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "crate"
    return write_crate(recipe.submission, folder, raw_root=recipe.raw, library=recipe.library)


@pytest.fixture(scope="module")
def entities(crate: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)
    return {entity["@id"]: entity for entity in graph}


def of_type(entities: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entity for entity in entities.values() if kind in listed(entity["@type"])]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def validated(crate: Path, cache: Path, severity: str) -> list[str]:
    """What roc-validator finds; skips where it is not installed."""
    pytest.importorskip("rocrate_validator", reason="roc-validator is not installed: the crate is not validated")
    command = [sys.executable, Path(__file__).with_name("validate_crate.py"), crate, severity, cache]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return next(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def test_the_crate_is_a_valid_provenance_run_crate(crate: Path, tmp_path: Path) -> None:
    issues = validated(crate, tmp_path / "cache", "RECOMMENDED")
    unexpected = [issue for issue in issues if not issue.startswith(tuple(NOT_FOLLOWED))]
    assert not unexpected
    assert any(issue.startswith("The Action SHOULD have an agent") for issue in issues)  # it did look


def test_the_validator_refuses_a_crate_whose_jobs_name_no_tool(crate: Path, tmp_path: Path) -> None:
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    broken = tmp_path / "broken"
    broken.mkdir()
    for entity in metadata["@graph"]:
        if entity["@type"] == "CreateAction":
            entity.pop("instrument")
    (broken / "ro-crate-metadata.json").write_text(json.dumps(metadata))
    issues = validated(broken, tmp_path / "cache", "REQUIRED")
    assert any("MUST have an instrument" in issue for issue in issues)


def test_every_receipt_is_a_job_and_every_rule_a_step(entities: dict[str, dict[str, Any]]) -> None:
    assert len(of_type(entities, "CreateAction")) == 16 + 1  # the jobs, and the whole run
    assert len(of_type(entities, "ControlAction")) == 16
    steps = {entity["name"]: int(entity["position"]) for entity in of_type(entities, "HowToStep")}
    assert sorted(steps, key=steps.__getitem__)[:3] == ["index_sites", "pack_plate", "train_model"]
    assert len(steps) == 9
    per_rule = Counter(entity["name"].split()[0] for entity in of_type(entities, "ControlAction"))
    assert per_rule["pack_plate"] == 3 and per_rule["finetune_cell_type"] == 4


def test_every_hash_is_that_of_the_receipts_and_of_the_bytes(
    recipe: SmallRecipe, crate: Path, entities: dict[str, dict[str, Any]]
) -> None:
    names = {entity["name"]: entity for entity in of_type(entities, "File") if entity["@id"].startswith("ni:")}
    copied = referenced = 0
    for top in (recipe.submission, recipe.results / "s/r/figures/score_ladder.svg"):
        for receipt in walk(top).receipts.values():
            for name, made in receipt.outputs.items():
                here = f"results/{name}"
                if here in entities:
                    assert sha256_file(crate / here) == entities[here]["sha256"] == made.sha256
                    copied += 1
                else:
                    assert names[name]["sha256"] == made.sha256
                    assert names[name]["contentSize"] == str(made.bytes)
                    assert not (crate / here).exists()
                    referenced += 1
    assert copied and referenced


def test_stores_weights_and_images_stay_outside(crate: Path, entities: dict[str, dict[str, Any]]) -> None:
    assert not [path for path in crate.rglob("*") if path.suffix in (".h5", ".safetensors", ".png")]
    images = of_type(entities, "Collection")
    assert [entity["name"] for entity in images] == ["2 images"] * len(PLATES)
    assert all(entity["contentSize"] == "10" for entity in images)  # "A_1 1" and "A_1 2"


def test_withheld_labels_are_named_by_hash_and_not_handed_on(
    recipe: SmallRecipe, crate: Path, entities: dict[str, dict[str, Any]]
) -> None:
    for name in ("s/answers.parquet", "s/r/wells.parquet"):
        (named,) = [entity for entity in of_type(entities, "File") if entity["name"] == name]
        assert named["@id"].startswith("ni:") and named["sha256"] == sha256_file(recipe.results / name)
        assert not (crate / "results" / name).exists()
    assert (crate / "results/s/sites.parquet").exists()


def test_the_settings_are_those_that_ran_whatever_is_planned_by_now(tmp_path: Path) -> None:
    recipe = SmallRecipe(tmp_path / "project")
    stage = recipe.results / "s/r/stages/train_model.json"
    before = stage.read_text()
    stage.write_text(before.replace("0.5", "0.7"))
    crate = write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)
    assert (crate / "results/s/r/stages/train_model.json").read_text() == before


def test_an_audit_of_the_crate_misses_what_is_not_in_it_and_nothing_else(
    recipe: SmallRecipe, crate: Path, tmp_path: Path
) -> None:
    assert walk(crate / "results/s/r/submission.csv").sha256 == walk(recipe.submission).sha256
    unpacked = tmp_path / "unpacked"
    shutil.copytree(crate, unpacked)
    here = unpacked / "results/s/r/submission.csv"
    outside = {name for name in walk(here).maker if Path(name).suffix in (".h5", ".safetensors")}
    outside.add("s/answers.parquet")
    verdict = audit(here, recipe.raw, unpacked / "workflow_scripts")
    assert {problem.split(":")[0] for problem in verdict.intact} == outside
    assert not [problem for problem in verdict.current if "plan.json" not in problem]  # a hand-made plan is not one
    for name in outside:
        (unpacked / "results" / name).write_bytes((recipe.results / name).read_bytes())
    assert not audit(here, recipe.raw, unpacked / "workflow_scripts").intact


def test_it_tells_code_version_environment_and_licences(entities: dict[str, dict[str, Any]]) -> None:
    workflow = entities["Snakefile"]
    assert workflow["version"] == f"git {COMMIT['commit']} with uncommitted changes"
    assert workflow["description"].startswith("The code in this crate is the code that ran")
    engine = entities["https://pypi.org/project/snakemake/9.27.1/"]
    assert engine["softwareVersion"] == "9.27.1"
    assert "Python" in {entity["name"].title() for entity in of_type(entities, "SoftwareApplication")}
    assert [licence["@id"] for licence in entities["./"]["license"]] == [
        "https://spdx.org/licenses/MIT",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    ]
    assert entities["./"]["datePublished"] == "2023-11-14T22:13:36+00:00"  # when the last job ended


def test_modules_that_changed_since_are_named(tmp_path: Path) -> None:
    recipe = SmallRecipe(tmp_path / "project")
    (recipe.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    crate = write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    workflow = next(entity for entity in graph if entity["@id"] == "Snakefile")
    assert "not quite the code that ran: cellsignal.loss: changed" in workflow["description"]
    assert workflow["version"].startswith("code ")


def test_it_holds_no_path_of_the_machine(recipe: SmallRecipe, crate: Path) -> None:
    texts = [path.read_text() for path in crate.rglob("*") if path.is_file()]
    assert len(texts) > 30
    assert not [text for text in texts if str(recipe.folder) in text or "/elsewhere" in text]


def test_the_same_results_give_the_same_crate(recipe: SmallRecipe, crate: Path, tmp_path: Path) -> None:
    again = write_crate(recipe.submission, tmp_path / "crate", raw_root=recipe.raw, library=recipe.library)
    files = sorted(path.relative_to(crate) for path in crate.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((crate / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_a_crate_is_replaced_but_nothing_else(recipe: SmallRecipe, tmp_path: Path) -> None:
    folder = write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)
    (folder / "stale").write_text("")
    write_crate(recipe.submission, folder, library=recipe.library)
    assert not (folder / "stale").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("dear")
    with pytest.raises(BadInput, match="not a crate"):
        write_crate(recipe.submission, other, library=recipe.library)
    assert (other / "thesis.tex").read_text() == "dear"


@pytest.mark.parametrize("name", ["submission.csv", "scores.json", "figures/score_ladder.svg"])
def test_a_file_that_is_not_what_was_made_is_not_exported(name: str, tmp_path: Path) -> None:
    recipe = SmallRecipe(tmp_path / "project")
    path = recipe.results / "s/r" / name
    path.write_text(path.read_text() + " ")
    with pytest.raises(BadInput, match=f"{name}: SHA-256"):
        write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)
    assert not (tmp_path / "crate").exists()


def test_receipts_that_do_not_fit_together_are_not_exported(tmp_path: Path) -> None:
    recipe, other = SmallRecipe(tmp_path / "project"), SmallRecipe(tmp_path / "other")
    other.job("index_sites", "s", {"sites.parquet": "other sites"}, raw=["metadata.csv"])
    name = "s/sites.parquet.receipt.json"
    (recipe.results / name).write_bytes((other.results / name).read_bytes())
    with pytest.raises(BadInput, match=r"sites\.parquet\.receipt\.json: not the receipt"):
        write_crate(recipe.submission, tmp_path / "crate", library=recipe.library)


def test_a_screen_without_a_submission_exports_its_scores(tmp_path: Path) -> None:
    recipe = SmallRecipe(tmp_path / "project")
    crate = write_crate(recipe.scores, tmp_path / "crate", library=recipe.library)
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    assert next(entity for entity in graph if entity["@id"] == "./")["name"] == "cellsignal: s/r/scores.json"
