"""SLURM's own daemons going away while jobs run. With accounting, so that slurmdbd can go, too."""

import time

from drills import Drill, write_profile

ACCOUNTING = True


def test_a_run_outlasts_a_restart_of_slurmctld(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    drill.trains(run)
    drill.cluster.stop("slurmctld")
    time.sleep(15)
    drill.cluster.start_slurmctld()
    run.end()
    assert drill.resumed_at() == 0 and drill.weights() == reference
    drill.check_aftermath()


def test_with_sacct_a_run_is_refused_without_slurmdbd_and_outlasts_its_restart(drill: Drill, reference: bytes) -> None:
    write_profile(drill.project, {"slurm-status-command": "sacct"})
    drill.cluster.stop("slurmdbd")
    try:
        output = drill.start().end(succeeds=False)
        assert "SLURM's accounting does not answer" in output and "--slurm-status-command squeue" in output
        assert "has been submitted" not in output and not drill.cluster.jobs()
    finally:
        drill.cluster.start_slurmdbd()
    run = drill.start()
    job = drill.trains(run)
    drill.cluster.stop("slurmdbd")
    try:
        drill.wait("end of the job", lambda: not drill.cluster.jobs(), run)
    finally:
        drill.cluster.start_slurmdbd()
    run.end()
    assert drill.weights() == reference
    [[state, gpu]] = [
        line.split("|")
        for line in drill.cluster.command("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,AllocTRES").splitlines()
    ]
    assert state == "COMPLETED" and "gres/gpu=1" in gpu
    drill.check_aftermath()


def test_a_run_does_not_need_slurmdbd(drill: Drill, reference: bytes) -> None:
    drill.cluster.stop("slurmdbd")
    try:
        drill.start().end()
        assert drill.weights() == reference
        drill.check_aftermath()
    finally:
        drill.cluster.start_slurmdbd()
