"""The raw screen of a rehearsal: RxRx1's real tables beside tiny images that are drawn.

Tables, experiments, plates, wells, sites, channels and file names are RxRx1's. An image shows its well's class as
the brightness of four rings around its middle, which flips and quarter turns leave alone, under the gain of experiment
and plate, and noise of the site and of each pixel. The classes of test wells, most of which nobody has published, are
drawn once, as the published layout has them: each plate's own 277 classes, in any order but for the known wells.
"""

import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
from numpy.typing import NDArray

SIZE = 16  # pixels: at 8, a DenseNet of three blocks has nothing left to pool
CHANNELS = 6
SITES = (1, 2)
RINGS = 4
GREY = 50.0  # mean grey level
CLASS_SD, SITE_SD, PIXEL_SD = 0.5, 0.05, 0.15  # as shares of it: learned within 500 steps, at the rates of recipes
EXPERIMENT_SD, PLATE_SD = 0.4, 0.08  # of the log gain of a channel: RxRx1's own, from published statistics
SEED = 0

TABLES = ("train", "test", "train_controls", "test_controls")
PUBLISHED = "rxrx1-metadata/kaggle-original"
LAYOUT = "rxrx1-metadata/derived"
ANSWERS = "answers.csv"


@dataclass(frozen=True)
class Tables:
    """What the raw screen is made of.

    Attributes:
        kaggle: the four tables by name, as Kaggle published them.
        answers: `id_code`, `sirna` of the test wells whose class is published.
        drawn: `dataset`, `experiment`, `plate`, `well`, `sirna` of every well, test wells with the class that is drawn.
    """

    kaggle: dict[str, pd.DataFrame]
    answers: pd.DataFrame
    drawn: pd.DataFrame


def read_tables(data: Path, classes_per_group: int | None = None, one_plate: bool = False) -> Tables:
    """The real tables below `data`, the folder that `CELLSIGNAL_DATA` names.

    For a smaller screen: only so many of each plate group's 277 classes, and four positive controls, numbered anew
    without gaps; only one plate of each experiment: the first, second, third, fourth in turn.
    """
    kaggle = {name: pd.read_csv(data / PUBLISHED / f"{name}.csv") for name in TABLES}
    answers = pd.read_csv(data / LAYOUT / "test_labels_partial.csv")[["id_code", "sirna"]]
    truth = hidden_truth(kaggle["test"], answers, data)
    if classes_per_group is not None:
        kaggle, answers, truth = _smaller(kaggle, answers, truth, data, classes_per_group, one_plate)
    parts = []
    for name, table in kaggle.items():
        known = table if "sirna" in table else table.assign(sirna=table["id_code"].map(truth))
        parts.append(known[["experiment", "plate", "well", "sirna"]].assign(dataset=name.split("_")[0]))
    return Tables(kaggle, answers, pd.concat(parts, ignore_index=True))


def hidden_truth(test: pd.DataFrame, answers: pd.DataFrame, data: Path) -> "pd.Series[int]":
    """A class for every test well (indexed by `id_code`), as the layout has them: the published ones where known.

    `plate_groups.csv` tells on which plate a class is in each of the four layouts, `exp_to_group.csv` which layout an
    experiment has. A plate that lacks wells lacks classes, any of those that are not known to be there.
    """
    groups = pd.read_csv(data / LAYOUT / "plate_groups.csv").set_index("class")
    layout = pd.read_csv(data / LAYOUT / "exp_to_group.csv").set_index("experiment")["assignment"]
    known = answers.set_index("id_code")["sirna"]
    random = np.random.default_rng([SEED, 0])
    parts = []
    for (experiment, plate), wells in test.groupby(["experiment", "plate"]):
        on_plate = groups[f"p{layout[experiment]}"]
        here = wells["id_code"].map(known)
        free = np.setdiff1d(on_plate.index[on_plate == plate], here.dropna())
        unknown = here.isna().to_numpy()
        here[unknown] = random.permutation(free)[: unknown.sum()]
        parts.append(pd.Series(here.to_numpy(int), wells["id_code"]))
    return pd.concat(parts)


