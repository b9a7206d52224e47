"""Titles of sites in figures."""

import pandas as pd


def site_titles(sites: pd.DataFrame, names: pd.Series) -> list[str]:
    """Two lines per site: its id; its cell type and class. `names`: class index → name."""
    return [
        f"{row['site_id']}\n{row['cell_type']}, {names.get(row['sirna'], 'class withheld')}"
        for row in sites.to_dict("records")
    ]
