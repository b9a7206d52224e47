"""Settings that are wrong stop the planning, with all problems at once, before anything is written."""

from projects import OVERLAY, Project


def test_wrong_settings_are_named_with_file_key_and_what_to_write(fresh: Project) -> None:
    (fresh.folder / OVERLAY).write_text("train: {weight_decai: 0.1, rate: 3e-4}\nfolds: {count: 0}\n")
    output = fresh.fail("all")
    assert "configuration: 3 problems" in output
    assert f"{OVERLAY}: train.weight_decai: unknown key (did you mean `weight_decay`?)" in output
    assert f"{OVERLAY}: train.rate: '3e-4' is text, not a number" in output and "write 3.0e-4" in output
    assert f"{OVERLAY}: folds.count: input should be greater than or equal to 1, found 0" in output
    assert not (fresh.folder / "results").exists()


def test_a_simulated_screen_that_cannot_be_is_refused_when_planned(fresh: Project) -> None:
    fresh.overlay({"screen": {"plate_rows": 3, "simulated": {"cell_types": {"HUVEC": [0, 0]}}}})
    output = fresh.fail("all")
    assert "has 3 wells inside its border; expected at least 5" in output
    assert "screen.simulated.cell_types.HUVEC: [0, 0]" in output
    assert not (fresh.folder / "results").exists()
