"""The layers of a network: what each makes of one image, and how many weights it has."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

MOST = 25  # rows


def layer_table(model: nn.Module, *inputs: Tensor, most: int = MOST) -> pd.DataFrame:
    """Layers in the order in which `inputs` pass them, with the shape of what each gives out.

    Blocks are opened level by level, all of a level or none, as long as at most `most` rows come of it. Layers
    without weights that leave the shape as it is (activations, dropout) are left out; those that no input passes
    but that have weights come last, with an empty shape, and so do weights that belong to no layer, such as the
    position embedding of a transformer. The rows add up to all weights of the model.

    Args:
        model: in evaluation mode or not; it runs in evaluation mode here and is left as it was.
        inputs: of its forward pass, one image each.

    Returns:
        `name`, `kind` (class of the module, or `weights`), `output` (such as `64 × 256 × 256`, without the batch)
        and `weights` (number of parameters).
    """
    shapes, order = _shapes(model, *inputs)
    level = [("", model)]
    rows = _rows(level, shapes)
    while True:
        opened = [entry for part in level for entry in _opened(*part)]
        deeper = _rows(opened, shapes)
        if dict(opened).keys() == dict(level).keys() or (len(deeper) > most and len(rows) > 1):
            break
        level, rows = opened, deeper
    last = len(order)
    rows.sort(key=lambda row: order.get(row["name"], last))
    return pd.DataFrame(rows, columns=["name", "kind", "output", "weights"])


def _opened(name: str, part: nn.Module | nn.Parameter) -> list[tuple[str, Any]]:
    """The children of a module, and its own weights; the module itself, if no child has weights."""
    if not isinstance(part, nn.Module) or not any(True for child in part.children() for _ in child.parameters()):
        return [(name, part)]
    start = f"{name}." if name else ""
    children: list[tuple[str, Any]] = [(start + child, module) for child, module in part.named_children()]
    return children + [(start + own, weight) for own, weight in part.named_parameters(recurse=False)]


def _rows(level: list[tuple[str, Any]], shapes: dict[str, tuple[Any, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, part in level:
        module = isinstance(part, nn.Module)
        weights = sum(weight.numel() for weight in part.parameters()) if module else part.numel()
        before, after = shapes.get(name, (None, None))
        if not weights and before == after:
            continue
        kind = type(part).__name__ if module else "weights"
        output = " × ".join(str(size) for size in after[1:]) if after else ""
        rows.append({"name": name, "kind": kind, "output": output, "weights": weights})
    return rows


def _shapes(model: nn.Module, *inputs: Tensor) -> tuple[dict[str, tuple[Any, Any]], dict[str, int]]:
    """Module → shapes of what it first took in and gave out; module → place in the order of their ends."""
    shapes: dict[str, tuple[Any, Any]] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, taken: Any, given: Any) -> None:
            shapes.setdefault(name, (_shape(taken), _shape(given)))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        model.train(was_training)
        for one in hooks:
            one.remove()
    return shapes, {name: place for place, name in enumerate(shapes)}


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of a tensor, or of the first one in a tuple or list."""
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return tuple(value.shape) if isinstance(value, Tensor) else None
