"""safetensors files: named tensors with a note, whole or absent, the same bytes for the same content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cellsignal.errors import BadInput
from cellsignal.files import write_bytes

NOTE = "cellsignal"  # the one metadata key: several would be written in random order


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], note: Any) -> None:
    """Write `tensors` (any device, shape and dtype) with `note`, a JSON value, to `path` atomically."""
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    # `save_file` would write to a temporary name of its own, which a killed process leaves behind.
    write_bytes(path, save(plain, metadata={NOTE: json.dumps(note, sort_keys=True)}))


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], Any]:
    """The tensors of a safetensors file, on the CPU, and its note (None where it has none of ours).

    Raises:
        BadInput: the file is missing or not a whole safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; expected a safetensors file of weights") from None
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a readable safetensors file ({error}); write it again") from error
    return tensors, json.loads(metadata[NOTE]) if NOTE in metadata else None


def mismatches(path: str | Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """One sentence for each tensor that is missing, superfluous or of another shape in the file `path`."""
    problems = [f"{path}: tensor {name} is missing" for name in expected if name not in found]
    problems += [f"{path}: tensor {name} belongs to another model" for name in found if name not in expected]
    problems += [
        f"{path}: tensor {name} has shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return problems
