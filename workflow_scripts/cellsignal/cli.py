"""The command `cellsignal`: audit a result, ask about one of its rows, compare two, export one, watch a run.

It needs no Snakemake: everything is read from results, receipts and the checkout. Exit status: 0 if the
answer is yes (all three of an audit hold, two results do not differ, a command did its work), 1 if it is no,
2 if the question cannot be answered: no receipt, an unknown well, a wrong argument.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellsignal.errors import BadInput

if TYPE_CHECKING:
    from cellsignal.provenance.integrity import Progress
    from cellsignal.provenance.progress import RunProgress, Watch

YES, NO, CANNOT = 0, 1, 2
LIBRARY = "workflow_scripts"  # the folder of scripts and package in a checkout
WIDTH = 160  # columns of a table that no terminal limits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BadInput as error:
        print(f"cellsignal {options.command}: {error}", file=sys.stderr)
        return CANNOT
    except FileNotFoundError as error:  # deleted to save space, or left out of a crate
        print(f"cellsignal {options.command}: {error}", file=sys.stderr)
        return CANNOT
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT
    except KeyboardInterrupt:
        print(f"cellsignal {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cellsignal",
        description="What made this result, is it intact, did anything leak? Answered from receipts and files alone.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    audit = _command(commands, "audit", _audit, "is a result intact, current and clean? Exit status 0 only if all hold")
    audit.add_argument("artefact", type=Path, help="a file with a receipt, such as submission.csv or scores.json")
    audit.add_argument("--raw", type=Path, metavar="FOLDER", help="the raw data (default: where the plan has it)")
    audit.add_argument("--quick", action="store_true", help="check receipts and sizes only, in seconds")
    audit.add_argument("--threads", type=_positive, metavar="N", help="files read at once (default: the CPUs)")
    _checkout_option(audit)
    _json_option(audit)

    row = _command(commands, "row", _row, "what led to the prediction of one well, step by step")
    row.add_argument("well", metavar="WELL", help="a well such as HUVEC-18_2_C07, of test or of train")
    row.add_argument(
        "--results", type=Path, metavar="FOLDER", help="results/SCREEN/RECIPE (default: the only recipe below results/)"
    )
    _json_option(row)

    diff = _command(commands, "diff", _diff, "why two results differ, and in which rows; exit status 1 if they do")
    diff.add_argument(
        "a", type=Path, metavar="A", help="a submission.csv, a scores.json or another file with a receipt"
    )
    diff.add_argument("b", type=Path, metavar="B", help="the same of another run, wherever it lies")
    _json_option(diff)

    crate = _command(commands, "crate", _crate, "export a result with its receipts, settings and code as an RO-Crate")
    crate.add_argument("artefact", type=Path, help="a submission.csv or scores.json")
    crate.add_argument("folder", type=Path, metavar="FOLDER", help="where to write the crate")
    crate.add_argument("--raw", type=Path, metavar="FOLDER", help="the raw data (default: where the plan has it)")
    _checkout_option(crate)

    progress = _command(commands, "progress", _progress, "how far a run is; exit status 0 if all its jobs are done")
    progress.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER",
        help="results/SCREEN/RECIPE (default: the one that was planned last below results/)",
    )  # fmt: skip
    progress.add_argument("--watch", action="store_true", help="look again and again until all is done")
    progress.add_argument(
        "--every", type=_positive, metavar="SECONDS", default=5, help="seconds between two looks (default: 5)"
    )
    _json_option(progress)
    return parser


def _command(commands: Any, name: str, run: Any, purpose: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"{purpose[:1].upper()}{purpose[1:]}."
    )
    parser.set_defaults(run=run)
    return parser


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _checkout_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkout",
        type=Path,
        metavar="FOLDER",
        help="the checkout whose code and settings are the present ones (default: the one around this folder, "
        "else the command's own)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def find_checkout(named: Path | None, here: Path) -> Path:
    """The checkout that counts as the present one: the named one, the one around `here`, or this library's own.

    Raises `BadInput` if there is none: an installed library has no scripts beside it.
    """
    own = Path(__file__).resolve().parents[2]
    candidates = [named] if named else [here, *here.parents, own]
    for folder in candidates:
        if (folder / LIBRARY / "cellsignal").is_dir() and (folder / "config.yaml").is_file():
            return folder
    where = f"{named}: not a checkout of cellsignal" if named else "no checkout of cellsignal around this folder"
    raise BadInput(f"{where}; expected a folder with config.yaml and {LIBRARY}/cellsignal (--checkout)")


def _audit(options: argparse.Namespace) -> int:
    from cellsignal.provenance.audit import audit

    checkout = find_checkout(options.checkout, Path.cwd())
    with progress_bar() as progress:
        verdict = audit(
            options.artefact,
            options.raw,
            checkout / LIBRARY,
            threads=options.threads or _cpus(),
            quick=options.quick,
            checkout=checkout,
            progress=progress,
        )
    print(_as_json(verdict.as_json()) if options.json else verdict.as_text())
    return YES if verdict.passed else NO


def _cpus() -> int:
    """CPUs that this process may use, where the system tells: a cluster job has fewer than its node."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _row(options: argparse.Namespace) -> int:
    from cellsignal.provenance.finished import find_results
    from cellsignal.provenance.row import trace_row
    from cellsignal.provenance.row_text import row_text

    story = trace_row(options.well, options.results or find_results())
    if options.json:
        print(_as_json(story))
    else:
        _show(row_text(story))
    return YES


