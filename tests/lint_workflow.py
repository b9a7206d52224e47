"""`snakemake --lint`, less the opinions that this project does not share, each with its reason."""

import re
import subprocess
import sys
from pathlib import Path

NOT_SHARED = {
    "Mixed rules and functions in same snakefile": "an input function stands beside the rules that use it",
    "Param root is a prefix of input or output file but hardcoded": "params.root is where the raw data lies; it comes "
    "from the configuration",
    "Environment variable CELLSIGNAL_PLAN": "set by the planner itself for its jobs; users never set it",
    "No log directive defined": "`snakemake audit` prints its verdict for people instead of logging it",
}
ROOT = Path(__file__).resolve().parents[1]


def findings() -> list[str]:
    """What `snakemake --lint` finds in the demo's workflow, less what is not shared."""
    command = [sys.executable, "-m", "snakemake", "--lint", "text", "--configfile", "recipes/demo.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if "Lints for" not in output and "perfect condition" not in output:
        sys.exit(f"snakemake --lint failed:\n{output}")
    found, place = [], ""
    for line in output.splitlines():
        if match := re.match(r"Lints for (?:rule|snakefile) (.+?):?$", line):
            place = match[1]
        elif (match := re.match(r"    \* (.+?):?$", line)) and not match[1].startswith(tuple(NOT_SHARED)):
            found.append(f"{place}: {match[1]}")
    return found


if __name__ == "__main__":
    if found := findings():
        sys.exit("\n".join(found))
    print(
        "snakemake --lint: clean, but for", *(f"- {title}: {reason}" for title, reason in NOT_SHARED.items()), sep="\n"
    )
