"""Jobs that the cluster stops: the training goes on where it was, and ends in the bytes of one that was not stopped."""

from drills import Drill, write_profile


def test_a_preempted_job_is_requeued_and_goes_on(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    job = drill.trains(run)
    drill.cluster.command("scontrol", "requeue", job)
    run.end()
    assert "Restarts=1" in drill.cluster.command("scontrol", "show", "job", job)
    assert drill.resumed_at() > 0 and drill.weights() == reference
    drill.check_aftermath()


def test_a_job_at_its_time_limit_saves_its_state_and_the_retry_goes_on(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    job = drill.trains(run)
    drill.pause(job)
    drill.cluster.command("scontrol", "update", f"JobId={job}", "EndTime=now")  # noticed within 30 s
    retry = drill.trains(run, other_than=job)
    assert drill.cluster.jobs("i", "T", states="timeout") == [[job, "TIMEOUT"]] and retry != job
    run.end()
    assert drill.resumed_at() > 0 and drill.weights() == reference
    drill.check_aftermath()


def test_a_job_whose_node_goes_down_goes_on_on_another(drill: Drill, reference: bytes) -> None:
    run = drill.start()
    job = drill.trains(run)
    [[node]] = drill.cluster.jobs("N", states="running")
    drill.cluster.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=drill")
    try:
        run.end()
    finally:
        drill.cluster.bring_up(node)
    details = drill.cluster.command("scontrol", "show", "job", job)
    assert "Restarts=1" in details and f"NodeList={node}\n" not in details
    assert drill.resumed_at() > 0 and drill.weights() == reference
    drill.check_aftermath()


def test_a_job_killed_for_its_memory_says_so_and_is_tried_again_with_more(drill: Drill) -> None:
    large = {"name": "byobnet", "backbone": "resnet18"}  # 200 MB more, once it trains
    drill.project.overlay({"models": [large], "train": {"epochs": 1}})
    write_profile(drill.project, {"set-resources": {"train_model": {"mem_mb": "500 if attempt == 1 else 4000"}}})
    output = drill.start().end()
    assert "exceeded memory limit" in output and "Trying to restart job" in output
    drill.check_aftermath()
