"""Figure: well types, and right and wrong predictions, where they lie on the plate."""

from cellsignal.figures.plate_map import plate_map
from cellsignal.figures.style import save, save_table
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    count = job.settings["example_plates"]
    wells = read_table(snakemake.input.wells)
    known = wells["outcome"] != "unknown"
    scored = wells[known if known.any() else ~known].groupby(["cell_type", "plate_id"]).size().reset_index(name="wells")
    scored = scored.sort_values(["wells", "plate_id"], ascending=[False, True])
    turn = scored.groupby("cell_type").cumcount()  # the fullest plate of each cell type, then the next of each
    plates = sorted(scored.loc[turn.sort_values(kind="stable").index[:count], "plate_id"])
    rows, columns = job.settings["shape"]
    save(plate_map(wells, plates, rows, columns), snakemake.output.figure)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    drawn = wells[wells["plate_id"].isin(plates)]
    # Classes of test wells, where scoring knows them, are not handed on with figures.
    withheld = (drawn["dataset"] == "test") & (drawn["well_type"] == "treatment")
    told = drawn["sirna"].map(names).where(~withheld, "")
    table = drawn.drop(columns=["sirna", "predicted"])
    save_table(table.assign(class_name=told, called=drawn["predicted"].map(names)), snakemake.output.table)
