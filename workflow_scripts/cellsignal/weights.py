"""Weights as arrays, for looking at them: no network is built, and PyTorch is not needed."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cellsignal.errors import BadInput

TEMPLATES = r"(?:(\w+)_)?head\.weight"  # `head`, and `margin_head` beside it in a composite
SQUEEZE = r"\.(attn|se)\."  # names of timm's squeeze-and-excitation modules


def templates(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """The template matrices (classes, width) of a model: one row per class, by name of the head.

    Of a model with one head, `head`; of a composite one `head` (softmax, which predicts) and `margin_head`.
    Raises `BadInput` if the file is no model's weights.
    """
    found = _tensors(path, lambda name: re.fullmatch(TEMPLATES, name) is not None)
    if not found:
        raise BadInput(f"{path}: no tensor head.weight; expected the weights of a model")
    return {name.removesuffix(".weight"): found[name] for name in sorted(found, key=len)}


def kernels(path: str | Path, layers: list[str] | None = None) -> dict[str, NDArray[np.float32]]:
    """Weights (outputs, inputs) of 1 × 1 convolutions, by the name of the layer.

    `layers`: which ones, in this order; default: the first and the last of the model that mix channels, those that
    squeeze and excite left out.
    Raises `BadInput` if a named layer is not there, or is no 1 × 1 convolution.
    """
    found = _tensors(path, lambda name: name.endswith(".weight"))
    square = {
        name.removesuffix(".weight"): tensor[:, :, 0, 0]
        for name, tensor in found.items()
        if tensor.ndim == 4 and tensor.shape[2:] == (1, 1) and min(tensor.shape[:2]) > 1
    }
    names = sorted(square, key=_natural)
    if layers is None:
        main = [name for name in names if not re.search(SQUEEZE, name)]
        return {name: square[name] for name in dict.fromkeys([*main[:1], *main[-1:]])}
    if missing := [layer for layer in layers if layer not in square]:
        known = ", ".join(names) or "none"
        raise BadInput(f"{path}: no 1 × 1 convolution {', '.join(missing)} (report.kernel_layers); found {known}")
    return {layer: square[layer] for layer in layers}


def _tensors(path: str | Path, wanted: Callable[[str], bool]) -> dict[str, NDArray[np.float32]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: np.asarray(file.get_tensor(name)) for name in file.keys() if wanted(name)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a readable safetensors file ({error})") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `layer10` behind `layer2`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
