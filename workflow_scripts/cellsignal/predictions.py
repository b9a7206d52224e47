"""Predictions of one model: an HDF5 file with one row per imaging site.

`logits` float32 (site, class) · `embedding` float32 (site, dim) · `site_id` and `role` bytes (site,). Role:
`test` (test treatment wells), `out_of_fold` (train wells of the experiments that this model's fold held out),
`control` (control wells, whose classes are known everywhere). Equal content gives equal bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import atomic
from cellsignal.hdf5 import new_file

Role = Literal["test", "out_of_fold", "control"]
ROLES: tuple[str, ...] = get_args(Role)
SHOWN = 5  # examples named in a message


@dataclass(frozen=True)
class Predictions:
    """Predictions of sites, sorted by `site_id`.

    Attributes:
        site_id: str (sites,).
        logits: float32 (sites, classes), log of the mean softmax over views.
        embedding: float32 (sites, dim), mean over views.
        role: str (sites,), one of `ROLES`.
    """

    site_id: NDArray[Any]
    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    role: NDArray[Any]


@dataclass(frozen=True)
class Embedding:
    """`Predictions` without the logits."""

    site_id: NDArray[Any]
    embedding: NDArray[np.float32]
    role: NDArray[Any]


def write_predictions(
    path: str | Path, site_id: ArrayLike, logits: ArrayLike, embedding: ArrayLike, role: ArrayLike
) -> None:
    """Write predictions atomically, sorted by site.

    Args:
        path: the HDF5 file.
        site_id: (sites,) of str, each once.
        logits: (sites, classes), finite.
        embedding: (sites, dim), finite.
        role: (sites,) of `ROLES`.

    Raises:
        BadInput: lengths differ, a site occurs twice, a value is not finite, a role is unknown.
    """
    sites, roles = np.asarray(site_id, dtype=str), np.asarray(role, dtype=str)
    numbers = {"logits": np.asarray(logits, np.float32), "embedding": np.asarray(embedding, np.float32)}
    problems = []
    for name, array in numbers.items():
        if array.ndim != 2 or len(array) != len(sites):
            problems.append(f"{name}: found shape {array.shape}, expected ({len(sites)}, n): one row per site")
        elif not (finite := np.isfinite(array).all(axis=1)).all():
            problems.append(f"{name}: not finite at {some(sites[~finite])}")
    if roles.shape != sites.shape:
        problems.append(f"role: found {roles.shape}, expected {sites.shape}")
    if unknown := sorted(set(roles.tolist()) - set(ROLES)):
        problems.append(f"role: found {', '.join(unknown)}, expected one of {', '.join(ROLES)}")
    unique, count = np.unique(sites, return_counts=True)
    if len(unique) < len(sites):
        problems.append(f"site_id: more than once: {some(unique[count > 1])}")
    raise_all(problems, str(path))
    order = np.argsort(sites)
    write_arrays(
        path,
        {
            "site_id": sites[order],
            "role": roles[order],
            "logits": numbers["logits"][order],
            "embedding": numbers["embedding"][order],
        },
    )


def read_predictions(path: str | Path) -> Predictions:
    """All predictions of a file, in memory. Raises BadInput if `path` holds none."""
    return Predictions(**read_arrays(path, ("site_id", "logits", "embedding", "role")))


def read_embedding(path: str | Path) -> Embedding:
    """The embedding of all sites of a file, without the logits, which take more memory."""
    return Embedding(**read_arrays(path, ("site_id", "embedding", "role")))


def iterate_logits(
    path: str | Path, sites_at_once: int = 8192
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]]:
    """Pieces of a file without its embeddings: (site_id, role, logits), at most `sites_at_once` rows."""
    labels = read_arrays(path, ("site_id", "role"))
    with h5py.File(path, "r") as file:
        for start in range(0, len(labels["site_id"]), sites_at_once):
            part = slice(start, start + sites_at_once)
            yield labels["site_id"][part], labels["role"][part], file["logits"][part]


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as contiguous HDF5 data sets, atomically; text as fixed-length UTF-8 bytes.

    No times are stored, so equal arrays give equal bytes.
    """
    stored = {
        name: np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array for name, array in arrays.items()
    }
    # An empty array of text: HDF5 has no strings of length 0.
    stored = {name: array.astype("S1") if array.dtype == np.dtype("S") else array for name, array in stored.items()}
    layout = {name: (array.shape, array.dtype) for name, array in stored.items()}
    with atomic(path) as temporary, new_file(temporary, layout) as file:
        for name, array in stored.items():
            file[name][...] = array


def read_arrays(path: str | Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read the named data sets of an HDF5 file, bytes as text. Raises BadInput if one is not there."""
    try:
        with h5py.File(path, "r") as file:
            if missing := [name for name in names if name not in file]:
                raise BadInput(f"{path}: has no data set {', '.join(missing)}; found {', '.join(file) or 'none'}")
            arrays = {name: file[name][()] for name in names}
    except OSError as error:
        raise BadInput(f"{path}: not a readable HDF5 file ({error})") from error
    return {
        name: np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array for name, array in arrays.items()
    }


def some(names: ArrayLike) -> str:
    """The first few of `names`, and how many more there are."""
    listed = [str(name) for name in np.asarray(names).ravel()]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
