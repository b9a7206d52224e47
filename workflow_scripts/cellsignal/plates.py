"""The packed pixel store of a plate: one HDF5 file that loaders map into memory.

`pixels` uint8 or uint16 (site, channel, height, width), contiguous and uncompressed · `site_id` bytes
(site,) · `histogram` uint32 (site, channel, 256), of value >> 8 where pixels have 16 bits · `sums` uint64
(site, channel, 3): pixel count, sum, sum of squares, exact · `sha256` bytes (site, image) of every source
file. Equal sources give equal bytes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import atomic
from cellsignal.hdf5 import Layout, new_file
from cellsignal.images import Pixels, Unreadable, read_image

Problem = dict[str, str]
DATASETS = ("pixels", "histogram", "sums", "sha256", "site_id")
COPIED = 16  # sites copied at once where unreadable ones left a gap


def pack_plate(
    rows: pd.DataFrame,
    root: str | Path,
    path: str | Path,
    image_size: int,
    allow_missing_sites: bool = False,
    jobs: int = 1,
    channels: int | None = None,
) -> list[Problem]:
    """Pack one plate's images. Every file is read once; a few sites per job are in memory.

    Args:
        rows: the plate's rows of the site table, in the order of the store.
        root: folder that `rows.images` is relative to.
        path: the store, written atomically.
        image_size: height and width of every image.
        allow_missing_sites: leave sites with an unreadable image out instead of raising.
        jobs: threads that decode.
        channels: expected channels of a multi-channel file; default: as many as the first readable has.

    Returns:
        What is wrong with the sites that were left out: site_id, image, problem.

    Raises:
        BadInput: an image is unreadable and may not be missing, or no site is left; all images are named.
        Fault: the disk has not room for the store, which is seen before the second site is read.
    """
    plate = f"plate {rows['plate_id'].iloc[0]}" if len(rows) else f"{path}"
    if rows.empty:
        raise BadInput(f"{plate}: no sites to pack; expected at least one")
    problems: list[Problem] = []
    with atomic(path) as temporary:
        packed = _write_sites(rows, Path(root), temporary, image_size, channels, jobs, allow_missing_sites, problems)
        if problems and (not allow_missing_sites or not packed):
            bad = len({p["site_id"] for p in problems})
            advice = "no site is left to pack" if allow_missing_sites else "or set pack.allow_missing_sites: true"
            raise_all(
                [f"{p['image']} {p['problem']} (site {p['site_id']})" for p in problems],
                f"{plate}: {bad} of {len(rows)} sites unreadable; restore the files below {root}"
                f"{';' if allow_missing_sites else ','} {advice}",
            )
        if packed < len(rows):
            _keep_first(temporary, packed)
    return problems


def _decode(images: Sequence[str], root: Path, size: int, channels: int | None) -> tuple[Any, list[str], list[Any]]:
    """One site: its pixels (None if an image is bad), digests, and (image, problem) of bad images."""
    planes, digests, bad = [], [], []
    for image in images:
        try:
            pixels, digest = read_image(root / image, size, 1 if len(images) > 1 else channels)
        except Unreadable as error:
            bad.append((image, str(error)))
            continue
        planes.append(pixels)
        digests.append(digest)
        if pixels.dtype != planes[0].dtype:
            bad.append((image, f"holds {pixels.dtype} values; expected {planes[0].dtype} as in {images[0]}"))
    return (None if bad else np.concatenate(planes)), digests, bad


def _decoded(rows: pd.DataFrame, root: Path, size: int, channels: int | None, jobs: int) -> Iterator[Any]:
    """Decoded sites in order, at most two per job ahead of the one that is wanted."""
    if jobs <= 1:
        yield from (_decode(images, root, size, channels) for images in rows["images"])
        return
    todo = iter(rows["images"])
    with ThreadPoolExecutor(jobs) as pool:
        ahead: deque[Future[Any]] = deque()
        ahead.extend(pool.submit(_decode, images, root, size, channels) for images in islice(todo, 2 * jobs))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(_decode, images, root, size, channels) for images in islice(todo, 1))


def _write_sites(
    rows: pd.DataFrame,
    root: Path,
    path: Path,
    size: int,
    channels: int | None,
    jobs: int,
    allow_missing: bool,
    problems: list[Problem],
) -> int:
    """Write the readable sites to the front of a store with room for all; append to `problems`.

    Returns the number of sites written. Once a problem makes the store useless, only reading goes on.
    """
    names, count, first = rows["site_id"].tolist(), 0, ""
    with ExitStack() as stack:
        store: dict[str, h5py.Dataset] = {}  # looked up once: h5py takes 0.2 ms for it
        for site, (pixels, digests, bad) in zip(names, _decoded(rows, root, size, channels, jobs), strict=True):
            if pixels is not None and not store:
                file = stack.enter_context(new_file(path, _layout(names, pixels, len(digests))))
                store, first, like = {name: file[name] for name in DATASETS}, site, (pixels.shape, pixels.dtype)
            if pixels is not None and (pixels.shape, pixels.dtype) != like:
                expected = f"{like[0][0]} channels of {like[1]} as in site {first}"
                found = f"holds {len(pixels)} channels of {pixels.dtype}; expected {expected}"
                bad = [(rows["images"].iloc[names.index(site)][0], found)]
            problems += [{"site_id": site, "image": image, "problem": problem} for image, problem in bad]
            if bad or (problems and not allow_missing):
                continue
            histogram, sums = summarize(pixels)
            store["pixels"][count] = pixels
            store["histogram"][count] = histogram
            store["sums"][count] = sums
            store["sha256"][count] = np.array(digests, dtype="S64")
            store["site_id"][count] = site.encode()
            count += 1
    return count


def _layout(names: Sequence[str], pixels: Pixels, images: int) -> Layout:
    """Shapes and types of a store for sites of these names that are all like `pixels`, of so many images each."""
    channels = len(pixels)
    of_a_site = {
        "pixels": (pixels.shape, pixels.dtype.newbyteorder("<")),
        "histogram": ((channels, 256), np.dtype("<u4")),
        "sums": ((channels, 3), np.dtype("<u8")),
        "sha256": ((images,), np.dtype("S64")),
        "site_id": ((), np.dtype(f"S{max(map(len, names))}")),
    }
    return {name: ((len(names), *shape), dtype) for name, (shape, dtype) in of_a_site.items()}


def summarize(pixels: Pixels) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Histogram (channel, 256) of value, or of value >> 8 if 16 bits; and exact sums (channel, 3).

    Args:
        pixels: uint8 or uint16 (channel, height, width).
    """
    flat = pixels.reshape(len(pixels), -1)
    coarse = flat if pixels.dtype == np.uint8 else flat >> 8
    histogram = np.stack([np.bincount(channel, minlength=256) for channel in coarse]).astype(np.uint32)
    if pixels.dtype == np.uint8:
        value = np.arange(256, dtype=np.uint64)
        counts = histogram.astype(np.uint64)
        sums = np.stack([counts.sum(1), counts @ value, counts @ value**2], axis=1)
    else:  # at most 2^32 per pixel: exact below 2^32 pixels
        wide = flat.astype(np.uint64)
        number = np.full(len(flat), flat.shape[1], np.uint64)
        sums = np.stack([number, wide.sum(1), (wide * wide).sum(1)], axis=1)
    return histogram, sums


