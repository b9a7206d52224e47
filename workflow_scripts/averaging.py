"""Figure: what is gained by averaging sites, models and rounds, and by knowledge of the plate layout."""

import pandas as pd

from cellsignal.ensemble import PredictionFile, read_probabilities
from cellsignal.figures.averaging import averaging
from cellsignal.figures.style import counted, save, save_table
from cellsignal.files import read_json
from cellsignal.sites import read_table
from cellsignal.votes import all_votes

from running import run

with run(snakemake) as job:
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    models: dict[str, list[PredictionFile]] = {}
    for (name, fold), path in zip(job.settings["files"], snakemake.input.predictions, strict=True):
        models.setdefault(name, []).append(PredictionFile(name, fold, path))
    ensembles = {
        name: read_probabilities(path)
        for name, path in zip(job.settings["ensembles"], snakemake.input.ensembles, strict=True)
    }
    votes = all_votes(models, ensembles, sites, classes)
    scores = read_json(snakemake.input.scores)
    every = pd.DataFrame(scores["ladder"]["all"])
    priors = every[every["method"] != "reference"] if len(every) else every
    of = scores["ladder"]["of"]
    if scores["test"] and scores["test"]["wells"]:
        line = scores["test"]["interval"]
        of += f" of {counted(line['groups'], line['unit'])}"
    save(averaging(votes, priors, of), snakemake.output.figure)
    priors = priors.rename(columns={"unit": "resampled"})  # a vote's `unit` is what is counted
    save_table(pd.concat([votes.assign(kind="averaging"), priors.assign(kind="prior")]), snakemake.output.table)
