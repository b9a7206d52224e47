"""Page: the headline numbers, wells to look at, and every figure with the table behind it."""

from pathlib import Path

import numpy as np
import pandas as pd

from cellsignal.explained_sites import read_explanations
from cellsignal.figures.captions import as_html, filled_in, first_sentence
from cellsignal.figures.headlines import headlines
from cellsignal.figures.overview_data import explained, searchable
from cellsignal.figures.overview_page import Picture, overview_page
from cellsignal.files import read_json, write_text
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table

from running import run

with run(snakemake) as job:
    settings = job.settings
    found = read_explanations(snakemake.input.explanations)
    sites = read_table(snakemake.input.sites).set_index("site_id", drop=False).loc[found.site_id]
    names = read_table(snakemake.input.classes).set_index("sirna")["name"].to_dict()
    text = dict.fromkeys(["class_name", "neighbour_class_name", "neighbour_called"], str)
    neighbours = pd.read_csv(snakemake.input.neighbours, dtype=text, keep_default_na=False)
    wells = read_table(snakemake.input.wells)
    shown = np.unique(np.concatenate([found.site_id, neighbours["neighbour_site_id"].to_numpy(str)]))
    pixels = dict(zip(shown, SiteReader(snakemake.input.stores).read(shown), strict=True))
    data = {
        "explained": explained(
            sites, found, neighbours, wells, pixels, names, settings["channels"], settings["thumbnail_pixels"]
        ),
        "searchable": searchable(wells, names),
    }
    tables = [Path(path) for path in snakemake.input.tables]
    pictures = []
    for path, category in zip(map(Path, snakemake.input.pictures), settings["categories"], strict=True):
        caption = filled_in(settings["captions"][path.stem], settings["recipe"], settings["screen"])
        own = [table for table in tables if table.stem in (path.stem, f"{path.stem}_measures")]
        pictures.append(
            Picture(
                name=path.stem,
                category=category,
                kind=path.suffix[1:],
                content=path.read_bytes(),
                caption=as_html(caption),
                alt=first_sentence(caption),
                tables=[(table.name, table.read_bytes()) for table in own],
            )
        )
    numbers = headlines(
        read_json(snakemake.input.scores),
        pd.read_csv(snakemake.input.experiments),
        pd.read_csv(snakemake.input.measures),
    )
    page = overview_page(settings["screen"], settings["recipe"], numbers, pictures, data)
    write_text(snakemake.output.figure, page)
