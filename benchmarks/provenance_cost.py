"""What do stage files and receipts cost? Their share of a run's time.

    python benchmarks/provenance_cost.py results/demo_screen

sums the time that every job of a finished run spent on its stage file, its inputs' receipts, hashing its outputs
and writing its receipt and run record, adds what planning spends on digesting the code and writing every stage
file (done again here, into a temporary folder), and sets it against the run's time: the jobs' own, start of Python
and imports included, from Snakemake's benchmark files. Writes benchmarks/results/provenance_cost.json. Target:
under 3 %.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from cellsignal.files import read_json, write_json  # noqa: E402
from cellsignal.provenance.code import code_digests  # noqa: E402
from cellsignal.provenance.plan import Plan  # noqa: E402
from cellsignal.provenance.stages import read_stage  # noqa: E402

NO_STAGES = {"plan.json", "sources.json", "summary.json", "jobs.json"}


def planning_seconds(screen: Path) -> tuple[int, float]:
    """How many stage files the results of a screen have, and the time to digest the code and write them all."""
    paths = [path for path in screen.glob("**/stages/**/*.json") if path.name not in NO_STAGES]
    stages = {path.relative_to(screen): read_stage(path) for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for rule in {stage.rule for stage in stages.values()}:
            code_digests(SCRIPTS / f"{rule}.py", SCRIPTS)
        plan = Plan([folder])
        for name, stage in stages.items():
            plan.add_stage(Path(folder) / name, stage)
        plan.write()
        seconds = time.perf_counter() - started
        plan.release()
    return len(stages), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screen", type=Path, help="results of a screen, such as results/demo_screen")
    screen = parser.parse_args().screen
    records = pd.DataFrame([read_json(path) for path in screen.glob("**/logs/**/*.run.json")])
    if records.empty:
        sys.exit(f"{screen}: holds no run records (logs/**/*.run.json); expected the results of a finished run")
    whole = sum(float(pd.read_csv(path, sep="\t")["s"].iloc[0]) for path in screen.glob("**/benchmarks/**/*.tsv"))
    table = records.groupby("rule")[["seconds", "provenance_seconds"]].sum()
    table["jobs"] = records["rule"].value_counts()
    table["share"] = table["provenance_seconds"] / table["seconds"]
    in_jobs = float(records["provenance_seconds"].sum())
    stages, planning = planning_seconds(screen)
    cost = in_jobs + planning
    print(table.sort_values("provenance_seconds", ascending=False).round(3).to_string())
    print(f"planning: {planning:.2f} s for {stages} stage files")
    print(f"{cost:.1f} s of {whole:.1f} s in {len(records)} jobs: {100 * cost / whole:.2f} %")
    content = {
        "jobs": len(records),
        "stage_files": stages,
        "provenance_seconds_in_jobs": round(in_jobs, 3),
        "provenance_seconds_in_planning": round(planning, 3),
        "job_seconds": round(whole, 3),
        "share": round(cost / whole, 5),
    }
    write_json(ROOT / "benchmarks/results/provenance_cost.json", content)


if __name__ == "__main__":
    main()
