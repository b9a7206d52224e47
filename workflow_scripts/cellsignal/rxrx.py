"""The helpers that users of RxRx1 know from `rxrx.io`, for notebooks: same names, same arguments.

They read the published PNGs, or, given `store`, the packed plates. Behaviour and colours follow
https://github.com/recursionpharma/rxrx1-utils; nothing here needs TensorFlow or a Google bucket.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cellsignal.errors import BadInput, raise_all
from cellsignal.plates import PlateStore

DEFAULT_IMAGES_BASE_PATH = "images"
DEFAULT_METADATA_BASE_PATH = "metadata"
DEFAULT_CHANNELS = (1, 2, 3, 4, 5, 6)


class Colour(TypedDict):
    """How a channel looks in a composite: its colour, and the grey levels of black and of full colour."""

    rgb: Sequence[int]
    range: Sequence[float]


RGB_MAP: dict[int, Colour] = {
    1: {"rgb": (19, 0, 249), "range": (0, 51)},
    2: {"rgb": (42, 255, 31), "range": (0, 107)},
    3: {"rgb": (255, 0, 25), "range": (0, 64)},
    4: {"rgb": (45, 255, 252), "range": (0, 191)},
    5: {"rgb": (250, 0, 253), "range": (0, 89)},
    6: {"rgb": (254, 255, 40), "range": (0, 191)},
}


def image_path(
    dataset: str,
    experiment: str,
    plate: int,
    address: str,
    site: int,
    channel: int,
    base_path: str | Path = DEFAULT_IMAGES_BASE_PATH,
) -> str:
    """Path of one channel's image: `base_path/dataset/experiment/PlateN/WELL_sS_wC.png`, as on Kaggle.

    The public release has no folder for the dataset: there it is `base_path/experiment/PlateN/…`.
    """
    base = Path(base_path)
    folder = base / dataset / experiment
    if not folder.is_dir() and (base / experiment).is_dir():
        folder = base / experiment
    return str(folder / f"Plate{plate}" / f"{address}_s{site}_w{channel}.png")


def load_site(
    dataset: str,
    experiment: str,
    plate: int,
    well: str,
    site: int,
    channels: Sequence[int] = DEFAULT_CHANNELS,
    base_path: str | Path = DEFAULT_IMAGES_BASE_PATH,
    store: PlateStore | str | Path | None = None,
) -> NDArray[np.generic]:
    """The images of a site: (height, width, len(channels)), uint8 (uint16 for 16-bit images).

    `channels` count from 1 and are returned in the order given. With `store` (an open plate store, its
    file, or the folder of `{experiment}_{plate}.h5`), pixels come from there and not from `base_path`.
    Raises `BadInput` if the site or any of its images is missing.
    """
    if store is not None:
        return _from_store(store, f"{experiment}_{plate}", f"{experiment}_{plate}_{well}_{site}", channels)
    paths = [Path(image_path(dataset, experiment, plate, well, site, c, base_path)) for c in channels]
    raise_all([f"{path}: no such image" for path in paths if not path.is_file()], "load_site")
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(np.asarray(image))
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise BadInput(f"{paths[0].parent}: channels of site {site} of {well} differ in size: {sorted(sizes)}")
    return np.stack(images, axis=-1)


def _from_store(
    store: PlateStore | str | Path, plate_id: str, site_id: str, channels: Sequence[int]
) -> NDArray[np.generic]:
    if not isinstance(store, PlateStore):
        path = Path(store)
        store = PlateStore(path / f"{plate_id}.h5" if path.is_dir() else path)
    row = np.flatnonzero(np.asarray(store.site_id) == site_id)
    held = store.pixels.shape[1]
    problems = [] if len(row) else [f"site {site_id}: not in the plate store"]
    problems += [f"channel {c}: expected 1 to {held}" for c in channels if not 1 <= c <= held]
    raise_all(problems, "load_site")
    picked = np.asarray(store.pixels[row[0]])[[c - 1 for c in channels]]
    return np.ascontiguousarray(np.moveaxis(picked, 0, -1))


def convert_tensor_to_rgb(
    t: NDArray[np.generic],
    channels: Sequence[int] = DEFAULT_CHANNELS,
    vmax: float = 255,
    rgb_map: Mapping[int, Colour] = RGB_MAP,
) -> NDArray[np.int64]:
    """Colour composite of `t` (height, width, channel), an integer array (height, width, 3) of 0–255.

    `channels` names the channel of each layer of `t`, `vmax` is the value of a white pixel. Each channel
    is brightened to its own maximum, tinted, truncated to integers and summed; the sum is capped at 255.
    """
    if t.ndim != 3 or t.shape[2] != len(channels):
        raise BadInput(f"image of shape {t.shape}: expected (height, width, {len(channels)}), a layer per channel")
    raise_all([f"channel {c}: no colour; expected one of {sorted(rgb_map)}" for c in channels if c not in rgb_map])
    composite = np.zeros((*t.shape[:2], 3), dtype=np.int64)
    for layer, channel in enumerate(channels):
        low, high = (level / 255 for level in rgb_map[channel]["range"])
        # The lower end is added, not subtracted, as in rxrx.io; it is 0 in `RGB_MAP`.
        brightness = np.minimum(t[:, :, layer].astype(float) / vmax / (high - low) + low, 1)
        composite += (brightness[:, :, None] * np.array(rgb_map[channel]["rgb"])).astype(np.int64)
    return np.minimum(composite, 255)


def load_site_as_rgb(
    dataset: str,
    experiment: str,
    plate: int,
    well: str,
    site: int,
    channels: Sequence[int] = DEFAULT_CHANNELS,
    base_path: str | Path = DEFAULT_IMAGES_BASE_PATH,
    store: PlateStore | str | Path | None = None,
) -> NDArray[np.int64]:
    """A site as a colour composite, (height, width, 3), integers of 0–255. Arguments as in `load_site`."""
    image = load_site(dataset, experiment, plate, well, site, channels, base_path, store)
    return convert_tensor_to_rgb(image, channels)


def combine_metadata(base_path: str | Path = DEFAULT_METADATA_BASE_PATH, include_controls: bool = True) -> pd.DataFrame:
    """Kaggle's tables in `base_path` as one, a row per site, indexed by `id_code`; test first.

    Columns in order of name: cell_type, dataset, experiment, plate, sirna, site, well and, with controls,
    well_type. `sirna` is NaN for test treatments, which makes integer classes floats.
    Raises `BadInput` if a table is missing.
    """
    folder = Path(base_path)
    names = {
        dataset: [f"{dataset}.csv"] + ([f"{dataset}_controls.csv"] if include_controls else [])
        for dataset in ("test", "train")
    }
    files = [folder / name for group in names.values() for name in group]
    raise_all([f"{file}: no such table" for file in files if not file.is_file()], "combine_metadata")
    datasets = []
    for dataset, group in names.items():
        wells = pd.concat([pd.read_csv(folder / name) for name in group], ignore_index=True)
        if include_controls:
            wells["well_type"] = wells["well_type"].fillna("treatment")
        wells["cell_type"] = wells["experiment"].str.split("-").str[0]
        wells["dataset"] = dataset
        sites = pd.concat([wells.assign(site=site) for site in (1, 2)])
        datasets.append(sites.sort_values(["id_code", "site"]).set_index("id_code"))
    return pd.concat(datasets).sort_index(axis="columns")
