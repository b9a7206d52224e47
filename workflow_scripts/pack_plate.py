"""Pack the images of one plate into its store."""

from pathlib import Path

from cellsignal.errors import raise_all
from cellsignal.files import sha256_files, write_json
from cellsignal.plates import PlateStore, pack_plate
from cellsignal.sites import plate_rows, read_table, rows_digest

from running import run

with run(snakemake) as job:
    root = Path(snakemake.params.root)
    plate = snakemake.wildcards.plate
    rows = plate_rows(read_table(snakemake.input.planned, plate), plate)
    raise_all(
        []
        if rows_digest(rows) == job.settings["rows"]
        else [f"{snakemake.input.planned}: plate {plate} has other rows than planned; run snakemake again"]
    )
    problems = pack_plate(
        rows,
        root,
        snakemake.output.store,
        image_size=job.settings["image_size"],
        channels=job.settings["channels"],
        allow_missing_sites=job.settings["allow_missing_sites"],
    )
    write_json(snakemake.output.problems, problems)
    store = PlateStore(snakemake.output.store)
    packed = rows.set_index("site_id").loc[store.site_id, "images"]
    job.read_raw(
        {
            image: sha256
            for images, hashes in zip(packed, store.sha256, strict=True)
            for image, sha256 in zip(images, hashes, strict=True)
        }
    )
    # What left a site out is part of what made the store, too.
    left_out = rows.loc[~rows["site_id"].isin(store.site_id), "images"].explode()
    job.read_raw(sha256_files(left_out, root))
    print(f"{len(store.site_id)} of {len(rows)} sites packed, pixels {store.pixels.shape} {store.pixels.dtype}")
