"""cellsignal: read which gene was silenced from multi-channel microscope images.

The library behind the workflow's rules. It knows nothing of Snakemake: every function can be called
from a test or a notebook with plain arrays, tables and paths.
"""
