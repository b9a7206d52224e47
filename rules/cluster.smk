# What only a cluster needs; no rules.

import shutil
import subprocess
import time

STARTED = time.time()
QUERY = ["squeue", "--noheader", "--format=%i|%T|%k|%Z"]  # id, state, comment, working directory


def queued_jobs():
    """Jobs that a Snakemake submitted from this folder and that still are in SLURM's queue: (id, text) each."""
    if shutil.which("squeue") is None:
        return []
    try:
        queue = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        print(f"SLURM's queue cannot be asked for jobs of an earlier run: {error}", file=sys.stderr)
        return []
    jobs = [line.split("|") for line in queue.splitlines()]
    return [
        (job, f"{job} ({state}): {comment}")
        for job, state, comment, folder in jobs
        if comment.startswith("rule_") and os.path.realpath(folder) == os.path.realpath(os.getcwd())
    ]


def slurm_errors():
    """What SLURM says of each job of this run that failed: its log, its errors in there, and the last line.

    Snakemake shows SLURM's log only after a log of the job that is not empty, and a job that was killed while
    it started has none. (It deletes SLURM's logs of jobs that succeeded.)
    """
    folder = getattr(workflow.executor_settings, "logdir", None)
    for path in sorted(Path(folder).rglob("*.log")) if folder else []:
        lines = path.read_text(errors="replace").splitlines()
        if path.stat().st_mtime > STARTED and lines:
            told = [line for line in lines if re.match(r"(slurmstepd|srun)\S*: error:", line)]
            yield "\n  ".join([f"SLURM's log {path}:", *dict.fromkeys([*told, lines[-1]])])


onerror:
    print(*slurm_errors(), sep="\n", file=sys.stderr)


def silent_accounting():
    """What sacct says where this run would ask it for its jobs and slurmdbd does not answer; empty otherwise."""
    if getattr(workflow.executor_settings, "status_command", None) != "sacct":
        return ""
    try:
        subprocess.run(
            ["sacct", "--noheader", "--jobs=0"], capture_output=True, text=True, check=True, timeout=60
        )
    except subprocess.CalledProcessError as error:
        return error.stderr.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


# A Snakemake that is killed leaves its jobs in the queue; another one would do their work a second time.
# One that gets no answer about its jobs says nothing and waits.
onstart:
    if unanswered := silent_accounting():
        stop(
            f"SLURM's accounting does not answer, so this run would never see its jobs end:\n  {unanswered}\n"
            "Run again when slurmdbd is up, or with --slurm-status-command squeue, which asks slurmctld."
        )
    if left := queued_jobs():
        listed = "\n".join(f"  {text}" for _, text in left)
        stop(
            f"{len(left)} jobs of an earlier run in this folder are still in SLURM's queue:\n{listed}\n"
            "Wait for them (what they make counts), or end them (a training saves its state and goes on from it):\n"
            f"  scancel {' '.join(job for job, _ in left)}\n"
            "Then run again."
        )
