"""Backbones: any timm model on images of any number of channels, Xception-Wide, and the capstone's baseline.

timm imports torchvision. A CPU build of PyTorch beside a CUDA build of torchvision makes that import
fail, because torchvision's operators are not loaded but two of them are described; declaring these two
is enough. It is done here only, so every other module that needs timm imports this one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cellsignal.config.backbone_names import unknown_backbone
from cellsignal.errors import BadInput, raise_all
from cellsignal.tensors import mismatches, read_tensors

try:
    import torchvision  # noqa: F401
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    # Kept in a variable: the declarations vanish with the library object.
    _torchvision = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    _torchvision.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _torchvision.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]

import timm
from timm.models import register_model
from timm.models.xception import Block, Xception


class XceptionWide(Xception):
    """Xception with a 7 x 7 stem of 64 and 128 channels, entry blocks of 256, 384 and 1,024, and 1,024 in the middle.

    DeepNoise's second backbone (Yang et al. 2023), after its released code. Xception has 128, 256 and 728. The exit
    flow, 1,024, 1,536 and 2,048, is Xception's.
    """

    def __init__(self, in_chans: int = 3, **options: Any) -> None:
        super().__init__(in_chans=in_chans, **options)
        self.conv1 = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 128, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(128)
        self.block1 = Block(128, 256, 2, 2, start_with_relu=False)
        self.block2 = Block(256, 384, 2, 2)
        self.block3 = Block(384, 1024, 2, 2)
        for number in range(4, 12):
            setattr(self, f"block{number}", Block(1024, 1024, 3, 1))
        self.block12 = Block(1024, 1024, 2, 2, grow_first=False)
        self.feature_info = [
            {**stage, "num_chs": width}
            for stage, width in zip(self.feature_info, (128, 256, 384, 1024, 2048), strict=True)
        ]
        self.pretrained_cfg = {"first_conv": "conv1", "classifier": "fc"}
        for module in self.modules():  # as timm's Xception
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@register_model
def xception_wide(pretrained: bool = False, **options: Any) -> XceptionWide:
    """Xception-Wide as a timm model."""
    if pretrained:
        raise BadInput("xception_wide: no weights are published; give `pretrained` a safetensors file, or false")
    for of_timm in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        options.pop(of_timm, None)
    return XceptionWide(**options)


class CapstoneCNN(nn.Sequential):
    """The capstone project's baseline: two convolutions, each followed by pooling, and a fully connected layer.

    (n, in_chans, size, size) → (n, width): conv 7 × 7 / 2 to 16 channels, pool 2, conv 7 × 7 / 2 to 64, pool
    2, FC; no biases. At its 512² pixels the FC layer has 65,536 inputs. `image_size` is a multiple of 16.
    """

    def __init__(self, in_chans: int = 6, image_size: int = 512, width: int = 2216) -> None:
        if image_size % 16:
            raise BadInput(f"capstone_cnn: image_size {image_size}; expected a multiple of 16")
        super().__init__(
            nn.Conv2d(in_chans, 16, 7, stride=2, padding=3, bias=False),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 64, 7, stride=2, padding=3, bias=False),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * (image_size // 16) ** 2, width, bias=False),
            nn.ReLU(inplace=True),
        )
        self.num_features = width
        self.pretrained_cfg = {"first_conv": "0"}


@register_model
def capstone_cnn(pretrained: bool = False, **options: Any) -> CapstoneCNN:
    """The capstone's baseline as a timm model; options: `image_size`, `width`."""
    if pretrained:
        raise BadInput("capstone_cnn: no weights are published; give `pretrained` a safetensors file, or false")
    for of_timm in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "num_classes"):
        options.pop(of_timm, None)
    return CapstoneCNN(**options)


def create_backbone(
    name: str,
    n_channels: int,
    options: Mapping[str, Any] | None = None,
    pretrained: bool | str | Path = False,
    log: Callable[[str], None] = print,
) -> nn.Module:
    """A timm model without classifier: (n, n_channels, h, w) float → pooled features (n, `n_features`).

    `options` go to the model's constructor. `pretrained`: True for the weights that timm publishes, or the
    path of a safetensors file. Weights of another channel count keep all but their stem, which is adapted
    (`adapt_stem`) and reported through `log`.

    Raises:
        BadInput: an unknown model or option, or a file that does not hold this model's weights.
    """
    if wrong := unknown_backbone(name):
        raise BadInput(f"backbone {wrong}")
    try:
        backbone: nn.Module = timm.create_model(
            name, pretrained=pretrained is True, in_chans=n_channels, num_classes=0, **(options or {})
        )
    except TypeError as error:
        raise BadInput(f"backbone_options of {name}: {error}") from error
    if not isinstance(pretrained, bool):
        load_pretrained(backbone, n_channels, Path(pretrained), log)
    return backbone


def n_features(backbone: nn.Module) -> int:
    """Width of a backbone's pooled features, which for some models differs from its `num_features`."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def load_pretrained(backbone: nn.Module, n_channels: int, path: Path, log: Callable[[str], None] = print) -> None:
    """Load the weights of a safetensors file into `backbone`, adapting the stem to `n_channels`.

    The file may hold a classifier (left out) or a whole model of this library (its backbone is taken).

    Raises:
        BadInput: not a safetensors file, or tensors that are missing, superfluous or of other shapes.
    """
    found, _ = read_tensors(path)
    if any(tensor.startswith("backbone.") for tensor in found):
        found = {t.removeprefix("backbone."): v for t, v in found.items() if t.startswith("backbone.")}
    settings: Any = getattr(backbone, "pretrained_cfg", {})
    classifier = tuple(f"{layer}." for layer in _names(settings.get("classifier")))
    found = {tensor: value for tensor, value in found.items() if not (classifier and tensor.startswith(classifier))}
    expected = backbone.state_dict()
    for tensor, value in expected.items():
        if tensor.endswith("num_batches_tracked"):  # absent in old files; counts nothing that matters
            found.setdefault(tensor, value)
    for stem in (f"{layer}.weight" for layer in _names(settings.get("first_conv"))):
        if stem in found and stem in expected and _differ_in_channels(found[stem], expected[stem], n_channels):
            log(f"{path}: {stem} adapted from {found[stem].shape[1]} to {n_channels} channels; all else as in the file")
            found[stem] = adapt_stem(found[stem], n_channels)
    raise_all(mismatches(path, found, expected), f"pretrained weights of {type(backbone).__name__}")
    backbone.load_state_dict(found)


def adapt_stem(weight: Tensor, n_channels: int) -> Tensor:
    """Convolution weights (out, in, h, w) for `n_channels` inputs, with the same response to equal channels.

    More channels repeat the old ones in turn, each sharing its weight among its repeats; fewer get the
    old ones' mean, scaled by old / new.
    """
    old = weight.shape[1]
    if n_channels < old:
        return weight.mean(dim=1, keepdim=True).repeat(1, n_channels, 1, 1) * (old / n_channels)
    source = torch.arange(n_channels) % old
    repeats = torch.bincount(source)[source]
    return weight[:, source] / repeats.to(weight.dtype).view(1, -1, 1, 1)


def _differ_in_channels(found: Tensor, expected: Tensor, n_channels: int) -> bool:
    same_filters = found.ndim == expected.ndim == 4 and found.shape[0] == expected.shape[0]
    return (
        same_filters
        and found.shape[2:] == expected.shape[2:]
        and expected.shape[1] == n_channels
        and found.shape[1] != n_channels
    )


def _names(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
