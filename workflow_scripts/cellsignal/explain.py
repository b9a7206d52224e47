"""What a model has learned: a map of its embedding, and where in an image it looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from torch import Tensor, nn
from torch.nn import functional

NEIGHBOURS = 10  # of the purity and of the trustworthiness


@dataclass(frozen=True)
class EmbeddingMap:
    """`rows` int (m,): the sampled rows, ascending; `points` float32 (m, 2); `trustworthiness` 0–1."""

    rows: np.ndarray
    points: np.ndarray
    trustworthiness: float


def embed_tsne(embedding: np.ndarray, n: int, seed: int, strata: Sequence[Any] | None = None) -> EmbeddingMap:
    """t-SNE (van der Maaten & Hinton 2008) of a sample of at most `n` rows, by cosine distance.

    `embedding`: float (sites, dim), at least 5 sites. `strata`: one value per site (such as the experiment);
    each is represented by its share. The same arguments give the same map on one machine.
    """
    rows = stratified_sample(strata if strata is not None else np.zeros(len(embedding)), n, seed)
    sample = _unit(embedding[rows])
    # 50 components lose next to nothing and save most of the time of the neighbour search.
    reduced = PCA(50, random_state=seed).fit_transform(sample) if min(sample.shape) > 50 else sample
    perplexity = min(30.0, (len(rows) - 1) / 4)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    points = tsne.fit_transform(reduced).astype(np.float32)
    k = min(NEIGHBOURS, len(rows) // 2 - 1)
    return EmbeddingMap(rows, points, float(trustworthiness(sample, points, n_neighbors=max(1, k))))


def stratified_sample(strata: Sequence[Any] | np.ndarray, n: int, seed: int) -> np.ndarray:
    """Ascending row numbers of `n` rows (all, if there are fewer), each stratum by its share (± 1)."""
    _, stratum = np.unique(np.asarray(strata), return_inverse=True)
    total = len(stratum)
    n = min(n, total)
    random = np.random.default_rng(seed).permutation(total)
    by_stratum = random[np.argsort(stratum[random], kind="stable")]
    # Even steps through the rows sorted by stratum (systematic sampling).
    steps = ((np.arange(n) + 0.5) * total / n).astype(int) if n else np.zeros(0, dtype=int)
    rows: np.ndarray = np.sort(by_stratum[steps])
    return rows


def neighbour_purity(
    embedding: np.ndarray, labels: Sequence[Any], k: int = NEIGHBOURS, apart: Sequence[Any] | None = None
) -> tuple[float, float]:
    """(share of the `k` nearest neighbours by cosine that have the row's label, what chance would give).

    `embedding`: float (n, dim). Rows with the same value of `apart`, such as the two sites of a well, are
    never each other's neighbours. Chance is the share among all rows that could be neighbours.
    """
    unit = _unit(embedding)
    _, label = np.unique(np.asarray(labels), return_inverse=True)
    unique = np.arange(len(unit)) if apart is None else np.unique(np.asarray(apart), return_inverse=True)[1]
    same, possible, hits, found = 0, 0, 0, 0
    for start in range(0, len(unit), 1024):  # bounds memory at 1,024 × n
        chunk = slice(start, start + 1024)
        allowed = unique[chunk, None] != unique[None, :]
        alike = (label[chunk, None] == label[None, :]) & allowed
        same, possible = same + int(alike.sum()), possible + int(allowed.sum())
        closeness = np.where(allowed, unit[chunk] @ unit.T, -np.inf)
        nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
        hits += int(np.take_along_axis(alike, nearest, 1).sum())
        found += int(np.take_along_axis(allowed, nearest, 1).sum())
    return hits / max(found, 1), same / max(possible, 1)


def _unit(embedding: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1: what is left is the angle, which is what ArcFace learns."""
    embedding = np.asarray(embedding, dtype=np.float32)
    unit: np.ndarray = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    return unit


def grad_cam(
    model: nn.Module,
    images: Tensor,
    target: Sequence[int] | Tensor | np.ndarray | None = None,
    layer: nn.Module | None = None,
    batch_size: int = 16,
) -> np.ndarray:
    """Where the evidence for a class lies (Grad-CAM, Selvaraju et al. 2017), float32 (n, h, w) in 0–1.

    `model` returns logits, or a tuple whose second item they are; it runs in evaluation mode and is left as it
    was. `images`: normalized float (n, channels, h, w) on the model's device. `target`: class index per
    image; default: the class that the model calls. `layer`: the module whose feature map is read; default:
    `last_spatial_layer`. A map is scaled by its own largest value; it is 0 where nothing speaks for the
    class.
    """
    training = model.training
    model.eval()
    try:
        layer = layer or last_spatial_layer(model, images[:1])
        classes = None if target is None else torch.as_tensor(np.asarray(target), device=images.device)
        maps = [
            _grad_cam(
                model,
                images[i : i + batch_size],
                None if classes is None else classes[i : i + batch_size],
                layer,
            )
            for i in range(0, len(images), batch_size)
        ]
    finally:
        model.train(training)
    return torch.cat(maps).cpu().numpy()


def _grad_cam(model: nn.Module, images: Tensor, target: Tensor | None, layer: nn.Module) -> Tensor:
    features: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        features.append(output)
        return output.clone()  # an in-place activation behind the layer must not alter what is kept

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():  # through the images, so that frozen weights do not matter
            logits = _logits(model(images.detach().clone().requires_grad_()))
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


def last_spatial_layer(model: nn.Module, image: Tensor) -> nn.Module:
    """The module that is last to give a feature map (n, channels, h, w) larger than 1 × 1.

    `image`: one image (1, channels, h, w); `model` in evaluation mode. Raises `ValueError` if the model has none.
    """
    last: list[nn.Module] = []

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            last[:] = [module]

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            model(image)
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