def _keep_first(path: Path, count: int) -> None:
    """Cut a store down to its first `count` sites. Contiguous datasets cannot shrink, hence the copy."""
    whole = path.with_name(f"{path.name}.whole")
    path.rename(whole)
    try:
        with h5py.File(whole, "r") as source:
            layout = {name: ((count, *source[name].shape[1:]), source[name].dtype) for name in DATASETS}
            with new_file(path, layout) as target:
                for start in range(0, count, COPIED):
                    part = slice(start, min(start + COPIED, count))
                    for name in DATASETS:
                        target[name][part] = source[name][part]
    finally:
        whole.unlink(missing_ok=True)


class PlateStore:
    """A packed plate, for reading. Pixels are mapped, not loaded.

    Raises:
        BadInput: `path` is not a plate store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with h5py.File(self.path, "r") as file:
                pixels = file["pixels"]
                self._shape, self._dtype, self._offset = pixels.shape, pixels.dtype, pixels.id.get_offset()
                self.site_id: NDArray[Any] = file["site_id"][:].astype(str)
        except (OSError, KeyError) as error:
            raise BadInput(
                f"{path}: not a plate store ({error}); expected the HDF5 file that pack_plate makes"
            ) from error
        if self._offset is None or len(self._shape) != 4 or len(self.site_id) != self._shape[0]:
            raise BadInput(
                f"{path}: pixels {self._shape} for {len(self.site_id)} sites cannot be mapped; expected a "
                "contiguous, uncompressed (site, channel, height, width)"
            )

    def _all(self, name: str) -> NDArray[Any]:
        with h5py.File(self.path, "r") as file:
            values: NDArray[Any] = file[name][:]
        return values

    @cached_property
    def pixels(self) -> np.memmap[Any, Any]:
        """uint8 or uint16 (site, channel, height, width), read-only."""
        return np.memmap(self.path, self._dtype, "r", self._offset, self._shape)

    @cached_property
    def histogram(self) -> NDArray[np.uint32]:
        """(site, channel, 256)."""
        return self._all("histogram")

    @cached_property
    def sums(self) -> NDArray[np.uint64]:
        """(site, channel, 3): pixel count, sum, sum of squares."""
        return self._all("sums")

    @cached_property
    def sha256(self) -> NDArray[Any]:
        """str (site, image) of the source files."""
        return self._all("sha256").astype(str)


class SiteReader:
    """Sites of many plates, as if they lay in one array: plate after plate, in the order of `stores`.

    Raises:
        BadInput: no stores, plates of different shape or type, or a site on two of them.
    """

    def __init__(self, stores: Sequence[str | Path]) -> None:
        if not stores:
            raise BadInput("no plate stores to read; expected at least one")
        self.stores = [PlateStore(path) for path in stores]
        first = self.stores[0].pixels
        self.shape: tuple[int, ...] = first.shape[1:]  # (channel, height, width)
        self.dtype: np.dtype[Any] = first.dtype
        raise_all(
            [
                f"{s.path}: pixels {s.pixels.shape[1:]} {s.pixels.dtype}; "
                f"expected {self.shape} {self.dtype} as in {self.stores[0].path}"
                for s in self.stores
                if (s.pixels.shape[1:], s.pixels.dtype) != (self.shape, self.dtype)
            ],
            "plate stores differ",
        )
        self._starts = np.cumsum([0, *(len(s.site_id) for s in self.stores)])
        self.site_id: NDArray[Any] = np.concatenate([s.site_id for s in self.stores])
        self._rows = pd.Index(self.site_id)
        if not self._rows.is_unique:
            twice = self._rows[self._rows.duplicated()].unique()
            raise BadInput([f"site {site}: in more than one place of the stores" for site in twice], "plate stores")

    def __len__(self) -> int:
        return len(self.site_id)

    def index(self, site_ids: Any) -> NDArray[np.int64]:
        """Rows of sites. Raises BadInput if one is in no store."""
        wanted = np.asarray(site_ids, dtype=str)
        rows: NDArray[np.int64] = self._rows.get_indexer(pd.Index(wanted)).astype(np.int64)
        raise_all([f"site {site}: in no plate store" for site in wanted[rows < 0]], "plate stores")
        return rows

    def read(self, sites: Any, /) -> NDArray[Any]:
        """Pixels (n, channel, height, width) of `sites`: rows or site ids, in any order, with repeats."""
        rows = np.asarray(sites)
        rows = rows.astype(np.int64) if rows.dtype.kind in "iu" or not rows.size else self.index(rows)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} sites")
        pixels = np.empty((len(rows), *self.shape), self.dtype)
        store = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(store):
            here = np.flatnonzero(store == number)
            here = here[np.argsort(rows[here], kind="stable")]  # the order in which they lie on disk
            source = self.stores[number].pixels
            for place, row in zip(here, rows[here] - self._starts[number], strict=True):
                pixels[place] = source[row]
        return pixels
