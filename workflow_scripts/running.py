"""How every script meets Snakemake: `with run(snakemake) as job:`.

The only file besides the scripts that knows the `snakemake` object. It sends the job's output to its
log, turns bad input and faults into a message without a traceback, and writes receipt and run record.
"""

import atexit
import ctypes
import faulthandler
import gc
import os
import platform
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cellsignal
from cellsignal.clocks import date_no_later_than
from cellsignal.errors import BadInput, Fault, out_of_memory
from cellsignal.files import report_unwritable
from cellsignal.processes import is_worker, leads, torchrun
from cellsignal.provenance.job import Job
from cellsignal.provenance.stages import settings_by_name

PR_SET_PDEATHSIG = 1  # prctl(2): a signal when the parent ends
BEFORE = os.dup(2)  # standard error as Snakemake gave it


@contextmanager
def run(snakemake: Any, gpus: int = 1) -> Iterator[Job]:
    """Yield the job; when the block ends well, write its receipt, else exit with status 1.

    For more than one GPU this process leaves the work to torchrun, which runs the same script once per GPU.
    """
    if gpus > 1 and not is_worker():
        with run_without_stage(snakemake):
            sys.exit(torchrun(sys.argv[0], gpus))
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
        try:
            yield job
        except Exception as error:
            if shortage := out_of_memory(error):
                raise Fault(f"{shortage}. {_advice(shortage, job.settings, snakemake)}") from error
            raise
        if leads():
            job.finish()
            job.write_run_record(Path(snakemake.log[0]).with_suffix(".run.json"))


@contextmanager
def run_without_stage(snakemake: Any) -> Iterator[None]:
    """The part of `run` that the audit shares: output to the log, and what can be expected without a traceback."""
    atexit.register(gc.freeze)  # Python collects garbage as it ends: 1.3 s over what torch and timm leave, for nothing
    try:
        if not is_worker():
            _end_with_snakemake()
        if snakemake.log and not is_worker():  # which inherits the log
            now = _send_output_to(snakemake.log[0])
            with suppress(OSError):  # a full disk: what the job itself has to say finds its way
                print(_heading(snakemake))
            if later := date_no_later_than(now, snakemake.input):
                print(f"{len(later)} inputs were dated in the future, such as {later[0]}: dated now")
        faulthandler.enable(
            sys.__stderr__
        )  # a store that is cut off while it is mapped ends the process without an exception
        _check_library(snakemake.scriptdir)
        yield
    except (BadInput, Fault) as error:
        _say(f"\n{snakemake.rule}: {error}\n")
        sys.exit(1)
    except Exception:
        _say(traceback.format_exc())
        sys.exit(1)


def _advice(shortage: str, settings: dict[str, Any], snakemake: Any) -> str:
    """What a job that ran out of memory can do with less of, or where to get more."""
    batches = {name: size for name, size in settings_by_name(settings).items() if name.endswith("batch_size")}
    less = [f"lower {name} (now {size})" for name, size in batches.items()]
    asked = snakemake.resources.get("mem_mb")
    more = "take a GPU with more" if "GPU" in shortage else f"raise the job's mem_mb (now {asked}: profiles/README.md)"
    advice = " or ".join([*less, more])
    return advice[0].upper() + advice[1:]


def _say(text: str) -> None:
    """Write to the log; to where output went before, if the disk of the log is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        os.write(BEFORE, text.encode())


def _end_with_snakemake() -> None:
    """Have the system send SIGTERM if Snakemake is killed: alone, a job would meet the one of the next run.

    Linux only. A training saves its state then.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


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


def _send_output_to(log: str) -> float:
    """Point this process's standard output and error at the log, libraries' own output included.

    Returns what time it is for the file system (seconds since 1970), whose clock may be another one.
    """
    with report_unwritable(log):
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handle = open(log, "w", buffering=1)
    for stream in (1, 2):
        os.dup2(handle.fileno(), stream)
    sys.stdout = sys.stderr = handle
    os.utime(log)
    return Path(log).stat().st_mtime
