"""Figure: which classes are taken for which, on wells that no voting model was trained on."""

from cellsignal.confusions import cluster_classes, confusion_table
from cellsignal.figures.confusion import confusion
from cellsignal.figures.style import counted, save, save_table
from cellsignal.metrics import confusion_matrix
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    classes = read_table(snakemake.input.classes)
    wells = read_table(snakemake.input.wells)
    scored = wells[(wells["role"] == "out_of_fold") & (wells["sirna"] >= 0)]
    counts = confusion_matrix(scored["sirna"], scored["predicted"], len(classes))
    names = classes["name"].tolist()
    experiments = counted(scored["experiment"].nunique(), "experiment")
    save(confusion(counts, names, title=f"Confusion, out-of-fold, {experiments}"), snakemake.output.figure)
    save_table(confusion_table(counts, names, cluster_classes(counts).cluster), snakemake.output.table)
