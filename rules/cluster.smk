# What only a cluster needs; no rules.

import shutil
import subprocess

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


# A Snakemake that is killed leaves its jobs in the queue; another one would do their work a second time.
onstart:
    if left := queued_jobs():
        listed = "\n".join(f"  {text}" for _, text in left)
        stop(
            f"{len(left)} jobs of an earlier run in this folder are still in SLURM's queue:\n{listed}\n"
            "Wait for them (what they make counts), or end them (a training saves its state and goes on from it):\n"
            f"  scancel {' '.join(job for job, _ in left)}\n"
            "Then run again."
        )
