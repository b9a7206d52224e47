"""Snakemake that does not ask for the sizes of inputs: what rehearse.py calls.

After every job, Snakemake looks up the size of each input of all jobs that wait, to start large ones first: with
RxRx1's 204 plates behind each of some hundred waiting jobs that is more than half of a core. No order of jobs can
change a result.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler


async def _no_sizes(self: Any, jobs: Iterable[Any]) -> None:
    self._input_sizes = defaultdict(int)


if __name__ == "__main__":
    JobScheduler.update_input_sizes = _no_sizes
    sys.argv[0] = "snakemake"
    main()
