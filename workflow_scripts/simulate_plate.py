"""Simulate one plate: its images and its rows of the metadata, in the layout of the public RxRx1 release."""

from pathlib import Path

from cellsignal.config.screen import ScreenSettings
from cellsignal.screens.simulated import simulate_plate

from running import run

with run(snakemake) as job:
    settings = ScreenSettings(**job.settings["screen"])
    root = Path(snakemake.output.metadata).parents[1]
    simulate_plate(settings, f"{snakemake.wildcards.experiment}_{snakemake.wildcards.number}", root)
