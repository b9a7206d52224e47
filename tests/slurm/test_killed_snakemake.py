"""A Snakemake that is killed leaves its jobs in the queue: their work is neither lost nor done twice."""

from drills import WEIGHTS, Drill


def refused(drill: Drill, job: str) -> None:
    """Unlock, as Snakemake asks; a new run then names the job that is still there, and does nothing."""
    assert "--unlock" in drill.start().end(succeeds=False)
    drill.project.run("--unlock")
    output = drill.start().end(succeeds=False)
    assert "1 jobs of an earlier run in this folder are still in SLURM's queue" in output
    assert f"scancel {job}" in output and "has been submitted" not in output
    assert [row[0] for row in drill.cluster.jobs()] == [job]


def test_what_its_job_makes_afterwards_counts(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    job = drill.trains(run)
    run.kill()
    refused(drill, job)
    drill.wait("end of the job", lambda: not drill.cluster.jobs())
    assert drill.weights() == reference
    made = (drill.project.folder / WEIGHTS).stat().st_mtime_ns
    assert "Nothing to be done" in drill.start().end()
    assert (drill.project.folder / WEIGHTS).stat().st_mtime_ns == made
    drill.check_aftermath()


def test_a_job_that_is_cancelled_instead_is_gone_on_with(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    job = drill.trains(run)
    run.kill()
    refused(drill, job)
    drill.cluster.command("scancel", job)
    drill.wait("empty queue", lambda: not drill.cluster.jobs())
    assert not (drill.project.folder / WEIGHTS).exists()
    drill.start().end()
    assert drill.resumed_at() > 0 and drill.weights() == reference
    drill.check_aftermath()
