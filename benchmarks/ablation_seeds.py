"""What is each part of DeepNoise worth, over several seeds? From the tables of finished ablations.

    python benchmarks/ablation_seeds.py results/bench_screen_*/bench_*/ablation.json
    python benchmarks/ablation_seeds.py --name ablation_mitocheck results/mitocheck/mitocheck/ablation.json

(recipes/bench.yaml says how to make the first.) Prints each rung's mean accuracy with the least and the largest over
seeds, and the step to the rung before; draws them beside the published values in benchmarks/results/NAME.svg,
and writes benchmarks/results/NAME.json with the machine and what the jobs took. Targets on the simulated screen: plate
over experiment over cell-type normalization in every seed, the best rung at least 0.97, 40 points above the first; on
MitoCheck: 0.88, and balanced 0.82.
"""

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.figures.ablation_ladder import ablation_ladder  # noqa: E402
from cellsignal.figures.style import save  # noqa: E402
from cellsignal.files import read_json, write_json  # noqa: E402
from cellsignal.intervals import LINE  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="ablation.json of each seed")
    parser.add_argument("--name", default="ablation", help="of the files that are written (default: ablation)")
    options = parser.parse_args()
    paths = options.tables
    tables = [read_json(path) for path in paths]
    names = [[rung["name"] for rung in table["rungs"]] for table in tables]
    if any(other != names[0] for other in names):
        sys.exit(f"{', '.join(map(str, paths))}: not the same rungs; expected ablations of one recipe")
    content = {
        "of": tables[0]["of"],
        "wells": min(table["wells"] for table in tables),
        "machine": machine(),
        "runs": [{"table": str(path), "seed": t["seed"], **spent(path)} for path, t in zip(paths, tables, strict=True)],
        "rungs": [over_seeds(rungs) for rungs in zip(*(table["rungs"] for table in tables), strict=True)],
    }
    print(in_words(content["rungs"]))
    for run in content["runs"]:
        print(f"{run['table']}: {run['jobs']} jobs, {run['cpu_seconds'] / 60:.0f} minutes of CPU")
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    write_json(ROOT / f"benchmarks/results/{options.name}.json", content)
    save(ablation_ladder(content), ROOT / f"benchmarks/results/{options.name}.svg")


def over_seeds(rungs: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One rung: mean accuracy, each seed's, the least and the largest (of one seed its interval); balanced accuracy."""
    kept = {key: rungs[0][key] for key in ("part", "name", "method", "plate_groups", "published")}
    for key in ("accuracy", "balanced_accuracy"):
        if all(key in rung for rung in rungs):
            kept[key] = sum(rung[key] for rung in rungs) / len(rungs)
    values = [rung["accuracy"] for rung in rungs]
    if len(values) > 1:
        spread: dict[str, Any] = {"low": min(values), "high": max(values)}
    else:  # the interval over experiments that the table has
        spread = {key: rungs[0][key] for key in LINE if key in rungs[0]}
    return kept | spread | {"seeds": values}


def in_words(rungs: list[dict[str, Any]]) -> str:
    """The table that is printed: a step is the mean over seeds of the difference to the rung before in its part."""
    table = pd.DataFrame(rungs)
    seeds = pd.DataFrame(table["seeds"].tolist())
    steps = seeds.diff().where(table["part"].eq(table["part"].shift()), float("nan"))
    table["step"] = steps.mean(axis=1).map("{:+.4f}".format).replace("+nan", "")
    table["helps in"] = [f"{(row > 0).sum()} of {len(row)}" if row.notna().all() else "" for _, row in steps.iterrows()]
    shown = [name for name in ("accuracy", "low", "high", "balanced_accuracy") if name in table]
    numbers = table[shown].map("{:.4f}".format).replace("nan", "")
    return pd.concat([table[["part", "name"]], numbers, table[["step", "helps in"]]], axis=1).to_string(index=False)


def spent(path: Path) -> dict[str, Any]:
    """Jobs, and seconds of CPU, of a recipe and of its screen, from Snakemake's benchmark files."""
    folders = (path.parent / "benchmarks", path.parent.parent / "benchmarks")
    rows = [pd.read_csv(file, sep="\t").iloc[0] for folder in folders for file in sorted(folder.rglob("*.tsv"))]
    return {"jobs": len(rows), "cpu_seconds": float(sum(float(row["cpu_time"]) for row in rows))}


def machine() -> str:
    """The processor and how many there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()
