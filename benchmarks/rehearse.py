"""Does a recipe for RxRx1 run through at its true shape? A rehearsal before the GPU-weeks.

    make rehearse RECIPES="config explain"        # without RECIPES: all five
    python benchmarks/rehearse.py [RECIPE …] [--folder FOLDER] [--until RULE] [--dry-run] [--clean]

runs recipes through the real workflow (Snakefile, profiles/local): the competition's tables (below CELLSIGNAL_DATA), 51
experiments, 204 plates, 125,510 sites of six PNGs each, the recipe's own folds, models, heads, cell types, rounds,
figures and audit. Small are images, networks, epochs, batches, views and threads alone (rehearsal_settings.py here);
what was changed for that is listed in the results, setting by setting. `config` is config.yaml itself, and its
ablation.

A rehearsal must end with a submission of 19,897 rows and a passed audit, and every job that the recipe's numbers ask
for must have left its record; exit status 1 otherwise. Started again, it goes on where it was. Jobs, times and memory
per rule, beside what the rule asked for, go to benchmarks/results/rehearsal.json, a recipe at a time. What pixels and
wide embeddings need of memory cannot be seen here, on images of 16 pixels and with networks of some ten thousand
weights; for embeddings there is benchmarks/figure_memory.py.

All recipes share the raw screen and its packing. Disk: 3 GB of images in 753,060 files, and what each recipe leaves,
most of it predictions (the script says how much there is). FOLDER, by default results/rehearsal, must be new, empty or
of an earlier rehearsal; `--clean` removes it, and nothing else.
"""

import argparse
import ast
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from rehearsal_screen import read_tables, write_screen  # noqa: E402
from rehearsal_settings import SCREEN, changes, rehearsed  # noqa: E402

from cellsignal.config.load import read_config  # noqa: E402
from cellsignal.config.schema import Config  # noqa: E402
from cellsignal.files import byte_count, read_json, write_json  # noqa: E402
from cellsignal.provenance.job import git_version  # noqa: E402
from cellsignal.sizing import CUDA_MB  # noqa: E402

RECIPES = ["config", "first_place", "plate_batchnorm", "explain", "capstone"]
ABLATED = {"config"}
RESULTS = ROOT / "benchmarks/results/rehearsal.json"
MARK = "THIS_IS_A_REHEARSAL"  # a file of this name says whose the folder is
CELL_TYPES, PLATES, TEST_WELLS = 4, 204, 19_897
SNAKEMAKES_MB = 500  # on a cluster a job is its script and two Snakemakes, of 190 to 270 MB each where this was written
MUCH = 4  # times what was held: an ask that keeps jobs waiting for nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)}; default: all of them")
    parser.add_argument("--folder", type=Path, default=ROOT / "results/rehearsal", help="for images and results")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--until", metavar="RULE", help="stop after this rule: a part of a rehearsal, not recorded")
    parser.add_argument("--dry-run", action="store_true", help="count the jobs that are still to run")
    parser.add_argument("--clean", action="store_true", help="remove the folder of the rehearsal")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.clean:
        return clean(folder)
    if unknown := sorted(set(arguments.recipes) - set(RECIPES)):
        parser.error(f"no recipe for RxRx1: {', '.join(unknown)}; expected some of {', '.join(RECIPES)}")
    if not os.environ.get("CELLSIGNAL_DATA"):
        parser.error("CELLSIGNAL_DATA is not set; expected the folder that holds rxrx1-metadata/ with RxRx1's tables")
    mark(folder)
    started = time.monotonic()
    images = write_screen(folder / "raw", read_tables(Path(os.environ["CELLSIGNAL_DATA"])), processes=arguments.cores)
    print(f"{images:,} images in {folder / 'raw'} ({time.monotonic() - started:.0f} s)", flush=True)
    problems = []
    for name in arguments.recipes or RECIPES:
        problems += rehearse(name, folder, arguments)
    print(f"{folder} holds {byte_count(used(folder))}; --clean removes it", flush=True)
    sys.exit("\n".join(problems) if problems else 0)


