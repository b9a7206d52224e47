"""Average the class probabilities of all models and folds of a round (or of one reference model) per well."""

from pathlib import Path

from cellsignal.ensemble import PredictionFile, add_unseen, ensemble, write_probabilities
from cellsignal.sites import read_table, well_table

from running import run


def prediction_file(path: str) -> PredictionFile:
    """Model and fold of `…/{model}/fold{fold}/{cell_type}/round{round}.h5`."""
    model, fold = Path(path).parts[-4:-2]
    return PredictionFile(model, int(fold.removeprefix("fold")), path)


with run(snakemake) as job:
    sites = read_table(snakemake.input.sites, without=["images"])
    wells = ensemble([prediction_file(path) for path in snakemake.input.predictions], sites)
    table = well_table(sites)
    asked = table[(table["dataset"] == "test") & (table["well_type"] == "treatment")]
    wells = add_unseen(wells, asked["well_id"])
    write_probabilities(snakemake.output.ensemble, wells)
    print(f"{len(snakemake.input.predictions)} predictions → {len(wells.well_id):,} wells")
