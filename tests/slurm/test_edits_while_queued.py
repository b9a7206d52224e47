"""What is edited while jobs wait in the queue: code stops them, settings are those that they were planned with."""

import json

from drills import WEIGHTS, Drill, write_profile

LOSSES = "workflow_scripts/cellsignal/losses.py"


def settings(drill: Drill) -> dict[str, float]:
    """The settings of the training in its receipt."""
    receipt = json.loads((drill.project.folder / f"{WEIGHTS}.receipt.json").read_text())
    return dict(receipt["stage"]["settings"]["train"])


def test_code_edited_while_a_job_queues_stops_it_and_names_the_module(held: Drill) -> None:
    write_profile(held.project, {"retries": 0})
    held.project.overlay({"train": {"epochs": 2}})
    run = held.start()
    held.submitted(run)
    path = held.project.folder / LOSSES
    path.write_text(f"{path.read_text()}\n\nCHANGED = True\n")
    held.release()
    output = run.end(succeeds=False)
    assert "train_model: the code changed after this job was planned; run snakemake again" in output
    assert "cellsignal.losses: changed" in output and "Traceback" not in output
    assert not (held.project.folder / WEIGHTS).exists()
    held.start().end()
    held.check_aftermath()


def test_a_job_runs_with_the_settings_that_it_was_planned_with(held: Drill) -> None:
    held.project.overlay({"train": {"epochs": 3}})
    run = held.start()
    held.submitted(run)
    held.project.overlay({"train": {"epochs": 2}})
    held.release()
    run.end()
    assert settings(held)["epochs"] == 3 and "epoch 3/3" in held.log()
    held.start().end()  # a plain rerun brings it up to date
    assert settings(held)["epochs"] == 2 and "epoch 2/2" in held.log()
    held.check_aftermath()