def _smaller(
    kaggle: dict[str, pd.DataFrame],
    answers: pd.DataFrame,
    truth: "pd.Series[int]",
    data: Path,
    classes_per_group: int,
    one_plate: bool,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, "pd.Series[int]"]:
    """Tables of the wells that hold some classes only, on one plate or all; classes numbered from 0 again."""
    experiments = sorted({name for table in kaggle.values() for name in table["experiment"]})
    plate_of = {name: 1 + turn % 4 for turn, name in enumerate(experiments)}
    groups = pd.read_csv(data / LAYOUT / "plate_groups.csv").set_index("class")["p0"]
    treatments = groups.groupby(groups).head(classes_per_group).index.sort_values()
    positive, negative = [1108, 1109, 1110, 1111], 1138
    number = {old: new for new, old in enumerate([*treatments, *positive, negative])}
    truth = truth[truth.isin(number)].map(number)
    smaller = {}
    for name, table in kaggle.items():
        here = table[table["plate"] == table["experiment"].map(plate_of)] if one_plate else table
        if name == "test":
            smaller[name] = here[here["id_code"].isin(truth.index)]
        else:
            here = here[here["sirna"].isin(number)]
            smaller[name] = here.assign(sirna=here["sirna"].map(number))
    answers = answers[answers["id_code"].isin(smaller["test"]["id_code"])]
    return smaller, answers.assign(sirna=answers["sirna"].map(number)), truth


def write_screen(root: Path, tables: Tables, size: int = SIZE, processes: int = 1) -> int:
    """Write tables and images below `root`, in Kaggle's layout; how many images.

    Images of a plate that is complete are left as they are, so that a killed run goes on.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name, table in tables.kaggle.items():
        _write_table(root / f"{name}.csv", table)
    _write_table(root / ANSWERS, tables.answers)
    plates = [rows for _, rows in tables.drawn.groupby(["dataset", "experiment", "plate"])]
    draw = partial(write_plate, root, size=size, classes=int(tables.drawn["sirna"].max()) + 1)
    if processes == 1:
        return sum(map(draw, plates))
    with ProcessPoolExecutor(processes) as pool:
        return sum(pool.map(draw, plates))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV unless it is there: planning looks at its time."""
    if not path.exists():
        table.to_csv(path, index=False)


def write_plate(root: Path, wells: pd.DataFrame, size: int, classes: int) -> int:
    """Write the images of one plate, whole or not at all; how many it holds."""
    first = wells.iloc[0]
    folder = root / first["dataset"] / first["experiment"] / f"Plate{first['plate']}"
    images = len(wells) * len(SITES) * CHANNELS
    if folder.is_dir():
        return images
    pixels = draw_plate(wells, size, classes)
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for well, sites in zip(wells["well"], pixels, strict=True):
        for site, channels in zip(SITES, sites, strict=True):
            for number, channel in enumerate(channels, start=1):
                (unfinished / f"{well}_s{site}_w{number}.png").write_bytes(imagecodecs.png_encode(channel, level=1))
    unfinished.rename(folder)
    return images


def draw_plate(wells: pd.DataFrame, size: int, classes: int) -> NDArray[np.uint8]:
    """Pixels (well, site, channel, height, width) of a plate's wells; equal for equal names, classes and size."""
    first = wells.iloc[0]
    experiment, plate = (
        _random("experiment", first["experiment"]),
        _random("plate", first["experiment"], first["plate"]),
    )
    gain = EXPERIMENT_SD * experiment.normal(size=CHANNELS) + PLATE_SD * plate.normal(size=CHANNELS)
    look = CLASS_SD * _random("classes").normal(size=(classes, CHANNELS, RINGS))
    look = look[wells["sirna"].to_numpy()][:, None]
    look = look + SITE_SD * plate.normal(size=(len(wells), len(SITES), CHANNELS, RINGS))
    pixels = look[..., _rings(size)] + PIXEL_SD * plate.normal(size=(*look.shape[:3], size, size))
    grey = GREY * np.exp(gain)[:, None, None] * (1 + pixels)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _rings(size: int) -> NDArray[np.int64]:
    """The ring (height, width) in which each pixel lies, 0 in the middle."""
    middle = np.abs(np.arange(size) - (size - 1) / 2)
    ring: NDArray[np.int64] = (np.maximum.outer(middle, middle) * 2 * RINGS / size).astype(np.int64)
    return ring


def _random(*names: Any) -> np.random.Generator:
    """A generator that follows from the seed and names."""
    text = "/".join(map(str, names)).encode()
    return np.random.default_rng([SEED, 1, *text])