def mark(folder: Path) -> None:
    """Make the folder this script's own; refuse one that holds something else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        sys.exit(f"{folder}: not empty, and not of a rehearsal; expected a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def clean(folder: Path) -> None:
    """Remove what rehearsals left in `folder`, if it is one of theirs."""
    if not (folder / MARK).exists():
        sys.exit(f"{folder}: not of a rehearsal; nothing removed")
    shutil.rmtree(folder)
    print(f"{folder} removed")


def used(folder: Path) -> int:
    """Bytes on disk below `folder`."""
    return 1024 * int(subprocess.run(["du", "-sk", folder], capture_output=True, text=True).stdout.split()[0])


def files_of(name: str) -> list[Path]:
    """The configuration of a recipe, in the order in which its files are laid over each other."""
    return [ROOT / "config.yaml", *([] if name == "config" else [ROOT / f"recipes/{name}.yaml"])]


def rehearse(name: str, folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Run a recipe and record it; what fell short, in sentences."""
    whole = read_config(files_of(name))
    overlay = rehearsed(whole, folder)
    settings = folder / f"{name}.yaml"
    settings.write_text(yaml.safe_dump(overlay, sort_keys=False))
    config = read_config([*files_of(name), settings])
    targets = ["all", *(["ablation"] if name in ABLATED else [])]
    part = ["--until", arguments.until] if arguments.until else []
    part += ["--dry-run", "--quiet", "rules"] if arguments.dry_run else []
    command = [
        sys.executable, ROOT / "benchmarks/unsized_snakemake.py", *targets, "--profile", "profiles/local", "--cores",
        str(arguments.cores), "--keep-going", "--benchmark-extended", "--scheduler", "greedy",
        "--scheduler-greedy-omit-prioritize-by-temp-and-input", *part,
        "--configfile", *files_of(name)[1:], settings,
    ]  # fmt: skip
    print(f"== {name}", flush=True)
    started, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode
    minutes = (time.monotonic() - began) / 60
    if arguments.dry_run or arguments.until:
        print(f"{name}: exit status {status} after {minutes:.1f} minutes")
        return [f"{name}: exit status {status}"] if status else []
    results = Path(config.results) / SCREEN
    problems = [f"{name}: Snakemake ended with status {status}"] if status else []
    problems += check(name, config, results)
    record = {
        "passed": not problems,
        "problems": problems,
        "started": started,
        "minutes": round(minutes, 1),  # of the last call: a resumed one did not do all of it
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "git": git_version(ROOT),
        "disk_gb": round(used(results / config.recipe) / 1e9, 1),
        "ladder": ladder(results / config.recipe),
        "rules": rules(results, config.recipe),
        "changed": changes(whole, config),
    }
    record["job_minutes"] = round(sum(rule["minutes"] for rule in record["rules"]), 1)
    report(name, record)
    recorded = read_json(RESULTS) if RESULTS.exists() else {}
    write_json(RESULTS, recorded | {name: record})
    return problems


def check(name: str, config: Config, results: Path) -> list[str]:
    """What a finished rehearsal must have left and has not, in sentences."""
    own = results / config.recipe
    problems = []
    if missing := [file for file in ("submission.csv", "audit.json", "scores.json") if not (own / file).exists()]:
        return [f"{name}: no {', '.join(missing)} in {own}"]
    if (rows := len(pd.read_csv(own / "submission.csv"))) != TEST_WELLS:
        problems.append(f"{name}: submission.csv has {rows:,} rows; expected {TEST_WELLS:,}")
    for verdict in read_json(own / "audit.json"):
        if not verdict["passed"]:
            problems.append(f"{name}: the audit of {verdict['artefact']} did not pass: {own / 'audit.json'}")
    if name in ABLATED:
        planned = [rung["name"] for rung in read_json(own / "stages/ablation_table.json")["settings"]["rungs"]]
        found = read_json(own / "ablation.json")["rungs"] if (own / "ablation.json").exists() else []
        scored = [rung["name"] for rung in found if 0 <= rung["accuracy"] <= 1]
        if scored != planned:
            problems.append(f"{name}: the ablation scored {len(scored)} rungs; expected {len(planned)}")
    left = {rule["rule"]: rule["jobs"] for rule in rules(results, config.recipe)}
    for rule, jobs in expected_jobs(config).items():
        # The ablation adds jobs of these rules to those of the recipe.
        if left.get(rule, 0) < jobs or (left.get(rule, 0) > jobs and name not in ABLATED):
            problems.append(f"{name}: {left.get(rule, 0)} jobs of {rule} left a record; expected {jobs}")
    jobs_planned = read_json(own / "stages/jobs.json")
    lost = [job["receipt"] for job in jobs_planned if not (Path(config.results) / job["receipt"]).exists()]
    if lost:
        problems.append(f"{name}: {len(lost)} of {len(jobs_planned)} planned jobs left no receipt, such as {lost[0]}")
    return problems


