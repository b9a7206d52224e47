"""Figure: well types, and right and wrong predictions, where they lie on the plate."""

from cellsignal.config.reporting import ReportSettings
from cellsignal.figures.plate_map import plate_map
from cellsignal.figures.style import save
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    settings = ReportSettings(**job.settings["report"])
    wells = read_table(snakemake.input.wells)
    scored = wells.loc[wells["outcome"] != "unknown", "plate_id"].value_counts()
    plates = (
        sorted(scored.index[: settings.example_plates]) or sorted(set(wells["plate_id"]))[: settings.example_plates]
    )
    rows, columns = job.settings["shape"]
    save(plate_map(wells, plates, rows, columns), snakemake.output.figure)
