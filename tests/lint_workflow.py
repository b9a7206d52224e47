"""`snakemake --lint`, with the two of its opinions that this project does not share taken out.

Left out, with the reason:
- *Specify a conda environment or container for each rule*: the whole workflow runs in one pinned environment
  (envs/requirements.txt); one per rule would only let them drift apart.
- *Mixed rules and functions in same snakefile*: an input function stands beside the rules that use it.
- *Do not access input and output files individually by index* and path composition with `+`: none found.
"""

import json
import subprocess
import sys
from pathlib import Path

NOT_SHARED = (
    "Specify a conda environment or container for each rule.",
    "Mixed rules and functions in same snakefile.",
)
ROOT = Path(__file__).resolve().parents[1]


def findings() -> list[str]:
    """What `snakemake --lint` finds in the demo's workflow, less what is not shared."""
    command = [sys.executable, "-m", "snakemake", "--lint", "json", "--configfile", "recipes/demo.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f"snakemake --lint failed:\n{done.stdout}\n{done.stderr}")
    return [
        f"{place.get('rule', place.get('snakefile', '?'))}: {lint['title']}"
        for part in ("rules", "snakefiles")
        for place in report.get(part, [])
        for lint in place["lints"]
        if lint["title"] not in NOT_SHARED
    ]


if __name__ == "__main__":
    if found := findings():
        sys.exit("\n".join(found))
    print("snakemake --lint: clean")
