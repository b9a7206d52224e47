"""Channel means and standard deviations by plate, experiment, cell type and site."""

from cellsignal.normalization import statistics
from cellsignal.sites import read_table, write_table

from running import run

with run(snakemake) as job:
    sites = read_table(snakemake.input.sites)
    for scheme, path in zip(job.settings["schemes"], snakemake.output.tables, strict=True):
        table = statistics(snakemake.input.stores, sites, scheme)
        write_table(table, path)
        print(f"{scheme}: {table['group'].nunique():,} groups")
