"""How long does planning take at RxRx1's full size? With the real tables of the competition, no images needed.

    python benchmarks/planning_time.py PATH/TO/kaggle-tables

plans config.yaml (2 backbones, 5 folds, 4 cell types, 3 rounds, 204 plates) in a temporary folder. Parsing alone is
`snakemake --list-rules`; the dry run adds building and checking the DAG. The first plan reads the tables; later
ones use the summary beside the results. A no-op dry run is one whose outputs all exist; here they are made as
empty files. Writes benchmarks/results/planning_time.json. Targets: parsing under 5 s, a no-op dry run under 10 s.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def timed(project: Path, *arguments: str) -> tuple[float, str]:
    """Seconds and output of a Snakemake call in `project`."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", "full.yaml"],
        cwd=project, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - started, done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tables", type=Path, help="folder of train.csv, test.csv, train_controls.csv, test_controls.csv"
    )
    tables = parser.parse_args().tables.resolve()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        ignore = shutil.ignore_patterns(".venv", ".git", "results", ".snakemake", "__pycache__")
        shutil.copytree(ROOT, project, ignore=ignore, symlinks=True)
        settings = {"screen": {"name": "full", "kind": "kaggle", "root": str(tables)}}
        (project / "full.yaml").write_text(json.dumps(settings))  # JSON is YAML
        first, _ = timed(project, "--list-rules")
        parsing = min(timed(project, "--list-rules")[0] for _ in range(3))
        dry, output = timed(project, "all", "-n")
        jobs = int(re.findall(r"^total\s+(\d+)", output, re.MULTILINE)[-1])
        make_outputs(project, timed(project, "all", "--summary")[1])
        nothing, said = timed(project, "all", "-n")
        if "Nothing to be done" not in said:
            sys.exit(said[-3000:])
    content = {
        "jobs": jobs,
        "first_parse_seconds": first,
        "parse_seconds": parsing,
        "dry_run_seconds": dry,
        "no_op_dry_run_seconds": nothing,
    }
    for name, value in content.items():
        print(f"{name:>24}  {value:.2f}" if isinstance(value, float) else f"{name:>24}  {value}")
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/planning_time.json").write_text(json.dumps(content, indent=1) + "\n")


def make_outputs(project: Path, summary: str) -> None:
    """Make every output that `--summary` lists, as an empty file newer than the plan."""
    now = time.time()
    for name in re.findall(r"^(results/\S+)\t", summary, re.MULTILINE):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now, now))


if __name__ == "__main__":
    main()
