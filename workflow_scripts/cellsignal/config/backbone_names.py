"""Which backbones there are, without importing timm: that takes seconds, and a mistyped name is to be found at once."""

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OWN = ("capstone_cnn", "xception_wide")  # of cellsignal.backbones
REGISTERED = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
OLD_NAMES = re.compile(r"^    '(\w+)'\s*: ", re.MULTILINE)  # timm still takes them


def unknown_backbone(name: str) -> str:
    """What is wrong with the name of a backbone, with the nearest real ones; empty if nothing is.

    A tag of weights (`resnet18.a1_in1k`) is not looked at, nor is a model on a hub (`hf-hub:…`). Without timm in this
    environment every name is taken.
    """
    architecture = name.partition(".")[0]
    names, old = _of_timm()
    if ":" in name or not names or architecture in names or architecture in old:
        return ""
    near = ", ".join(difflib.get_close_matches(architecture, sorted(names), n=3, cutoff=0.5))
    return f"{name}: not a timm model, {' or '.join(reversed(OWN))}" + (f"; nearest: {near}" if near else "")


@cache
def _of_timm() -> tuple[frozenset[str], frozenset[str]]:
    """Names of models in timm's source, and their old names."""
    found = find_spec("timm")
    if found is None or found.origin is None:
        return frozenset(), frozenset()
    texts = [path.read_text(encoding="utf-8") for path in (Path(found.origin).parent / "models").glob("*.py")]
    names, old = (frozenset(name for text in texts for name in how.findall(text)) for how in (REGISTERED, OLD_NAMES))
    return names | set(OWN), old
