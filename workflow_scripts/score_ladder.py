"""Figure: what each step of the system adds to the accuracy."""

import pandas as pd

from cellsignal.figures.score_ladder import Rung, score_ladder
from cellsignal.figures.style import save, save_table
from cellsignal.files import read_json

from running import run

with run(snakemake) as job:
    ladder = read_json(snakemake.input.scores)["ladder"]
    rungs = [Rung(**rung) for rung in ladder["rungs"]]
    save(score_ladder(rungs, title=f"Accuracy on {ladder['of']}"), snakemake.output.figure)
    save_table(pd.DataFrame(ladder["rungs"]).assign(of=ladder["of"]), snakemake.output.table)
