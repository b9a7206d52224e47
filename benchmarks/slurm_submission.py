"""What does a cluster's scheduler see of RxRx1 at full size, and what does each submission cost?

    python benchmarks/slurm_submission.py PATH/TO/kaggle-tables

plans config.yaml with `--profile slurm` in a temporary folder, from the real tables of the competition, without
images. It counts the jobs of the workflow and the submissions that they share, and measures what each submission
costs before its work begins: SLURM's job runs Snakemake twice (a job and its step), each of which reads the plan
again. Where a SLURM can be started (root, Debian's slurm packages), `sbatch` and a job that does nothing are timed,
too. Times are of the processor: what an idle core takes. Writes benchmarks/results/slurm_submission.json.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/slurm"))

from cluster import Cluster, obstacles  # noqa: E402

SUBMISSIONS = 50  # timed one after the other


def processor_seconds(project: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[float, str]:
    """Processor seconds and output of a Snakemake call in `project`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", "full.yaml"],
        cwd=project, capture_output=True, text=True, env=os.environ | (env or {}),
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done.stdout + done.stderr


def submissions(dry_run: str) -> dict[str, int]:
    """Submissions of each rule or group that a dry run with `--profile slurm` announces, and how many in all."""
    groups = re.findall(r"^\[.*\] Group job (\w+) ", dry_run, re.MULTILINE)
    alone = re.findall(r"^Job \d+: (\w+)", dry_run, re.MULTILINE)  # the first word of the rule's message
    names = [*groups, *alone]
    return {name: names.count(name) for name in sorted(set(names))} | {"in all": len(names)}


def plan(tables: Path) -> dict[str, object]:
    """Counts and times of the full-size plan."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        ignore = shutil.ignore_patterns(".venv", ".git", "results", ".snakemake", "__pycache__", "logs")
        shutil.copytree(ROOT, project, ignore=ignore, symlinks=True)
        settings = {"screen": {"name": "full", "kind": "kaggle", "root": str(tables)}}
        (project / "full.yaml").write_text(json.dumps(settings))  # JSON is YAML
        dry, output = processor_seconds(project, "all", "-n", "--profile", "slurm")
        plan = {"CELLSIGNAL_PLAN": str(project / "results/full/deepnoise/stages/plan.json")}
        starts = {
            # What a job does before its script: the plan, and the part of the DAG that it belongs to.
            rule: processor_seconds(
                project, "-n", "--mode", "remote", "--nolock", "--target-jobs", f"{rule}:{wildcards}",
                "--allowed-rules", rule, env=plan,
            )[0]
            for rule, wildcards in (("pack_plate", "plate=HUVEC-01_1"), ("train_model", "model=xception,fold=0"))
        }  # fmt: skip
    return {
        "jobs": int(re.findall(r"^total\s+(\d+)", output, re.MULTILINE)[-1]) - 1,  # less the target, `all`
        "submissions": submissions(output),
        "planning_seconds": round(dry, 1),
        "seconds_of_a_snakemake_in_a_job": {rule: round(spent, 1) for rule, spent in starts.items()},
    }


def cluster_times() -> dict[str, float]:
    """Wall-clock seconds of an `sbatch`, and from there to the end of a job that does nothing."""
    with Cluster() as cluster:
        started = time.perf_counter()
        for _ in range(SUBMISSIONS):
            cluster.command("sbatch", "--parsable", "--output=/dev/null", "--wrap=true")
        sbatch = (time.perf_counter() - started) / SUBMISSIONS
        cluster.wait("an empty queue", lambda: not cluster.jobs())
        started = time.perf_counter()
        cluster.command("sbatch", "--wait", "--output=/dev/null", "--wrap=srun true")
        return {"sbatch_seconds": round(sbatch, 3), "empty_job_seconds": round(time.perf_counter() - started, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, help="folder of train.csv, test.csv and the tables of controls")
    content = plan(parser.parse_args().tables.resolve())
    if reason := obstacles():
        print(f"sbatch not timed: {reason}")
    else:
        content |= cluster_times()
    print(json.dumps(content, indent=1))
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/slurm_submission.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
