"""Label test wells by the teacher ensemble of this round, for the fine-tunes of the next."""

from pathlib import Path

from cellsignal.balancing import balance_screen
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import read_probabilities
from cellsignal.pseudo_labels import pseudo_labels
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
    share = min(1.0, job.settings["share"] + int(snakemake.wildcards.round) * job.settings["share_step"])
    labels = pseudo_labels(balanced.probabilities, balanced.result, job.settings["weight"], share)
    write_table(labels, snakemake.output.labels)
    print(f"{len(labels):,} of {len(balanced.wells):,} test wells labelled")
    print(*balanced.result.log, sep="\n")
