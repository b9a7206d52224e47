"""Figure: loss and accuracy of every training, by epoch."""

from pathlib import Path

import pandas as pd

from cellsignal.figures.style import save, save_table
from cellsignal.figures.training_curves import training_curves

from running import run


def history(path: str) -> pd.DataFrame:
    """The history of `…/models/{model}/fold{fold}/(stage1|{cell_type}/round{round})/history.csv`."""
    model, fold, *stage = Path(path).parts[Path(path).parts.index("models") + 1 : -1]
    cell_type, number = (stage[0], int(stage[1].removeprefix("round"))) if len(stage) == 2 else ("", 0)
    return pd.read_csv(path).assign(model=model, fold=int(fold.removeprefix("fold")), cell_type=cell_type, round=number)


with run(snakemake) as job:
    table = pd.concat([history(path) for path in snakemake.input.histories], ignore_index=True)
    save(training_curves(table), snakemake.output.figure)
    save_table(table, snakemake.output.table)
