"""Write `recipes/SETTINGS.md` and `recipes/settings.schema.json`. Run by `make settings`, not by a rule."""

from pathlib import Path

from cellsignal.config.page import generated
from cellsignal.files import write_text

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    for name, text in generated(ROOT / "config.yaml").items():
        write_text(ROOT / "recipes" / name, text)
        print(f"recipes/{name}")
