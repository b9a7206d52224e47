"""What differs between two results is named once, where it begins, and never what only follows from it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_project import CELL_TYPE, RECIPE, TINY_RECIPE, Project

from cellsignal import cli
from cellsignal.errors import BadInput
from cellsignal.files import read_json
from cellsignal.provenance.diff import diff
from cellsignal.provenance.diff_text import diff_text
from cellsignal.provenance.receipts import read_receipt, receipt_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("finished") / "project").run()


def origins(found: dict[str, Any], *kinds: str) -> list[tuple[Any, ...]]:
    return [
        (origin["kind"], origin["name"], origin["a"], origin["b"])
        for origin in found["origins"]
        if not kinds or origin["kind"] in kinds
    ]


def text_of(found: dict[str, Any]) -> str:
    return "\n".join(line for line in diff_text(found) if isinstance(line, str))


def test_two_runs_of_the_same_do_not_differ(finished: Project, tmp_path: Path) -> None:
    again = Project(tmp_path / "again").run()
    found = diff(finished.submission, again.submission)
    assert found["same_receipt"] and found["same_file"] and not found["origins"]
    assert found["rows"] == {"of": 6, "changed": 0, "only_a": [], "only_b": [], "table": []}
    assert "The same receipt" in text_of(found)


def test_a_setting_is_named_once_with_the_stages_that_hold_it(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", recipe=TINY_RECIPE.replace("assignment", "none")).run()
    found = diff(finished.submission, other.submission)
    assert origins(found) == [("setting", "balance.method", "assignment", "none")]
    assert found["origins"][0]["stages"] == ["balance_plates", "pseudo_labels"] and found["origins"][0]["files_differ"]


def test_a_setting_without_effect_is_said_to_have_none(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", recipe=TINY_RECIPE.replace("views: 4", "views: 8")).run()
    found = diff(finished.submission, other.submission)
    assert origins(found) == [("setting", "predict.views", 4, 8)]
    assert found["same_file"] and not found["origins"][0]["files_differ"]
    assert "(no file of these stages differs)" in text_of(found)


def test_code_is_named_by_module(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    (other.library / "cellsignal/loss.py").write_text("def loss(x):\n    return 2 * x\n")
    found = diff(finished.submission, other.run().submission)
    ((kind, name, before, after),) = origins(found)
    assert (kind, name) == ("code", "cellsignal.loss") and before != after
    assert "train_model/deep" in found["origins"][0]["stages"] and "submission" in found["origins"][0]["stages"]
    assert "code cellsignal.loss: changed; in assign_folds, balance_plates" in text_of(found)


def test_a_package_is_named_with_both_versions(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    found = diff(finished.submission, Project(tmp_path / "other").run().submission)
    before = read_receipt(receipt_path(finished.submission)).packages["python"]
    assert origins(found) == [("package", "python", before, "3.99.0")]
    assert f"package python: {before} → 3.99.0" in text_of(found)


def test_a_raw_image_is_named_and_not_what_follows_from_it(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    (other.raw / "A/Plate1/B02_s1_w1.png").write_text("another image")
    found = diff(finished.submission, other.run().submission)
    assert [origin[:2] for origin in origins(found)] == [("raw file", "A/Plate1/B02_s1_w1.png")]
    assert found["origins"][0]["stages"] == ["pack_plate/A_1"] and not found["origins"][0]["files_differ"]
    assert "raw file A/Plate1/B02_s1_w1.png: changed; in pack_plate/A_1" in text_of(found)


def test_another_input_of_a_job_is_named(finished: Project, tmp_path: Path) -> None:
    stray = f"{RECIPE}/predictions/plain/fold0/{CELL_TYPE}/round0.h5"
    other = Project(tmp_path / "other").run(reads={"submission": [stray]})
    found = diff(finished.results / RECIPE / "scores.json", other.results / RECIPE / "scores.json")
    assert origins(found) == [("input", stray.replace(RECIPE, "recipe"), None, True)]
    assert "read in b only; in submission" in text_of(found)


def test_jobs_of_one_side_are_counted_by_rule(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", recipe="pseudo_labels: {rounds: 2}\n" + TINY_RECIPE).run()
    found = diff(finished.submission, other.submission)
    round2 = [f"recipe/models/deep/fold{fold}/{CELL_TYPE}/round2/teacher.safetensors" for fold in (0, 1)]
    assert ("jobs", "finetune_cell_type", None, round2) in origins(found)
    assert ("jobs", "pseudo_labels", None, ["recipe/rounds/1/pseudo_labels.parquet"]) in origins(found)
    assert origins(found, "input", "setting", "code") == [("input", "recipe/ensembles/round1.h5", True, None)]
    assert "2 jobs of predict in b only: recipe/predictions/deep/fold0" in text_of(found)
    back = diff(other.submission, finished.submission)
    assert ("jobs", "finetune_cell_type", round2, None) in origins(back)
    assert "2 jobs of predict in a only" in text_of(back)


def test_results_that_differ_for_no_known_reason_are_unexplained_at_their_origin(
    finished: Project, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other").run(seed=3)
    found = diff(finished.submission, other.submission)
    named = {name for kind, name, *_ in origins(found) if kind == "unexplained"}
    assert {Path(name).parent.as_posix() for name in named} == {
        f"recipe/models/deep/fold{fold}/stage1" for fold in (0, 1)
    }
    assert "same settings, code, packages and inputs, but another output" in text_of(found)


def test_changed_rows_are_listed_with_the_step_at_which_they_differ_first(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other").run(seed=11, strength=0.2)
    found = diff(finished.submission, other.submission)
    before, after = (pd.read_csv(side.submission).set_index("id_code")["sirna"] for side in (finished, other))
    changed = before[before != after].index.tolist()
    assert changed  # the seed was chosen for it
    assert [row["well_id"] for row in found["rows"]["table"]] == changed
    assert found["rows"]["changed"] == len(changed) and found["rows"]["of"] == 6
    for row in found["rows"]["table"]:
        assert (row["a"], row["b"]) == (before[row["well_id"]], after[row["well_id"]])
        rounds = [called(finished, other, number, row["well_id"]) for number in (0, 1)]
        expected = [f"ensemble, round {number}" for number in (0, 1) if rounds[number][0] != rounds[number][1]]
        assert row["since"] == (expected or ["balancing"])[0]
    assert f"{len(changed)} of 6 rows differ" in text_of(found)


def called(one: Project, other: Project, number: int, well: str) -> list[int]:
    """The likeliest treatment class of a well in a round, on both sides."""
    return [int(side.balanced(number).probabilities.of_wells([well])[0, :6].argmax()) for side in (one, other)]


def test_scores_are_compared_number_by_number(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other").run(seed=11)
    a, b = (side.results / RECIPE / "scores.json" for side in (finished, other))
    found = diff(a, b)
    numbers = {row["name"]: (row["a"], row["b"]) for row in found["scores"]}
    expected = tuple(read_json(path)["out_of_fold"]["calibration_error"] for path in (a, b))
    assert numbers["out_of_fold.calibration_error"] == expected
    assert found["rows"]["of"] == 24
    assert "Scores that differ" in text_of(found)


def test_another_name_of_the_recipe_is_no_difference(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", recipe="recipe: other\n" + TINY_RECIPE).run()
    assert other.recipe == "small/other"
    found = diff(finished.submission, other.submission)
    assert not found["same_receipt"] and found["same_file"] and not found["origins"]
    assert "No cause: only names or places differ." in text_of(found)
    assert cli.main(["diff", str(finished.submission), str(other.submission)]) == 0


def test_another_name_of_the_screen_is_a_setting_and_nothing_else(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", recipe="screen: {name: large}\n" + TINY_RECIPE).run()
    assert origins(diff(finished.submission, other.submission)) == [("setting", "screen.name", "small", "large")]


def test_an_archive_without_ensembles_cannot_say_since_when(finished: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other").run(seed=11, strength=0.2)
    for number in (0, 1):
        (other.results / RECIPE / f"ensembles/round{number}.h5").unlink()
    found = diff(finished.submission, other.submission)
    assert {row["since"] for row in found["rows"]["table"]} == {None}


def test_two_results_of_different_kinds_are_not_compared(finished: Project) -> None:
    with pytest.raises(BadInput, match="expected two results of one kind"):
        diff(finished.submission, finished.results / RECIPE / "scores.json")
