"""How every script meets Snakemake: `with run(snakemake) as job:`.

The only file besides the scripts that knows the `snakemake` object. It sends the job's output to its
log, turns bad input into a message without a traceback, and writes receipt and run record.
"""

import os
import platform
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cellsignal
from cellsignal.errors import BadInput
from cellsignal.provenance.job import Job


@contextmanager
def run(snakemake: Any) -> Iterator[Job]:
    """Yield the job; when the block ends well, write its receipt, else exit with status 1."""
    # `planned` inputs are fixed by a digest in the stage file, which the script checks.
    apart = {
        str(snakemake.input.stage),
        str(snakemake.output.receipt),
        *_list(snakemake.input.get("planned", [])),
    }
    with run_without_stage(snakemake):
        job = Job(
            rule=snakemake.rule,
            script=Path(snakemake.scriptdir) / f"{snakemake.rule}.py",
            library=snakemake.scriptdir,
            results=snakemake.config["results"],
            stage=snakemake.input.stage,
            inputs=[path for path in snakemake.input if path not in apart],
            outputs=[path for path in snakemake.output if path not in apart],
            receipt=snakemake.output.receipt,
            wildcards=dict(snakemake.wildcards.items()),
        )
        yield job
        job.finish()
        job.write_run_record(Path(snakemake.log[0]).with_suffix(".run.json"))


@contextmanager
def run_without_stage(snakemake: Any) -> Iterator[None]:
    """The part of `run` that the audit shares: output to the log, and bad input without a traceback."""
    if snakemake.log:
        _send_output_to(snakemake.log[0])
        print(_heading(snakemake))
    try:
        _check_library(snakemake.scriptdir)
        yield
    except BadInput as error:
        print(f"\n{snakemake.rule}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _heading(snakemake: Any) -> str:
    """What runs, and where. Of a log that is empty Snakemake shows nothing else, not even SLURM's log either."""
    what = " ".join([snakemake.rule, *(f"{name}={value}" for name, value in snakemake.wildcards.items())])
    job = os.environ.get("SLURM_JOB_ID")
    return f"{what} on {platform.node()}" + (f", SLURM job {job}" if job else "")


def _check_library(folder: str) -> None:
    """Raise `BadInput` unless the library beside the scripts is the one that runs: digests are taken of that one.

    Snakemake appends the scripts' folder to sys.path, so a library installed by pip would come first.
    """
    found = Path(cellsignal.__file__).resolve().parents[1]
    if found != Path(folder).resolve():
        raise BadInput(
            f"the library was imported from {found}, expected {folder}; run `pip uninstall cellsignal` in this "
            "environment, or unset PYTHONPATH"
        )


def _list(files: Any) -> list[str]:
    """Named input as a list: Snakemake gives one file as a string."""
    return [files] if isinstance(files, str) else list(files)


def _send_output_to(log: str) -> None:
    """Point this process's standard output and error at the log, libraries' own output included."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    handle = open(log, "w", buffering=1)
    for stream in (1, 2):
        os.dup2(handle.fileno(), stream)
    sys.stdout = sys.stderr = handle
