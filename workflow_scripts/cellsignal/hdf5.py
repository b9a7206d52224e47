"""HDF5 files that have their disk space before anything is written into them.

HDF5 does not survive a full disk: it fails again while it closes the file, and crashes Python at the end. So
the system is asked for the space first, which fails cleanly.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from cellsignal.files import reserve

Layout = Mapping[str, tuple[tuple[int, ...], "np.dtype[np.generic]"]]
METADATA = 1 << 16  # bytes that HDF5 may need of its own


@contextmanager
def new_file(path: Path, layout: Layout) -> Iterator[h5py.File]:
    """Create `path` with a contiguous dataset for each (shape, dtype) of `layout`, to be filled.

    No times are stored. Raises `files.NoRoom` where the disk has not room for all of it.
    """
    reserve(path, sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values()) + METADATA)
    with h5py.File(path, "w") as file:
        for name, (shape, dtype) in layout.items():
            now = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            now.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            now.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            file.create_dataset(name, shape, dtype, dcpl=now, track_times=False)
        file.flush()
        reserve(path, file.id.get_filesize())  # opening it anew gave the space back
        yield file
