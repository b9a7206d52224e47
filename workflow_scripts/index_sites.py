"""Read the screen's tables into the site table, the answers and the classes, and list missing images.

The site table keeps sites with missing images (a submission needs a row for every well); the plate
stores leave them out.
"""

from pathlib import Path

from cellsignal.config.screen import PackSettings, ScreenSettings
from cellsignal.errors import raise_all
from cellsignal.files import sha256_file, write_json
from cellsignal.screens import describe_missing, empty_plates, metadata_files, missing_images, read_screen
from cellsignal.sites import write_table

from running import run

with run(snakemake) as job:
    settings = ScreenSettings(**job.settings["screen"])
    root = Path(snakemake.params.root)
    tables = metadata_files(settings, root)
    screen = read_screen(settings, root)
    missing = missing_images(screen.sites, root)
    raise_all(empty_plates(missing, screen.sites), f"{root}: plates without images")
    if not PackSettings(**job.settings["pack"]).allow_missing_sites:
        raise_all(
            describe_missing(missing, screen.sites),
            f"{root}: images missing; restore them, or set pack.allow_missing_sites: true to leave their sites out",
        )
    write_table(screen.sites, snakemake.output.sites)
    write_table(screen.answers, snakemake.output.answers)
    write_table(screen.classes, snakemake.output.classes)
    write_json(snakemake.output.problems, missing.astype(str).to_dict("records"))
    job.read_raw({path.relative_to(root).as_posix(): sha256_file(path) for path in tables})
    plates, incomplete = screen.sites["plate_id"].nunique(), missing["site_id"].nunique()
    print(f"{len(screen.sites):,} sites on {plates} plates, {incomplete} incomplete")
