"""Write the submission: one row for every test treatment well, sorted by well as Kaggle's sample is."""

from cellsignal.sites import read_table, well_table
from cellsignal.submission import write_submission

from running import run

with run(snakemake) as job:
    wells = well_table(read_table(snakemake.input.sites))
    write_submission(
        snakemake.output.submission,
        read_table(snakemake.input.assignment),
        wells[(wells["dataset"] == "test") & (wells["well_type"] == "treatment")],
        read_table(snakemake.input.classes),
        by_name=job.settings["by_name"],
    )
