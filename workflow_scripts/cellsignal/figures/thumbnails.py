"""Small images of sites as data URIs, for pages."""

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from cellsignal.figures.grad_cam_grid import MAP

QUALITY = 82  # of WebP
VEIL = 0.75  # opacity where a map is strongest


def data_uri(content: bytes, kind: str) -> str:
    """`content` of a MIME type such as `image/webp`, as a URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(image: np.ndarray, pixels: int) -> str:
    """An image (h, w), (h, w, 3) or (h, w, 4) in 0–1 as a WebP of at most `pixels` a side; never enlarged."""
    picture = Image.fromarray(np.round(255 * np.clip(image, 0, 1)).astype(np.uint8))
    side = max(picture.size)
    if side > pixels:
        width, height = (max(1, round(length * pixels / side)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=QUALITY, method=6)
    return data_uri(file.getvalue(), "image/webp")


def veil(cam: np.ndarray) -> np.ndarray:
    """A Grad-CAM (h, w) in 0–1 as RGBA in 0–1 to be laid over an image: the weaker, the more of that is seen."""
    colours: np.ndarray = colormaps[MAP](cam)
    colours[..., 3] = VEIL * cam
    return colours
