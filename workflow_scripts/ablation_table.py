"""Score every rung of the ablation; the truth comes from the table that `score` left."""

from pathlib import Path

import numpy as np

from cellsignal.ablation import AblationRung
from cellsignal.ablation_scores import ablation_scores
from cellsignal.config.labelling import BalanceSettings
from cellsignal.embedding import class_tightness
from cellsignal.ensemble import read_probabilities
from cellsignal.files import write_json
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    sites, classes = read_table(snakemake.input.sites), read_table(snakemake.input.classes)
    scores = ablation_scores(
        [AblationRung(**rung) for rung in job.settings["rungs"]],
        {Path(path).stem: read_probabilities(path) for path in snakemake.input.ensembles},
        sites,
        classes,
        read_table(snakemake.input.wells),
        BalanceSettings(**job.settings["balance"]),
        job.settings["strict"],
        job.settings["epoch_chosen"],
    )
    names, n, seed = (job.settings[key] for key in ("clusters", "tsne_sites", "seed"))
    files = np.array_split(snakemake.input.clusters, len(names))  # as many each: one per cell type
    clusters = [
        {"name": name} | class_tightness(part.tolist(), sites, classes, n=n, seed=seed)
        for name, part in zip(names, files, strict=True)
    ]
    known = {name: job.settings[name] for name in ("screen", "recipe", "seed")}
    write_json(snakemake.output.table, known | scores | {"clusters": clusters})
    for rung in scores["rungs"]:
        print(f"{rung['accuracy']:.4f}  {rung['part']}: {rung['name']}")
