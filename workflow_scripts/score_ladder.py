"""Figure: what each step of the system adds to the accuracy."""

from cellsignal.figures.score_ladder import Rung, score_ladder
from cellsignal.figures.style import save
from cellsignal.files import read_json

from running import run

with run(snakemake) as job:
    ladder = read_json(snakemake.input.scores)["ladder"]
    rungs = [Rung(**rung) for rung in ladder["rungs"]]
    save(score_ladder(rungs, title=f"Accuracy on {ladder['of']}"), snakemake.output.figure)
