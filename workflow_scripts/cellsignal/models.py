"""The classifier: backbone, optional neck, and softmax or cosine heads; its weights as a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellsignal.backbones import create_backbone, n_features
from cellsignal.config.learning import ModelSettings
from cellsignal.errors import BadInput, raise_all
from cellsignal.tensors import mismatches, read_tensors, write_tensors


class CosineHead(nn.Module):
    """Scaled cosines between embeddings and one template per class (Deng et al. 2019, ArcFace).

    (n, width) → logits s·cos θ (n, n_classes) float32. The margin belongs to the loss, so that training,
    validation and prediction share one forward pass.
    """

    def __init__(self, width: int, n_classes: int, scale: float = 30.0) -> None:  # scale: s
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(n_classes, width))
        nn.init.xavier_normal_(self.weight)

    def forward(self, embedding: Tensor) -> Tensor:
        with torch.autocast(embedding.device.type, enabled=False):  # half precision is too coarse for angles
            return self.scale * F.linear(F.normalize(embedding.float()), F.normalize(self.weight.float()))


class Output(NamedTuple):
    """What a model says of images.

    Attributes:
        embedding: (n, width).
        logits: (n, classes), those that predict.
        margin_logits: (n, classes), s·cos θ of a composite head's ArcFace part, for its loss only.
    """

    embedding: Tensor
    logits: Tensor
    margin_logits: Tensor | None = None

    def at(self, n: int) -> "Output":
        """What it says of the first `n` images."""
        margin_logits = None if self.margin_logits is None else self.margin_logits[:n]
        return Output(self.embedding[:n], self.logits[:n], margin_logits)


class PerturbationModel(nn.Module):
    """Images (n, channels, h, w) float → embedding and class logits.

    A model that is told the cell type (`settings.cell_type`) also takes it, (n, cell types) float: one-hot,
    or a mixture for mixed images.
    """

    def __init__(
        self, backbone: nn.Module, settings: ModelSettings, n_channels: int, n_classes: int, n_cell_types: int = 1
    ) -> None:
        super().__init__()
        self.settings, self.n_channels, self.n_classes = settings, n_channels, n_classes
        self.n_cell_types = n_cell_types
        self.backbone = backbone
        features = n_features(backbone) + (n_cell_types if settings.cell_type else 0)
        self.width = width = settings.embedding or features
        self.dropout = nn.Dropout(settings.dropout)
        self.neck = build_neck(settings, features)
        self.head: nn.Module
        if settings.head in ("softmax", "composite"):
            self.head = nn.Linear(width, n_classes, bias=settings.head_bias)
        else:
            self.head = CosineHead(width, n_classes, settings.scale)
        self.margin_head = CosineHead(width, n_classes, settings.scale) if settings.head == "composite" else None

    def forward(self, images: Tensor, cell_type: Tensor | None = None) -> Output:
        features = self.dropout(self.backbone(images))
        if self.settings.cell_type:
            if cell_type is None:
                raise ValueError("this model is told the cell type; give it, (n, cell types)")
            features = torch.cat([features, cell_type.to(features)], 1)
        embedding = self.neck(features)
        margin_logits = self.margin_head(embedding) if self.margin_head is not None else None
        return Output(embedding, self.head(embedding), margin_logits)


def build_neck(settings: ModelSettings, features: int) -> nn.Module:
    """Layers from pooled features (n, `features`) to the embedding (n, `settings.embedding`)."""
    width = settings.embedding
    if width is None:
        return nn.Identity()
    if settings.neck == "linear":
        return nn.Sequential(nn.Linear(features, width, bias=False), nn.BatchNorm1d(width))
    return nn.Sequential(
        nn.BatchNorm1d(features),
        nn.Linear(features, width, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(width),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
    )


def build_model(
    settings: ModelSettings,
    n_channels: int,
    n_classes: int,
    seed: int | None = None,
    log: Callable[[str], None] = print,
    n_cell_types: int = 1,
) -> PerturbationModel:
    """A new model, its backbone pretrained where the settings ask for it.

    Weights are drawn from `seed`, which leaves PyTorch's global generator alone, or from that generator.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        options, pretrained = settings.backbone_options, settings.pretrained
        backbone = create_backbone(settings.backbone, n_channels, options, pretrained, log)
        return PerturbationModel(backbone, settings, n_channels, n_classes, n_cell_types)


def save_weights(model: PerturbationModel, path: str | Path) -> None:
    """Write all parameters and buffers to a safetensors file, atomically; equal weights give equal bytes."""
    write_tensors(path, model.state_dict(), _identity(model))


def load_weights(model: PerturbationModel, path: str | Path) -> None:
    """Load weights written by `save_weights` for a model of the same architecture and classes.

    Raises:
        BadInput: another backbone, head, channel or class count, or tensors that do not fit.
    """
    tensors, note = read_tensors(path)
    if not isinstance(note, dict) or "backbone" not in note:
        raise BadInput(f"{path}: safetensors file without a cellsignal note; expected one written by save_weights")
    expected = _identity(model)
    problems = [
        f"{path}: {key} is {note.get(key)}, expected {value}"
        for key, value in expected.items()
        if note.get(key) != value
    ]
    raise_all(problems or mismatches(path, tensors, model.state_dict()), "weights")
    model.load_state_dict(tensors)


def load_model(
    settings: ModelSettings, n_channels: int, n_classes: int, path: str | Path, n_cell_types: int = 1
) -> PerturbationModel:
    """The model of `settings` with the weights of `path`; never looks for pretrained weights."""
    plain = settings.model_copy(update={"pretrained": False})
    model = build_model(plain, n_channels, n_classes, n_cell_types=n_cell_types)
    load_weights(model, path)
    return model


def _identity(model: PerturbationModel) -> dict[str, Any]:
    return {
        "backbone": model.settings.backbone,
        "head": model.settings.head,
        "embedding": model.width,
        "n_channels": model.n_channels,
        "n_classes": model.n_classes,
    }
