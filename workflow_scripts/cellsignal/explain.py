"""Where in an image a model looks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cellsignal.errors import BadInput
from cellsignal.loader import Reader, TrainingSites
from cellsignal.models import PerturbationModel
from cellsignal.prediction import batch_norm_groups, in_batches, inputs

MAPS_AT_ONCE = 4  # sites: what a network remembers of an image on its way is hundreds of times the image


def grad_cam(
    model: nn.Module,
    images: Tensor,
    target: Sequence[int] | Tensor | np.ndarray | None = None,
    layer: nn.Module | None = None,
    batch_size: int = 16,
    told: Tensor | None = None,
) -> np.ndarray:
    """Where the evidence for a class lies (Grad-CAM, Selvaraju et al. 2017), float32 (n, h, w) in 0–1.

    `model` returns logits, or a tuple (embedding, logits, …); it runs in evaluation mode and is left as it
    was. `images`: normalized float (n, channels, h, w) on the model's device. `target`: class index per
    image; default: the class that the model calls. `layer`: the module whose feature map is read; default:
    `last_spatial_layer`. `told`: (n, …), what the model is given beside the images, such as their one-hot
    cell types. A map is scaled by its own largest value; it is 0 where nothing speaks for the class.
    """
    training = model.training
    model.eval()
    try:
        beside = () if told is None else (told,)
        layer = layer or last_spatial_layer(model, images[:1], *(tensor[:1] for tensor in beside))
        classes = None if target is None else torch.as_tensor(np.asarray(target), device=images.device)
        maps = [
            _grad_cam(
                model,
                images[i : i + batch_size],
                None if classes is None else classes[i : i + batch_size],
                layer,
                *(tensor[i : i + batch_size] for tensor in beside),
            )
            for i in range(0, len(images), batch_size)
        ]
    finally:
        model.train(training)
    return torch.cat(maps).cpu().numpy()


def _grad_cam(model: nn.Module, images: Tensor, target: Tensor | None, layer: nn.Module, *beside: Tensor) -> Tensor:
    features: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        features.append(output)
        return output.clone()  # an in-place activation behind the layer must not alter what is kept

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():  # through the images, so that frozen weights do not matter
            logits = _logits(model(images.detach().clone().requires_grad_(), *beside))
            chosen = logits.argmax(1) if target is None else target
            score = logits.gather(1, chosen[:, None].long()).sum()
            gradient = torch.autograd.grad(score, features[-1])[0]
    finally:
        hook.remove()
    weight = gradient.mean((2, 3), keepdim=True)
    cam = (weight * features[-1]).sum(1, keepdim=True).relu().detach().float()
    cam = functional.interpolate(cam, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    largest = cam.amax((1, 2), keepdim=True)
    return torch.where(largest > 0, cam / largest.clamp_min(1e-30), torch.zeros_like(cam))


def explain_sites(
    model: PerturbationModel,
    reader: Reader,
    sites: TrainingSites,
    wanted: NDArray[np.intp],
    layer: str | None,
    by_plate: bool,
    batch_size: int,
    device: torch.device,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], str]:
    """What `model` calls sites, how surely, and the Grad-CAM for that class, as it predicts them.

    Args:
        model: on `device`.
        reader: pixels of all sites.
        sites: those that are wanted and, with `by_plate` (BatchNorm takes a plate's statistics), all of their plates.
        wanted: indices of `sites`.
        layer: name of the module whose feature map is read (`report.grad_cam_layer`); default: `last_spatial_layer`.
        batch_size: sites at once where the statistics are taken; maps are made of a few at a time.
        device: where it runs.

    Returns:
        Class (wanted,), its probability (wanted,), maps (wanted, h, w) in 0–1 as of `grad_cam`, the layer's name.

    Raises:
        BadInput: `layer` is none of the model's, or one without a feature map.
    """
    called, probability = np.zeros(len(sites), np.int64), np.zeros(len(sites), np.float32)
    maps: dict[int, NDArray[np.float32]] = {}
    read: str | None = None
    model.eval()
    groups = batch_norm_groups(model, reader, sites, batch_size, device, amp=False, by_plate=by_plate)
    for group, statistics in groups:
        asked = group[np.isin(group, wanted)]
        with statistics:
            for part, images, *told in inputs(model, reader, sites, in_batches(asked, MAPS_AT_ONCE), device):
                if read is None:
                    one = (images[:1], *(tensor[:1] for tensor in told))
                    read = checked_layer(model, layer, *one) if layer else layer_name(model, *one)
                with torch.no_grad():
                    likeliest = model(images, *told).logits.float().softmax(1).max(1)
                called[part], probability[part] = likeliest.indices.cpu().numpy(), likeliest.values.cpu().numpy()
                found = grad_cam(model, images, called[part], model.get_submodule(read), told=told[0] if told else None)
                maps |= dict(zip(part.tolist(), found, strict=True))
    stacked = np.stack([maps[index] for index in wanted.tolist()])
    return called[wanted], probability[wanted], stacked, read or ""


def checked_layer(model: nn.Module, name: str, image: Tensor, *beside: Tensor) -> str:
    """`name`, if that is a module with a feature map. Raises `BadInput` that names those which are."""
    possible = spatial_layers(model, image, *beside)
    if name not in possible:
        coarse = [layer for layer in possible if layer.count(".") <= 2]  # not every convolution of every block
        raise BadInput(
            f"report.grad_cam_layer: {name!r} is no layer with a feature map of the model; expected one of "
            f"{', '.join(coarse or possible)}, or a part of them"
        )
    return name


def layer_name(model: nn.Module, image: Tensor, *beside: Tensor) -> str:
    """The dotted name of `last_spatial_layer`, as `model.get_submodule` takes it."""
    last = last_spatial_layer(model, image, *beside)
    return next(str(name) for name, module in model.named_modules() if module is last)


def last_spatial_layer(model: nn.Module, image: Tensor, *beside: Tensor) -> nn.Module:
    """The module that is last to give a feature map (n, channels, h, w) larger than 1 × 1.

    `image`: one image (1, channels, h, w), and what else the model is given; `model` in evaluation mode.
    Raises `ValueError` if the model has none.
    """
    found = list(spatial_layers(model, image, *beside).values())
    if not found:
        raise ValueError(f"{type(model).__name__} has no layer with a feature map larger than 1 × 1; name one (layer=)")
    return found[-1]


def spatial_layers(model: nn.Module, image: Tensor, *beside: Tensor) -> dict[str, nn.Module]:
    """Name and module of all that give a feature map (n, channels, h, w) larger than 1 × 1, the last to do so last.

    `image`, `beside`, `model`: as of `last_spatial_layer`.
    """
    found: dict[nn.Module, str] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            found.pop(module, None)
            found[module] = names[module]

    names = {module: name for name, module in model.named_modules()}
    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            model(image, *beside)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: module for module, name in found.items()}


def _logits(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[1] if isinstance(output, tuple) else output
