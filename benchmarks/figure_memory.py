"""Does every picture of the report fit the memory that its job asks for, at RxRx1's size?

    python benchmarks/figure_memory.py FOLDER

runs the workflow, in FOLDER, on a simulated screen with RxRx1's counts (51 experiments of 4 plates, 125,664 sites,
1,139 classes) and embeddings as wide as those of the widest backbones. Images are 16 pixels wide, since pictures read
a few dozen of them, and models train for one epoch, since memory does not depend on what they learn. Started again, it
goes on where it was. Prints what each rule of figures and tables held at most beside what its job asks for, and writes
benchmarks/results/figure_memory.json; exit status 1 where a job held more. About half an hour on two
cores, 12 GB of disk.
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.files import read_json, write_json  # noqa: E402

EPOCH = {"epochs": 1, "batch_size": 256, "optimizer": "adamw", "rate": 1.0e-3, "schedule": {"kind": "one_cycle"}}
MODEL = {"backbone": "test_byobnet", "embedding": 2048, "head": "softmax"}
SETTINGS: dict[str, Any] = {
    "recipe": "figure_memory",
    "threads": 1,
    "screen": {
        "name": "rxrx1_sized",
        "kind": "simulated",
        "root": None,
        "image_size": 16,
        "simulated": {
            "cell_types": {"HEPG2": [7, 4], "HUVEC": [16, 8], "RPE": [7, 4], "U2OS": [3, 2]},
            "sirnas": 1108,
            "positive_controls": 30,
        },
    },
    "folds": {"count": 2, "held_out": None},
    "models": [
        {"name": "byobnet", "normalization": "plate", **MODEL},
        {"name": "baseline", "normalization": "cell_type", "ensemble": False, **MODEL},
    ],
    "train": EPOCH,
    "finetune": {"optimization": EPOCH, "epochs_factor": dict.fromkeys(["HEPG2", "HUVEC", "RPE", "U2OS"], 1.0)},
    "predict": {"views": 1, "batch_size": 256},
    "pseudo_labels": {"rounds": 1},
    "score": {"public_experiments": [], "left_out_experiments": []},
    "report": {"grad_cam_layer": "backbone.stages.1"},
}
LEARNING = {"simulate_plate", "pack_plate", "train_model", "finetune_cell_type", "predict"}  # not what is asked here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the run; made if it is not there")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump(SETTINGS | {"results": str(folder / "results")}))
    command = [
        Path(sys.executable).with_name("snakemake"), "all", "--profile", "profiles/local", "--benchmark-extended",
        "--configfile", settings,
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)
    rules = [one for one in held_and_asked(folder / "results") if one["rule"] not in LEARNING]
    table = pd.DataFrame(rules).sort_values("held_mb", ascending=False)
    print(table.to_string(index=False))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    path = ROOT / "benchmarks/results/figure_memory.json"
    write_json(path, {"machine": machine, "screen": SETTINGS["screen"], "rules": table.to_dict("records")})
    sys.exit(bool((table["held_mb"] > table["asked_mb"]).any()))


def held_and_asked(results: Path) -> list[dict[str, Any]]:
    """Of each rule: jobs, minutes and memory of the largest, and what that one asks for."""
    found: dict[str, dict[str, Any]] = {}
    for path in results.glob("**/logs/**/*.run.json"):
        record = read_json(path)
        name = str(path).replace("/logs/", "/benchmarks/").removesuffix(".run.json") + ".tsv"
        asked = ast.literal_eval(pd.read_csv(name, sep="\t")["resources"].iloc[0])["mem_mb"]
        one = found.setdefault(record["rule"], {"rule": record["rule"], "jobs": 0, "held_mb": 0, "minutes": 0.0})
        one["jobs"] += 1
        one["minutes"] = round(max(one["minutes"], record["seconds"] / 60), 2)
        if record["peak_memory_mb"] >= one["held_mb"]:
            one |= {"held_mb": record["peak_memory_mb"], "asked_mb": asked}
    return list(found.values())


if __name__ == "__main__":
    main()
