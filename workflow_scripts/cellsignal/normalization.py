"""Mean and standard deviation of each channel over a plate, an experiment, a cell type or a site; or neither.

From the exact integer sums that packing left in the plate stores, in Python's integers: no rounding
until the last division, at any size of screen, and no second pass over the pixels.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.errors import raise_all
from cellsignal.plates import PlateStore

Scheme = Literal["plate", "experiment", "cell_type", "site", "none"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
GROUP_COLUMN: dict[Scheme, str | None] = {
    "plate": "plate_id",
    "experiment": "experiment",
    "cell_type": "cell_type",
    "site": "site_id",
    "none": None,
}
"""The column of the site table whose value is the group. The paper (DeepNoise) calls an experiment a batch."""
EVERYTHING = "all"  # the one group of `none`


def groups_of(sites: pd.DataFrame, scheme: Scheme) -> pd.Series:
    """The group of each site (sites,)."""
    column = GROUP_COLUMN[scheme]
    return pd.Series(EVERYTHING, sites.index, dtype=str) if column is None else sites[column]


def statistics(stores: Sequence[str | Path], sites: pd.DataFrame, scheme: Scheme) -> pd.DataFrame:
    """Statistics of all packed sites, train and test, by group. No label is read.

    Args:
        stores: the plate stores.
        sites: the site table; rows without pixels (allowed to be missing) count for nothing.
        scheme: what makes a group.

    Returns:
        group str, channel int64 from 0, mean and std float64 (of all pixels; std with divisor n), pixels
        int64; sorted by group and channel. With `none`, mean 0 and std the largest value of the pixels' type:
        standardized pixels are from 0 to 1, as torchvision's `ToTensor` has them.

    Raises:
        BadInput: a packed site is not in the table, stores differ in their number of channels, or, with `none`, in
            their type of pixels.
    """
    known, group_of = pd.Index(sites["site_id"]), groups_of(sites, scheme).to_numpy(dtype=str)
    types: dict[str, str] = {}  # type of pixels → the first store of that type
    totals: dict[str, NDArray[Any]] = {}
    problems, channels = [], 0
    for path in stores:
        store = PlateStore(path)
        rows = known.get_indexer(pd.Index(store.site_id))
        problems += [f"{path}: site {s} is not in the site table" for s in store.site_id[rows < 0]]
        channels = channels or store.sums.shape[1]
        types.setdefault(str(store.pixels.dtype), str(path))
        if store.sums.shape[1] != channels:
            problems.append(f"{path}: {store.sums.shape[1]} channels; expected {channels} as in {stores[0]}")
        if problems:
            continue
        groups, member = np.unique(group_of[rows], return_inverse=True)
        for number, group in enumerate(groups.tolist()):
            # dtype object: Python's integers. A screen's sum of squares can exceed 64 bits.
            part = store.sums[member == number].astype(object).sum(axis=0)
            totals[group] = totals[group] + part if group in totals else part
    if scheme == "none" and len(types) > 1:
        found = ", ".join(f"{name} ({path})" for name, path in sorted(types.items()))
        problems.append(f"stores hold pixels of several types: {found}; expected one, of which `none` takes the range")
    raise_all(problems, "normalization")
    measured = [
        (group, channel, *moments(*(int(v) for v in totals[group][channel])))
        for group in sorted(totals)
        for channel in range(channels)
    ]
    table = pd.DataFrame(measured, columns=["group", "channel", "mean", "std", "pixels"])
    if scheme == "none":
        table = table.assign(mean=0.0, std=float(np.iinfo(next(iter(types))).max))
    return table.astype({"group": str, "channel": np.int64, "mean": float, "std": float, "pixels": np.int64})


def moments(count: int, total: int, squares: int) -> tuple[float, float, int]:
    """Mean, standard deviation (divisor n) and count from exact sums; each division is correctly rounded."""
    return total / count, math.sqrt((count * squares - total * total) / (count * count)), count


def lookup(table: pd.DataFrame, sites: pd.DataFrame, scheme: Scheme) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and std of each site's group, float32 (sites, channels), in the order of `sites`.

    A constant channel has std 1, so that (x − mean) / std is 0 there.

    Raises:
        BadInput: the table lacks a group.
    """
    wanted = groups_of(sites, scheme)
    # pivot, because it refuses a table that has a group twice.
    means = table.pivot(index="group", columns="channel", values="mean")  # noqa: PD010
    stds = table.pivot(index="group", columns="channel", values="std").reindex(means.index)  # noqa: PD010
    rows = means.index.get_indexer(pd.Index(wanted))
    raise_all(
        [f"normalization table by {scheme}: no group {g}" for g in sorted(set(wanted[rows < 0]))],
        "no pixels of these groups were packed",
    )
    mean, std = means.to_numpy()[rows].astype(np.float32), stds.to_numpy()[rows].astype(np.float32)
    return mean, np.where(std > 0, std, np.float32(1))
