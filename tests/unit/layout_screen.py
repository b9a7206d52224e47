"""A screen with RxRx1's layout in small: four plates an experiment, four groups of classes that rotate.

Class c is in group c mod 4; in rotation r, plate j + 1 holds group (j + r) mod 4.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import softmax

from cellsignal.ensemble import WellProbabilities
from cellsignal.sites import Screen, answer_table, site_table, validate_sites, well_table

PLATES, CLASSES = 4, 20  # treatment classes 0 to 19; 20 is a positive, 21 a negative control
TRAIN = {"HUVEC-01": 0, "HUVEC-02": 1, "RPE-01": 2, "RPE-02": 0}  # experiment → rotation
TEST = {"HUVEC-03": 3, "RPE-03": 1}
TABLE = pd.DataFrame(
    {
        "sirna": np.arange(CLASSES + 2),
        "name": [f"s{c}" for c in range(CLASSES + 2)],
        "well_type": ["treatment"] * CLASSES + ["positive_control", "negative_control"],
    }
)


def layout_screen(train: Mapping[str, int] = TRAIN, test: Mapping[str, int] = TEST, seed: int = 0) -> Screen:
    """The screen, two sites a well, a positive and a negative control on every plate."""
    random = np.random.default_rng(seed)
    rows = []
    for experiment, rotation in {**train, **test}.items():
        for plate in range(PLATES):
            group = [c for c in range(CLASSES) if c % PLATES == (plate + rotation) % PLATES]
            for column, label in enumerate([21, 20, *random.permutation(group).tolist()]):
                for site in (1, 2):
                    rows.append((experiment, str(plate + 1), f"B{column + 2:02d}", 1, column + 1, site, label))
    table = pd.DataFrame(rows, columns=["experiment", "plate", "well", "row", "column", "site", "truth"])
    table["plate_id"] = table["experiment"] + "_" + table["plate"]
    table["cell_type"] = table["experiment"].str.split("-").str[0]
    table["dataset"] = np.where(table["experiment"].isin(list(test)), "test", "train")
    table["well_type"] = TABLE["well_type"].to_numpy()[table["truth"]]
    hidden = ((table["dataset"] == "test") & (table["well_type"] == "treatment")).to_numpy()
    table["sirna"] = np.where(hidden, -1, table["truth"])
    answers = answer_table((table["plate_id"] + "_" + table["well"])[hidden], table.loc[hidden, "truth"].to_numpy())
    sites = site_table(table, [[f"{i}.png"] for i in range(len(table))])
    validate_sites(sites, TABLE, "layout screen")
    return Screen(sites, answers, TABLE)


def fold_table(screen: Screen) -> pd.DataFrame:
    """A fold for each train experiment."""
    groups = screen.sites.loc[screen.sites["dataset"] == "train", "experiment"].unique()
    return pd.DataFrame({"group": groups, "fold": np.arange(len(groups))})


def predicted(screen: Screen, strength: float = 2.0, seed: int = 0) -> WellProbabilities:
    """Probabilities that lean to the truth, for all wells but the controls of test experiments."""
    random = np.random.default_rng(seed)
    wells = well_table(screen.sites)
    treatment, test = wells["well_type"] == "treatment", wells["dataset"] == "test"
    wells = wells.assign(role=np.where(test, "test", np.where(treatment, "out_of_fold", "control")))
    wells = wells[treatment | ~test]
    told = wells["well_id"].map(screen.answers.set_index("well_id")["sirna"])
    truth = wells["sirna"].where(wells["sirna"] >= 0, told).astype(int).to_numpy()
    logits = random.normal(size=(len(wells), CLASSES + 2)) + strength * np.eye(CLASSES + 2)[truth]
    return WellProbabilities(
        wells["well_id"].to_numpy(dtype=str),
        softmax(logits, axis=1).astype(np.float32),
        wells["role"].to_numpy(dtype=str),
    )
