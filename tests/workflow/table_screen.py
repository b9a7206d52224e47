"""A small screen described by a table, with images on disk: what a user's own data looks like."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

CHANNELS = ["nuclei", "tubulin"]
CLASSES = ["dim", "bright", "striped"]
SIZE = 24
PLATES = ["P1", "P2", "P3", "P4"]
TRUNCATED = "images/P2/bright_3_tubulin.png"
MISSING = ["images/P1/dim_1_nuclei.png", "images/P3/dim_1_nuclei.png", "images/P3/striped_2_tubulin.png"]
SITES = 4  # per class and plate


def write_screen(root: Path, plates: list[str]) -> None:
    """Images `images/PLATE/CLASS_N_CHANNEL.png` and the table `sites.csv` that lists them."""
    rows = [write_site(root, plate, label, n) for plate in plates for label in CLASSES for n in range(1, SITES + 1)]
    with open(root / "sites.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_site(root: Path, plate: str, label: str, number: int) -> dict[str, str]:
    """Draw one site, and return its row."""
    random = np.random.default_rng([int(plate[1:]), CLASSES.index(label), number])
    light = random.normal({"dim": 60, "bright": 120, "striped": 90}[label], 12, (len(CHANNELS), SIZE, SIZE))
    if label == "striped":
        light[:, ::4] += 80
    row = {"plate": plate, "phenotype": label}
    for channel, pixels in zip(CHANNELS, light.clip(0, 255).astype(np.uint8), strict=True):
        row[channel] = f"images/{plate}/{label}_{number}_{channel}.png"
        path = root / row[channel]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=0)  # all of one size
    return row


def settings(root: Path) -> dict[str, object]:
    """The recipe's part that describes the screen: no test wells, no layout, one model, nothing fine-tuned."""
    return {
        "screen": {
            "name": "my_screen",
            "kind": "table",
            "root": str(root),
            "channels": CHANNELS,
            "image_size": SIZE,
            "simulated": None,
            "table": {
                "metadata": "sites.csv",
                "columns": {"images": CHANNELS, "label": "phenotype", "plate": "plate"},
            },
        },
        "folds": {"count": 2, "group": "plate_id", "stratify": "label", "keep_twins": False},
        "models": [{"name": "byobnet", "backbone": "test_byobnet", "head": "softmax", "normalization": "site"}],
        "train": {"epochs": 6},
        "finetune": None,
        "pseudo_labels": {"rounds": 0},
        "balance": {"method": "none", "plate_groups": False},
    }


def truncate(path: Path) -> None:
    """Cut a file in the middle, as a full disk or a broken copy does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
