"""Choose one class for each test well, under the priors of the plate layout."""

from pathlib import Path

from cellsignal.assignment import assignment_table
from cellsignal.balancing import balance_screen
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import read_probabilities
from cellsignal.files import write_json
from cellsignal.sites import read_table, write_table

from running import run

with run(snakemake) as job:
    balanced = balance_screen(
        read_probabilities(snakemake.input.ensemble),
        read_table(snakemake.input.sites),
        read_table(snakemake.input.classes),
        BalanceSettings(**job.settings["balance"]),
        read_probabilities(snakemake.input.calibration),
        Path(snakemake.input.calibration).stem,
    )
    write_table(assignment_table(balanced.wells, balanced.result), snakemake.output.assignment)
    write_json(snakemake.output.priors, balanced.priors)
    print(balanced.priors)
