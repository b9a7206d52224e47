"""Decoding one source image, strictly: whole, greyscale, and of the expected size, or a problem in words.

PNG (and whatever else Pillow reads) holds one channel; a TIFF may hold several, as pages or as samples.
"""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, either byte order
BITS: dict[str, Any] = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16}


class Unreadable(Exception):
    """One image cannot be used; the message completes a sentence that begins with its path."""


def read_image(path: Path, size: int, channels: int | None) -> tuple[Pixels, str]:
    """Read a file once: its pixels and the SHA-256 of its bytes.

    Args:
        path: the image.
        size: expected height and width.
        channels: expected number of channels; None: as many as there are.

    Returns:
        uint8 or uint16 (channels, size, size) in native byte order, and 64 hexadecimal digits.

    Raises:
        Unreadable: missing, empty, truncated, damaged, not an image, colour, or of another size, type or
            number of channels.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("is missing") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from error
    if not content:
        raise Unreadable("is empty (0 bytes)")
    pixels = _tiff(content, size, channels) if content.startswith(TIFF_MAGIC) else _single(content, size)
    if channels not in (None, len(pixels)):
        raise Unreadable(f"holds {len(pixels)} channel; expected {channels}")
    return pixels, hashlib.sha256(content).hexdigest()


def _single(content: bytes, size: int) -> Pixels:
    """One channel through Pillow."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # global in Pillow: a truncated image must not become a grey one
    try:
        image: Any = Image.open(BytesIO(content))
    except UnidentifiedImageError:
        raise Unreadable(f"is not an image ({len(content):,} bytes)") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"is damaged ({error})") from error
    if image.mode not in BITS:
        raise Unreadable(f"has mode {image.mode}; expected greyscale of 8 bits (L) or 16 (I;16)")
    if image.size != (size, size):
        raise Unreadable(f"has {image.size[1]} × {image.size[0]} pixels; expected {size} × {size}")
    try:
        image.verify()  # the checksums of PNG's pixel data, which decoding passes over
        pixels: Pixels = np.asarray(Image.open(BytesIO(content))).astype(BITS[image.mode], copy=False)
    except (OSError, ValueError, SyntaxError) as error:
        raise Unreadable(f"is truncated or damaged ({len(content):,} bytes: {error})") from error
    return pixels[None]


def _tiff(content: bytes, size: int, channels: int | None) -> Pixels:
    """All channels of a TIFF; pages or samples, told apart by the expected shape."""
    try:
        with tifffile.TiffFile(BytesIO(content)) as file:
            series = file.series[0]
            shape, dtype = tuple(n for n in series.shape if n != 1), series.dtype
            if dtype not in (np.uint8, np.uint16):
                raise Unreadable(f"holds {dtype} values; expected uint8 or uint16")
            axis = _channel_axis(shape, size, channels)
            if len(file.series) > 1:
                raise Unreadable(f"holds {len(file.series)} images of different kinds; expected one")
            end = max(offset + count for page in series.pages for offset, count in _extents(page))
            if end > len(content):  # tifffile fills what is missing with zeros
                raise Unreadable(f"is truncated ({len(content):,} bytes of at least {end:,})")
            pixels = series.asarray().reshape(shape)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise Unreadable(f"is truncated or damaged ({type(error).__name__}: {error})") from error
    pixels = pixels[None] if axis is None else np.moveaxis(pixels, axis, 0)
    native: Pixels = pixels.astype(dtype.newbyteorder("="), copy=False)
    return native


def _extents(page: Any) -> list[tuple[int, int]]:
    return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def _channel_axis(shape: tuple[int, ...], size: int, channels: int | None) -> int | None:
    """Which axis of a TIFF counts channels: the first (pages) or the last (samples); None: there is none."""
    plane = (size, size)
    if shape == plane and channels in (None, 1):
        return None
    if len(shape) == 3:
        for axis, rest in ((0, shape[1:]), (2, shape[:2])):
            if rest == plane and channels in (None, shape[axis]):
                return axis
    expected = f"{size} × {size} pixels" + (f" and {channels} channels" if channels else "")
    raise Unreadable(f"has shape {' × '.join(map(str, shape))}; expected {expected}")