def _diff(options: argparse.Namespace) -> int:
    from cellsignal.provenance.diff import diff
    from cellsignal.provenance.diff_text import diff_text

    found = diff(options.a, options.b)
    if options.json:
        print(_as_json(found))
    else:
        _show(diff_text(found))
    return YES if found["same_file"] and not found["origins"] else NO


def _crate(options: argparse.Namespace) -> int:
    from cellsignal.provenance.crate import write_crate
    from cellsignal.provenance.current import raw_folder
    from cellsignal.provenance.walk import walk

    checkout = find_checkout(options.checkout, Path.cwd())
    raw = options.raw or raw_folder(walk(options.artefact))
    if raw is not None and not raw.is_dir():
        print(f"{raw}: raw data is not there, so the sizes of raw files are not told", file=sys.stderr)
        raw = None
    print(write_crate(options.artefact, options.folder, raw_root=raw, library=checkout / LIBRARY))
    return YES


def _progress(options: argparse.Namespace) -> int:
    from cellsignal.provenance.progress import Watch, find_run
    from cellsignal.provenance.progress_text import progress_text

    watch = Watch(options.folder or find_run())
    run = watch.look()
    if options.json:
        print(_as_json(run.as_json()))
    elif options.watch and sys.stdout.isatty():
        run = _live(watch, options.every)
    else:
        _show(progress_text(run))
        while options.watch and not run.finished:
            sys.stdout.flush()
            time.sleep(options.every)
            run = watch.look()
            _show(progress_text(run))
    return YES if run.finished else NO


def _live(watch: "Watch", every: int) -> "RunProgress":
    """Show the run in place, until all is done or the user has seen enough."""
    from rich.console import Console, Group
    from rich.live import Live

    from cellsignal.provenance.progress_text import progress_text

    run = watch.look()
    with Live(console=Console(highlight=False), auto_refresh=False) as screen:
        while True:
            screen.update(Group(*progress_text(run)), refresh=True)
            if run.finished:
                return run
            time.sleep(every)
            run = watch.look()


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _show(lines: Iterator[Any]) -> None:
    """Print sentences and tables; a table in a file or a pipe is not squeezed into 80 columns."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDTH)
    for line in lines:
        if isinstance(line, str):
            print(line)
        else:
            console.print(line)


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """A bar on standard error for each thing that is read; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks and total:
                tasks[what] = bars.add_task(f"reading {what}", total=total)
            if what in tasks:
                bars.update(tasks[what], completed=done)

        yield report


if __name__ == "__main__":
    sys.exit(main())
