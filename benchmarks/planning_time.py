"""How long does planning take at RxRx1's full size? With the real tables of the competition.

    python benchmarks/planning_time.py PATH/TO/kaggle-tables

plans config.yaml (2 backbones, 5 folds, 4 cell types, 3 rounds, 204 plates) in a temporary folder, beside an empty
file for each of the 754,000 images: planning looks at the time and size of every one. Parsing alone is
`snakemake --list-rules`; the dry run adds building and checking the DAG. The first parse reads the tables; later
ones use the summary beside the results. For the no-op dry run every output is there as an empty file, and
`snakemake --touch` has written Snakemake's own records of it. Seconds are those of the clock and those of the
processor, which do not tell what else the machine was doing. Writes benchmarks/results/planning_time.json.
Targets: parsing under 5 s, a no-op dry run under 10 s.
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
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.config.load import read_config  # noqa: E402
from cellsignal.files import write_json  # noqa: E402
from cellsignal.screens import metadata_files, read_screen  # noqa: E402

SOURCES = ["Snakefile", "config.yaml", "rules", "workflow_scripts", "profiles"]
REPEATS = 3


def snakemake(project: Path, *arguments: str) -> tuple[dict[str, float], str]:
    """Seconds (clock, processor) and output of a Snakemake call in `project`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", "full.yaml"],
        cwd=project, capture_output=True, text=True,
    )  # fmt: skip
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock": round(clock, 2), "processor": round(processor, 2)}, done.stdout + done.stderr


def fastest(project: Path, *arguments: str) -> tuple[dict[str, float], str]:
    """The fastest of a few such calls."""
    return min((snakemake(project, *arguments) for _ in range(REPEATS)), key=lambda timed: timed[0]["clock"])


def make_images(root: Path, settings: dict[str, object]) -> int:
    """An empty file for every image that the tables below `root` name; how many."""
    config = read_config([ROOT / "config.yaml"], {"screen": settings})
    images = read_screen(config.screen, root).sites["images"].explode()
    for folder in {image.rpartition("/")[0] for image in images}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for image in images:
        os.close(os.open(root / image, os.O_CREAT | os.O_WRONLY))
    return len(images)


def make_outputs(project: Path) -> int:
    """Every output as an empty file that Snakemake knows to be made by its rule; how many."""
    names = re.findall(r"^(results/\S+)\t", snakemake(project, "all", "--summary")[1], re.MULTILINE)
    for name in names:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    snakemake(project, "all", "--touch", "--forceall", "--cores", "1")
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tables", type=Path, help="folder of train.csv, test.csv, train_controls.csv, test_controls.csv"
    )
    tables = parser.parse_args().tables.resolve()
    with tempfile.TemporaryDirectory() as folder:
        project, raw = Path(folder) / "project", Path(folder) / "raw"
        project.mkdir()
        raw.mkdir()
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, project / name)
        settings: dict[str, object] = {"name": "full", "kind": "kaggle", "root": str(raw)}
        (project / "full.yaml").write_text(json.dumps({"screen": settings}))  # JSON is YAML
        for table in metadata_files(read_config([ROOT / "config.yaml"], {"screen": settings}).screen, tables):
            shutil.copy2(table, raw)
        images = make_images(raw, settings)
        first, _ = snakemake(project, "--list-rules")
        parsing, _ = fastest(project, "--list-rules")
        dry, output = snakemake(project, "-n")
        outputs = make_outputs(project)
        nothing, said = fastest(project, "-n")
        if "Nothing to be done" not in said:
            sys.exit(said[-3000:])
    content = {
        "images": images,
        "jobs": int(re.findall(r"^total\s+(\d+)", output, re.MULTILINE)[-1]),
        "outputs": outputs,
        "first_parse_seconds": first,
        "parse_seconds": parsing,
        "dry_run_seconds": dry,
        "no_op_dry_run_seconds": nothing,
    }
    for name, value in content.items():
        print(f"{name:>24}  {value}")
    write_json(ROOT / "benchmarks/results/planning_time.json", content)


if __name__ == "__main__":
    main()