def expected_jobs(config: Config) -> dict[str, int]:
    """Jobs of the rules that stand for several, from the recipe's numbers alone."""
    voting = sum(model.ensemble for model in config.models)
    others = len(config.models) - voting
    folds, rounds = config.folds.count, config.pseudo_labels.rounds + 1
    sources = folds if config.pseudo_labels.teachers == "own_fold" else 1
    tuned = (CELL_TYPES if config.finetune.by_cell_type else 1) if config.finetune else 0
    return {
        "pack_plate": PLATES,
        "train_model": len(config.models) * folds,
        "finetune_cell_type": voting * folds * tuned * rounds,
        "predict": folds * CELL_TYPES * (voting * rounds + others),
        "ensemble_teachers": rounds + others + (sources * (rounds - 1) if sources > 1 else 0),
        "pseudo_labels": sources * (rounds - 1),
        **dict.fromkeys(["index_sites", "assign_folds", "balance_plates", "submission", "score", "overview"], 1),
    }


def ladder(own: Path) -> dict[str, float]:
    """Accuracy by rung on the test wells whose class is published; it says that something was learned, no more."""
    rungs = read_json(own / "scores.json")["ladder"]["rungs"] if (own / "scores.json").exists() else []
    return {rung["name"]: rung["accuracy"] for rung in rungs}


def rules(results: Path, recipe: str) -> list[dict[str, Any]]:
    """Of each rule of screen and recipe: jobs, minutes, memory of the largest job and what that one asked for."""
    found: dict[str, dict[str, Any]] = {}
    for folder in (results / "benchmarks", results / recipe / "benchmarks"):
        for path in sorted(folder.rglob("*.tsv")):
            benchmark = pd.read_csv(path, sep="\t").iloc[0]
            asked = ast.literal_eval(benchmark["resources"])
            # The audit leaves no record of its own.
            record = folder.with_name("logs") / path.relative_to(folder).with_suffix(".run.json")
            own = read_json(record) if record.exists() else {}
            held, minutes = own.get("peak_memory_mb", benchmark["max_rss"]), own.get("seconds", benchmark["s"]) / 60
            name = benchmark["rule_name"]
            one = found.setdefault(name, {"rule": name, "jobs": 0, "minutes": 0.0, "longest": 0.0, "held_mb": 0})
            one["jobs"] += 1
            one["minutes"] += minutes
            one["longest"] = max(one["longest"], minutes)
            if held >= one["held_mb"]:
                of_gpu = CUDA_MB if asked.get("gpu") else 0
                one |= {"held_mb": round(held), "asked_mb": asked["mem_mb"], "of_it_for_a_gpu_mb": of_gpu}
    for one in found.values():
        asked_mb, held_mb = one["asked_mb"] - one["of_it_for_a_gpu_mb"], one["held_mb"] + SNAKEMAKES_MB
        one["ask"] = "too little" if held_mb > asked_mb else "much" if asked_mb > MUCH * held_mb else "fits"
        one |= {"minutes": round(one["minutes"], 2), "longest": round(one["longest"], 2)}
    return sorted(found.values(), key=lambda one: -one["held_mb"])


def report(name: str, record: dict[str, Any]) -> None:
    """Print a record for people."""
    print(pd.DataFrame(record["rules"]).to_string(index=False))
    print(f"{name}: {len(record['changed'])} settings changed, {record['disk_gb']} GB, {record['ladder']}")
    print(f"{name}: {'passed' if record['passed'] else 'FAILED'} after {record['minutes']} minutes", flush=True)


if __name__ == "__main__":
    main()
