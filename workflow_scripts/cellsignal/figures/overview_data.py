"""What the overview page knows: the sites that can be looked at, and one line per well for its search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellsignal.attention import attention
from cellsignal.explained_sites import Explanations
from cellsignal.figures.site_images import composite, stretch
from cellsignal.figures.style import words
from cellsignal.figures.thumbnails import thumbnail, veil

ROLES = {
    "out_of_fold": "called by models that were not trained on its experiment",
    "test": "test",
    "control": "control, of an experiment that the models did not see",
    "unseen": "test, without images",
    "": "not called",
}


def explained(
    sites: pd.DataFrame,
    found: Explanations,
    neighbours: pd.DataFrame,
    wells: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    names: Mapping[int, str],
    channels: Sequence[str],
    side: int,
) -> dict[str, Any]:
    """JSON values of the explained sites: `images` (site → composite) and `sites`, with all that is shown of each.

    Args:
        sites: rows of the site table, in the order of `found`.
        neighbours: of `explained_sites.neighbour_table`.
        wells: the table of the `score` rule: what the ensemble calls the wells.
        pixels: (channels, h, w) of every explained site and neighbour.
        names: class index → name.
        side: largest width and height of an image.
    """
    # One site at a time: at full size a stretched image takes four times the memory of its pixels.
    images = {site: thumbnail(composite(stretch(image[None])[0], channels), side) for site, image in pixels.items()}
    listed: list[dict[str, Any]] = []
    shares, distances = attention(found.correlation), attention(found.distance)
    scored = wells.set_index("well_id")["predicted"]
    near = {site: part.sort_values("rank") for site, part in neighbours.groupby("site_id")}
    for i, row in enumerate(sites.to_dict("records")):
        site = row["site_id"]
        listed.append(
            {
                "id": site,
                "well": row["well_id"],
                "cell": row["cell_type"],
                "experiment": row["experiment"],
                "class": names[row["sirna"]],
                "called": names[int(found.called[i])],
                "p": round(float(found.probability[i]), 3),
                "outcome": "right" if found.called[i] == row["sirna"] else "wrong",
                "scored": names.get(int(scored[row["well_id"]]), "none"),
                "channels": [thumbnail(channel, side) for channel in stretch(pixels[site][None])[0]],
                "cam": thumbnail(veil(found.cam[i] / 255), side),
                "correlation": _rounded(found.correlation[i]),
                "attention": _rounded(shares[i]),
                "distance": _rounded(distances[i]),
                "near": [
                    {
                        "id": other["neighbour_site_id"],
                        "experiment": other["neighbour_experiment"],
                        "class": other["neighbour_class_name"],
                        "called": other["neighbour_called"],
                        "cosine": round(float(other["cosine"]), 2),
                    }
                    for other in (near[site].to_dict("records") if site in near else [])
                ],
            }
        )
    return {"channels": [words(name) for name in channels], "layer": found.layer, "images": images, "sites": listed}


def _rounded(values: np.ndarray) -> list[float] | None:
    """None where the map of the site is empty."""
    return None if np.isnan(values).any() else [round(float(value), 2) for value in values]


def searchable(wells: pd.DataFrame, names: Mapping[int, str]) -> dict[str, Any]:
    """JSON values of every well, a list per column: short, since a screen has tens of thousands.

    `wells`: the table of the `score` rule. Classes are numbers of the list `classes`, −1 where not known.
    """
    types, cells = sorted(set(wells["well_type"])), sorted(set(wells["cell_type"]))
    roles = list(ROLES)
    percent = (100 * wells["probability"]).round().fillna(-1).astype(int)
    return {
        "classes": [names[number] for number in sorted(names)],
        "cells": cells,
        "types": types,
        "roles": list(ROLES.values()),
        "id": wells["well_id"].tolist(),
        "cell": wells["cell_type"].map(cells.index).tolist(),
        "type": wells["well_type"].map(types.index).tolist(),
        "role": wells["role"].map(roles.index).tolist(),
        "true": wells["sirna"].tolist(),
        "called": wells["predicted"].tolist(),
        "percent": percent.tolist(),
    }
