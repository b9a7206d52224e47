"""Score every rung of the ablation; the truth comes from the table that `score` left."""

from pathlib import Path

from cellsignal.ablation import AblationRung
from cellsignal.ablation_scores import ablation_scores
from cellsignal.config.labelling import BalanceSettings
from cellsignal.ensemble import read_probabilities
from cellsignal.files import write_json
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    scores = ablation_scores(
        [AblationRung(**rung) for rung in job.settings["rungs"]],
        {Path(path).stem: read_probabilities(path) for path in snakemake.input.ensembles},
        read_table(snakemake.input.sites),
        read_table(snakemake.input.classes),
        read_table(snakemake.input.wells),
        BalanceSettings(**job.settings["balance"]),
        job.settings["strict"],
        job.settings["epoch_chosen"],
    )
    write_json(snakemake.output.table, {name: job.settings[name] for name in ("screen", "recipe", "seed")} | scores)
    for rung in scores["rungs"]:
        print(f"{rung['accuracy']:.4f}  {rung['part']}: {rung['name']}")
