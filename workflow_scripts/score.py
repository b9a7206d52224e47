"""Score the run: the only script that reads answers."""

from pathlib import Path

from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.ensemble import read_probabilities
from cellsignal.files import write_json
from cellsignal.scoring import score_screen
from cellsignal.sites import read_table, well_table, write_table
from cellsignal.submission import read_submission

from running import run

with run(snakemake) as job:
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    submitted = None
    if snakemake.input.submission:
        wells = well_table(sites)
        test = wells[(wells["dataset"] == "test") & (wells["well_type"] == "treatment")]
        submitted = read_submission(snakemake.input.submission, test, classes, by_name=job.settings["by_name"])
    scores, table = score_screen(
        {Path(path).stem: read_probabilities(path) for path in snakemake.input.ensembles},
        sites,
        classes,
        read_table(snakemake.input.answers),
        submitted,
        BalanceSettings(**job.settings["balance"]),
        ScoreSettings(**job.settings["score"]),
        folds=read_table(snakemake.input.folds),
        strict=job.settings["strict"],
        epoch_chosen=job.settings["epoch_chosen"],
    )
    write_json(snakemake.output.scores, scores)
    write_table(table, snakemake.output.wells)
    for rung in scores["ladder"]["rungs"]:
        print(f"{rung['accuracy']:.4f}  {rung['name']}")
