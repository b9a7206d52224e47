"""Label test wells by the teacher ensemble of this round, for the fine-tunes of the next."""

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
    )
    labels = pseudo_labels(balanced.probabilities, balanced.result, job.settings["weight"], job.settings["share"])
    write_table(labels, snakemake.output.labels)
    print(f"{len(labels):,} of {len(balanced.wells):,} test wells labelled")
    print(*balanced.result.log, sep="\n")
