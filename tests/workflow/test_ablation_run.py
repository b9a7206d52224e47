"""`snakemake ablation`: trains the references of figure 3(a) and nothing else, and scores every rung."""

import json

import pandas as pd
import pytest
from projects import Project, job_counts

RECIPE = "results/tiny_screen/tiny"


def test_rungs_share_what_the_recipe_has_made_and_the_table_passes_the_audit(project: Project) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.results("models/**/*.safetensors")}
    output = project.run("ablation")
    assert job_counts(output) == {
        "train_model": 4,  # softmax with experiment and plate normalization × 2 folds; the baseline has the third
        "finetune_cell_type": 12,  # alone, with EMA, and a round without labels or with three other kinds, × 2 folds
        "predict": 20,  # those, the references, stage 1 and plate statistics of the recipe's model, × 2 folds
        "ensemble_teachers": 11,
        "pseudo_labels": 3,  # without layout, with uniqueness, with plate groups
        "ablation_table": 1,
        "ablation_ladder": 1,
        "ablation": 1,
    }
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert project.planned() == {} and job_counts(project.run("ablation", "--dry-run")) == {}

    table = json.loads((project.folder / RECIPE / "ablation.json").read_text())
    assert (table["of"], table["wells"], table["recipe"], table["screen"]) == ("test wells", 8, "tiny", "tiny_screen")
    layout = ["raw", "uniqueness", "iterative", "assignment"]
    layout += [f"{method}, plate groups" for method in layout[1:]]
    assert [rung["name"] for rung in table["rungs"]] == [
        "cell type normalization", "experiment normalization", "plate normalization",
        "softmax, plate normalization", "+ ArcFace", "+ fine-tune alone", "+ EMA", "+ consistency (mean teacher)",
        "round 0", "a further round, no pseudo-labels", "pseudo-labels, no layout", "pseudo-labels, uniqueness",
        "pseudo-labels, uniqueness, plate groups", "pseudo-labels, assignment, plate groups (as the recipe)",
        *(f"round {number}, {name}" for number in (0, 1) for name in layout),
        "plate BatchNorm statistics, raw", "assignment, plate groups, plate BatchNorm",
    ]  # fmt: skip
    assert [one["name"] for one in table["clusters"]] == [
        "round 0", "a further round, no pseudo-labels", "a further round, pseudo-labels",
    ]  # fmt: skip
    ladder = json.loads((project.folder / RECIPE / "scores.json").read_text())["ladder"]
    of_score = {rung["name"]: rung["accuracy"] for rung in ladder["rungs"] + ladder["all"]}
    of_ablation = {rung["name"]: rung["accuracy"] for rung in table["rungs"]}
    for name, same in {
        "cell type normalization": "baseline",
        "pseudo-labels, assignment, plate groups (as the recipe)": "ensemble, round 1",
        "round 1, iterative": "+ iterative",
        "round 1, assignment, plate groups": "+ assignment + plate groups",
    }.items():
        assert of_ablation[name] == of_score[same], name
    assert (project.folder / RECIPE / "figures/ablation.svg").read_bytes().startswith(b"<?xml")
    behind = pd.read_csv(project.folder / RECIPE / "figures/ablation.csv")
    assert behind.set_index("name")["accuracy"].to_dict() == pytest.approx(of_ablation, abs=1e-5)
    assert "PASSED" in project.audit(f"{RECIPE}/ablation.json")


def test_a_false_label_in_the_answers_changes_no_training_artefact_by_a_bit(project: Project) -> None:
    """The workflow is run again on tables in which two test wells have each other's labels."""
    last = "models/byobnet/fold0/HUVEC/round1/teacher.safetensors"
    patterns = ("sites.parquet", "folds.parquet", "normalization/*.parquet", "models/byobnet/**/*.safetensors",
                "models/byobnet/**/*.csv", "models/byobnet/**/rows.parquet", "rounds/**/*.parquet",
                "predictions/byobnet/**/round0.h5", "ensembles/round0.h5")  # fmt: skip
    made = {path: path.read_bytes() for pattern in patterns for path in project.results(pattern)}
    answers = pd.read_parquet(project.one("answers.parquet"))

    (table,) = [path for path in project.results("raw/metadata/*.csv") if path.name == "HUVEC-03_1.csv"]
    rows = pd.read_csv(table)
    one, other = rows.loc[rows["well_type"] == "treatment", "sirna_id"].unique()[:2]
    names = dict(zip(rows["sirna_id"], rows["sirna"], strict=True))
    rows["sirna_id"] = rows["sirna_id"].replace({one: other, other: one})
    rows["sirna"] = rows["sirna_id"].map(names)
    rows.to_csv(table, index=False, lineterminator="\n")

    output = project.run(f"{RECIPE}/{last}", "--forcerun", "index_sites")
    assert job_counts(output) == {
        "index_sites": 1, "normalization": 1, "assign_folds": 1, "train_model": 2, "finetune_cell_type": 3,
        "predict": 2, "ensemble_teachers": 1, "pseudo_labels": 1,
    }  # fmt: skip
    planted = pd.read_parquet(project.one("answers.parquet"))
    assert (planted["sirna"] != answers["sirna"]).sum() == 2
    assert len(made) > 20
    for path, content in made.items():
        assert path.read_bytes() == content, path.name
