"""Figure: weights of 1 × 1 convolutions, and how far they are constant bands."""

from cellsignal.figures.kernel_bands import band_table, kernel_bands
from cellsignal.figures.style import save, save_table
from cellsignal.kernels import find_bands
from cellsignal.weights import kernels

from running import run

with run(snakemake) as job:
    weights = kernels(snakemake.input.weights, job.settings["kernel_layers"])
    bands = {layer: find_bands(matrix) for layer, matrix in weights.items()}
    save(kernel_bands(weights, bands, job.settings["model"]), snakemake.output.figure)
    save_table(band_table(bands), snakemake.output.table)
