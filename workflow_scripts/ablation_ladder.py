"""Figure: the ablation beside the published values of DeepNoise's figures 3(a) and 3(b)."""

from cellsignal.figures.ablation_ladder import ablation_ladder
from cellsignal.figures.style import save
from cellsignal.files import read_json

from running import run

with run(snakemake) as job:
    save(ablation_ladder(read_json(snakemake.input.table)), snakemake.output.figure)
