"""Figure: published scores on RxRx1, with this run's score beside them where answers are known."""

import pandas as pd

from cellsignal.figures.published_scores import published_scores, ranked
from cellsignal.figures.style import save, save_table
from cellsignal.files import read_json
from cellsignal.published import PUBLISHED, own_score

from running import run

with run(snakemake) as job:
    test = read_json(snakemake.input.scores)["test"]
    own, remark = own_score(test and test["kaggle"], job.settings["recipe"], job.settings["image_size"])
    scores = ranked(PUBLISHED, own)
    save(published_scores(scores, remark), snakemake.output.figure)
    save_table(pd.DataFrame([vars(score) for score in scores]), snakemake.output.table)
