"""Figure: how sure the models are of treatments and of controls, on wells that they did not see."""

from cellsignal.ensemble import read_probabilities
from cellsignal.figures.control_certainty import control_certainty, measure_certainty
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    ensemble = read_probabilities(snakemake.input.ensemble)
    wells = read_table(snakemake.input.wells)
    known = wells[wells["role"].isin(["out_of_fold", "control"]) & (wells["sirna"] >= 0)]
    probability = ensemble.of_wells(known["well_id"])
    well_type, experiment = (known[name].to_numpy(str) for name in ("well_type", "experiment"))
    table = measure_certainty(probability, known["sirna"].to_numpy(), well_type, experiment)
    save(control_certainty(table), snakemake.output.figure)
    save_table(table, snakemake.output.table)
