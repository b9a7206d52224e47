"""Figure: the ablation beside the published values of DeepNoise's figures 3(a) and 3(b)."""

import pandas as pd

from cellsignal.figures.ablation_ladder import ablation_ladder
from cellsignal.figures.style import save, save_table
from cellsignal.files import read_json

from running import run

with run(snakemake) as job:
    found = read_json(snakemake.input.ablation)
    save(ablation_ladder(found), snakemake.output.figure)
    save_table(pd.DataFrame(found["rungs"]).assign(of=found["of"], wells=found["wells"]), snakemake.output.table)
