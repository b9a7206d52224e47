"""Does the demo, run through a real SLURM, end in the bytes of a local run?

    python benchmarks/slurm_demo.py RESULTS_OF_A_LOCAL_RUN

runs recipes/demo.yaml from index to submission with `--profile slurm`, as it is, on the SLURM that the tests start
(root, Debian's slurm packages), in a copy of this checkout in a temporary folder. Then it compares all receipts,
which name every output by its SHA-256, with those of a finished `make demo` of the same code (`results`), and rehashes
the submission's ancestors. Writes benchmarks/results/slurm_demo.json; exit status 1 where anything differs.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests/slurm"), str(ROOT / "tests/workflow")]

from cluster import Cluster, obstacles  # noqa: E402
from projects import Project, environment  # noqa: E402

RECIPE = "recipes/demo.yaml"
PARTITIONS = ("cpu", "gpu")


def receipts(results: Path) -> dict[str, bytes]:
    """Every receipt below a results folder, by its path in there."""
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in results.rglob("*.receipt.json")}


def run(project: Project, cluster: Cluster) -> dict[str, object]:
    """Run the demo on the cluster; what it took."""
    command = project.command("all", profile="slurm", recipe=RECIPE)
    started = time.monotonic()
    done = subprocess.run(command, cwd=project.folder, env=environment(), capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode:
        sys.exit(output[-6000:])
    jobs = cluster.command("sacct", "-X", "-n", "-P", "-o", "Partition,State").splitlines()
    return {
        "jobs": int(re.findall(r"^total\s+(\d+)", output, re.MULTILINE)[0]) - 1,  # less the target, `all`
        "submissions": output.count("has been submitted"),
        "completed_in_partition": {name: jobs.count(f"{name}|COMPLETED") for name in PARTITIONS},
        "tried_again": output.count("Trying to restart job"),
        "wall_seconds": round(time.monotonic() - started),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results of a finished `make demo`")
    local = receipts(parser.parse_args().results)
    if not local:
        sys.exit("no receipts there: expected the results of a finished `make demo`")
    if reason := obstacles(accounting=True):
        sys.exit(f"no SLURM can be started: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder) / "project")
        with Cluster(accounting=True) as cluster:
            content = run(project, cluster)
        remote = receipts(project.folder / "results")
        verdict = project.audit("results/demo_screen/demo/submission.csv")
    different = sorted(name for name in local.keys() | remote.keys() if local.get(name) != remote.get(name))
    content |= {
        "receipts": len(remote),
        "identical_to_the_local_run": len(local.keys() | remote.keys()) - len(different),
        "different": different,
        "audit": verdict.strip().splitlines()[0],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(content, indent=1))
    (ROOT / "benchmarks/results/slurm_demo.json").write_text(json.dumps(content, indent=1) + "\n")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
