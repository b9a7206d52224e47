"""Figure: sites as they are, as augmentation shows them to the network, and mixed in pairs if the recipe mixes."""

import numpy as np
import pandas as pd
import torch

from cellsignal.augment import Draws
from cellsignal.config.learning import AugmentSettings
from cellsignal.example_views import example_mixtures, example_views
from cellsignal.figures.augmentation_examples import augmentation_examples
from cellsignal.figures.style import save, save_table
from cellsignal.figures.titles import site_titles
from cellsignal.normalization import lookup
from cellsignal.plates import SiteReader
from cellsignal.sites import read_table

from running import run

SHOWN, BATCH = 2, 8  # sites whose views are shown; sites among which mixtures are drawn

with run(snakemake) as job:
    settings, seed = AugmentSettings(**job.settings["augment"]), job.settings["seed"]
    sites = read_table(snakemake.input.sites).set_index("site_id", drop=False)
    names = read_table(snakemake.input.classes).set_index("sirna")["name"]
    reader = SiteReader(snakemake.input.stores)
    order = np.random.default_rng(seed).permutation(len(reader))
    unknown = sites.loc[reader.site_id[order], "sirna"].to_numpy() < 0  # last: their labels cannot be shown
    chosen = sites.loc[reader.site_id[order[np.argsort(unknown, kind="stable")][:BATCH]]]
    pixels = reader.read(chosen["site_id"])
    mean, std = map(torch.from_numpy, lookup(read_table(snakemake.input.statistics), chosen, job.settings["by"]))
    draws = Draws(torch.Generator().manual_seed(seed))
    views = example_views(pixels[:SHOWN], mean[:SHOWN], std[:SHOWN], settings, draws)
    mixtures = example_mixtures(pixels, mean, std, settings, draws)
    shown, classes = chosen.iloc[:SHOWN], chosen["sirna"].map(names).fillna("withheld")
    figure = augmentation_examples(
        views, site_titles(shown, names), mixtures, classes.tolist(), job.settings["channels"]
    )
    save(figure, snakemake.output.figure)
    rows = [{"shows": view, "site_id": site} for site in shown["site_id"] for view in views]
    rows += [
        {
            "shows": mixture.kind,
            "site_id": chosen["site_id"].iloc[mixture.first],
            "partner_site_id": chosen["site_id"].iloc[mixture.second],
            "class_name": classes.iloc[mixture.first],
            "partner_class_name": classes.iloc[mixture.second],
            "share": mixture.share,
            **dict(zip(("top", "bottom", "left", "right"), mixture.box or [None] * 4, strict=True)),
        }
        for mixture in mixtures
    ]
    columns = ["shows", "site_id", "partner_site_id", "class_name", "partner_class_name", "share"]
    save_table(pd.DataFrame(rows, columns=[*columns, "top", "bottom", "left", "right"]), snakemake.output.table)
