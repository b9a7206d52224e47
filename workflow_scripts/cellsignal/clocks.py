"""Modification times: they mean nothing here, but Snakemake compares them."""

import os
from collections.abc import Iterable
from pathlib import Path

from cellsignal.errors import Fault


def date_no_later_than(moment: float, paths: Iterable[str | Path]) -> list[str]:
    """Give files with a modification time after `moment` (seconds since 1970) that of now; returns which.

    Content counts here, not time. But Snakemake refuses what a job made, however long that took, where an
    input claims to be newer. Raises `Fault` where a file's time cannot be changed.
    """
    later = [str(path) for path in paths if Path(path).exists() and Path(path).stat().st_mtime > moment]
    for path in later:
        try:
            os.utime(path)
        except OSError as error:
            raise Fault(
                f"{path}: dated in the future, and its time cannot be changed ({error.strerror}). Snakemake would "
                "refuse what is made from it. Have its owner `touch` it"
            ) from error
    return later
