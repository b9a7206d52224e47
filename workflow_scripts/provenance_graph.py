"""Figure: every job behind the result, as a page that can be read without knowing Snakemake."""

from cellsignal.errors import raise_all
from cellsignal.figures.provenance_graph import provenance_graph
from cellsignal.figures.rule_graph import steps_behind
from cellsignal.files import write_text
from cellsignal.provenance.walk import walk

from running import run

with run(snakemake) as job:
    ancestry = walk(snakemake.input.artefact)
    raise_all(ancestry.problems, "receipts that do not fit together")
    result = ancestry.top.removesuffix(".receipt.json")
    write_text(snakemake.output.figure, provenance_graph(steps_behind(ancestry), result, ancestry.top))
