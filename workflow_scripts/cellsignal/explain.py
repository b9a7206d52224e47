"""Where in an image a model looks."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


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


@torch.inference_mode()
def called_classes(
    model: nn.Module, images: Tensor, batch_size: int = 16, told: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The class (n,) int64 that `model`, in evaluation mode, calls for each image, and its probability (n,) float32.

    Arguments as in `grad_cam`; a single view of each image.
    """
    beside = () if told is None else (told,)
    found = [
        _logits(model(images[i : i + batch_size], *(tensor[i : i + batch_size] for tensor in beside)))
        .float()
        .softmax(1)
        .max(1)
        for i in range(0, len(images), batch_size)
    ]
    classes, probability = (torch.cat([getattr(part, name) for part in found]) for name in ("indices", "values"))
    return classes.cpu().numpy(), probability.cpu().numpy()


def layer_name(model: nn.Module, image: Tensor, *beside: Tensor) -> str:
    """The dotted name of `last_spatial_layer`, as `model.get_submodule` takes it."""
    last = last_spatial_layer(model, image, *beside)
    return next(str(name) for name, module in model.named_modules() if module is last)


def last_spatial_layer(model: nn.Module, image: Tensor, *beside: Tensor) -> nn.Module:
    """The module that is last to give a feature map (n, channels, h, w) larger than 1 × 1.

    `image`: one image (1, channels, h, w), and what else the model is given; `model` in evaluation mode.
    Raises `ValueError` if the model has none.
    """
    last: list[nn.Module] = []

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            last[:] = [module]

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            model(image, *beside)
    finally:
        for hook in hooks:
            hook.remove()
    if not last:
        raise ValueError(f"{type(model).__name__} has no layer with a feature map larger than 1 × 1; name one (layer=)")
    return last[0]


def _logits(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[1] if isinstance(output, tuple) else output


def attention(
    cams: np.ndarray, images: np.ndarray, measure: Literal["correlation", "distance"] = "correlation"
) -> np.ndarray:
    """How well a map agrees with each channel, float64 (n, channels).

    `cams`: (n, h, w), `images`: (n, channels, h, w), both scaled to 0–1 per map and channel. `correlation`:
    Pearson's. `distance`: 1 − root mean squared difference (the explainability paper's equation 15 is the
    distance itself, though its text reads larger as more concordant). Divided by the largest absolute value
    over the channels of an image, so that the most telling channel has 1 (or −1); 0 for constant ones.
    """
    maps = _scale(np.asarray(cams, dtype=np.float64)[:, None])
    scaled = _scale(np.asarray(images, dtype=np.float64))
    if measure == "distance":
        agreement = 1 - np.sqrt(((maps - scaled) ** 2).mean((2, 3)))
    else:
        maps -= maps.mean((2, 3), keepdims=True)
        scaled -= scaled.mean((2, 3), keepdims=True)
        norms = np.sqrt((maps**2).sum((2, 3)) * (scaled**2).sum((2, 3)))
        agreement = np.divide((maps * scaled).sum((2, 3)), norms, out=np.zeros(norms.shape), where=norms > 0)
    largest = np.abs(agreement).max(1, keepdims=True)
    share: np.ndarray = np.divide(agreement, largest, out=np.zeros(agreement.shape), where=largest > 0)
    return share


def _scale(images: np.ndarray) -> np.ndarray:
    low = images.min((2, 3), keepdims=True)
    span = images.max((2, 3), keepdims=True) - low
    scaled: np.ndarray = np.divide(images - low, span, out=np.zeros(images.shape), where=span > 0)
    return scaled
