"""What do stage files and receipts cost? Their share of a run's time, and of planning one.

    python benchmarks/provenance_cost.py results/demo_screen

sums the time that every job of a finished run spent on its stage file, its inputs' receipts, hashing its outputs
and writing its receipt and run record, and sets it against the run's time: the jobs' own (start of Python and
imports included, from Snakemake's benchmark files). Writes benchmarks/results/provenance_cost.json. Target:
under 3 %.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.files import read_json, write_json  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screen", type=Path, help="results of a screen, such as results/demo_screen")
    screen = parser.parse_args().screen
    records = pd.DataFrame([read_json(path) for path in screen.rglob("logs/**/*.run.json")])
    whole = sum(float(pd.read_csv(path, sep="\t")["s"].iloc[0]) for path in screen.rglob("benchmarks/**/*.tsv"))
    table = records.groupby("rule")[["seconds", "provenance_seconds"]].sum()
    table["jobs"] = records["rule"].value_counts()
    table["share"] = table["provenance_seconds"] / table["seconds"]
    cost = float(records["provenance_seconds"].sum())
    print(table.sort_values("provenance_seconds", ascending=False).round(3).to_string())
    print(f"{cost:.1f} s of {whole:.1f} s in {len(records)} jobs: {100 * cost / whole:.2f} %")
    content = {"jobs": len(records), "provenance_seconds": cost, "job_seconds": whole, "share": cost / whole}
    write_json(ROOT / "benchmarks/results/provenance_cost.json", content)


if __name__ == "__main__":
    main()
