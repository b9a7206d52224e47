"""What a rehearsal changes about a recipe: as little as makes it small. Folds, models, heads, rounds, figures stay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rehearsal_screen import ANSWERS, SIZE

from cellsignal.config.schema import Config

SCREEN = "rehearsal"
TRAINED, TUNED = 0.3, 0.2  # epochs of stage 1 and of a fine-tune whose factor is 1
BATCH = 64
MINUTES = 30.0  # between saved states: jobs take seconds

# Networks of the same kind as far as 16 pixels allow, of 8,000 to 57,000 weights.
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "legacy_xception": ("test_efficientnet", {"channel_multiplier": 0.25}),  # separable convolutions, as Xception's
    "xception_wide": ("test_efficientnet", {"channel_multiplier": 0.5}),
    "densenet161": ("densenet161", {"growth_rate": 4, "block_config": [6, 2, 1], "bn_size": 2}),
    "resnet50": ("resnet50", {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 16]}),
    "resnet18": ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 16]}),
    "capstone_cnn": ("capstone_cnn", {"image_size": SIZE, "width": 32}),
}
LAYERS = {"backbone.features.denseblock4": "backbone.features.denseblock3"}  # the last of the tiny network


def rehearsed(config: Config, folder: Path) -> dict[str, Any]:
    """The settings to be laid over a recipe's: the screen of the rehearsal below `folder`, and small numbers."""
    whole = config.model_dump(mode="json")
    overlay: dict[str, Any] = {
        "results": str(folder / "results"),
        "threads": 1,
        "screen": {
            "name": SCREEN,
            "kind": "kaggle",
            "root": str(folder / "raw"),
            "answers": ANSWERS,
            "image_size": SIZE,
        },
        "models": [tiny(model) for model in whole["models"]],
        "train": shortened(whole["train"], TRAINED / config.train.epochs),
        "predict": {"batch_size": 1024, "views": 1},
    }
    if config.finetune is not None:
        share = TUNED / config.finetune.optimization.epochs
        overlay["finetune"] = shortened(whole["finetune"], share)
        overlay["pseudo_labels"] = shortened(whole["pseudo_labels"], share)
    if (layer := config.report.grad_cam_layer) in LAYERS:
        overlay["report"] = {"grad_cam_layer": LAYERS[str(layer)]}
    return overlay


def tiny(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings with a tiny backbone, drawn by chance: there are no weights of such a one to download."""
    backbone, options = TINY[model["backbone"]]
    kept = {name: value for name, value in model["backbone_options"].items() if name not in options}
    return {
        **model,
        "backbone": backbone,
        "backbone_options": {**(kept if backbone == model["backbone"] else {}), **options},
        "pretrained": False,
    }


def shortened(values: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Settings of a training with this share of every number of epochs, and with small batches."""
    return {name: _shortened(name, value, share) for name, value in values.items()}


def _shortened(name: str, value: Any, share: float) -> Any:
    if isinstance(value, Mapping) and name != "epochs_factor":
        return shortened(value, share)
    if value is not None and (name in ("epochs", "steps") or name.endswith("_epochs")):
        # A list is of [epoch from which, value].
        return [[epoch * share, then] for epoch, then in value] if isinstance(value, list) else value * share
    if name == "batch_size":
        return min(value, BATCH)
    return MINUTES if name == "checkpoint_minutes" else value


def changes(whole: Config, small: Config) -> dict[str, list[Any]]:
    """Every setting that differs: its key, with the recipe's value and the rehearsal's."""
    before, after = (flat(config.model_dump(mode="json")) for config in (whole, small))
    return {
        key: [before.get(key), after.get(key)]
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    }


def flat(values: Any, key: str = "") -> dict[str, Any]:
    """Values by their dotted key; a list of mappings by the number of each."""
    if isinstance(values, Mapping):
        items = list(values.items())
    elif isinstance(values, list) and values and isinstance(values[0], Mapping):
        items = [(str(number), value) for number, value in enumerate(values)]
    else:
        return {key: values}
    return {name: value for inner, part in items for name, value in flat(part, f"{key}.{inner}".strip(".")).items()}
