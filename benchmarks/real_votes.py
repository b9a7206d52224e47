"""What do ensemble, uniqueness, plate groups and assignment make of real predictions of real RxRx1 wells?

    python benchmarks/real_votes.py          # with CELLSIGNAL_DATA, the folder of rxrx1-metadata and rxrx1-predictions

takes submissions to the competition that their author published (the capstone project's: two steps of training, and
five ResNet-50s with 3 and 6 channels; one more public submission) as votes. Each becomes a file of predictions like a
model's; the workflow's own ensemble and balancing do the rest. It is the only accuracy on real RxRx1 that can be had
without its images: 8,853 test wells, whose labels are public.

Nothing is fitted to those labels. A submission names one class per well and not how sure it is, so it counts as one
vote, and one further vote is spread evenly over the treatments; the temperature is 1. Groups come from train's tables,
rotations from the votes; they are compared with the published layout of each test experiment afterwards.
Writes benchmarks/results/real_votes.json.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.balancing import balance_screen  # noqa: E402
from cellsignal.config.labelling import BalanceSettings, Method  # noqa: E402
from cellsignal.config.load import read_config  # noqa: E402
from cellsignal.ensemble import PredictionFile, WellProbabilities, ensemble  # noqa: E402
from cellsignal.files import write_json  # noqa: E402
from cellsignal.intervals import interval  # noqa: E402
from cellsignal.predictions import write_predictions  # noqa: E402
from cellsignal.screens import planned_sites  # noqa: E402
from cellsignal.sites import Screen, well_table  # noqa: E402
from cellsignal.submission import read_submission  # noqa: E402

TREATMENTS = 1108
OF_RESNETS = [
    "resnet50_3channels_30e-5_15", "resnet50_3channels_60e-5_12", "resnet50_6channels_30e-5_18",
    "resnet50_6channels_30e-5_24", "resnet50_6channels_30e-5_39",
]  # fmt: skip
CAPSTONE = [f"capstone/submission_{name}.csv" for name in ("firststep", "secondstep", *OF_RESNETS)]
VOTES = {
    "first step": CAPSTONE[:1],
    "second step": CAPSTONE[1:2],  # the public submission b
    "all seven of the author": CAPSTONE,
    "those and public submission a": [*CAPSTONE, "submission_a.csv"],
}
METHODS: list[tuple[Method, bool]] = [
    ("none", False), ("uniqueness", False), ("assignment", False),
    ("none", True), ("uniqueness", True), ("assignment", True),
]  # fmt: skip
SLOW: list[tuple[Method, bool]] = [("iterative", True)]  # of the last set only: equal votes keep it busy for minutes


def read_screen(data: Path) -> Screen:
    """RxRx1 as the competition's tables have it, with the labels of test wells that are public."""
    settings = {"kind": "kaggle", "root": str(data / "rxrx1-metadata"), "metadata": "kaggle-original"}
    settings |= {"answers": "derived/test_labels_partial.csv"}
    return planned_sites(read_config([ROOT / "config.yaml"], {"screen": settings}).screen, data / "rxrx1-metadata")


def voted(paths: Sequence[Path], screen: Screen) -> WellProbabilities:
    """The submissions as votes, through files of predictions and the workflow's ensemble."""
    wells = well_table(screen.sites)
    test = wells[(wells["dataset"] == "test") & (wells["well_type"] == "treatment")]
    sites = screen.sites[screen.sites["well_id"].isin(test["well_id"])]
    kept = len(paths) / (len(paths) + 1)  # the rest is the vote that is spread evenly
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, path in enumerate(paths):
            chosen = read_submission(path, test, screen.classes, by_name=False).set_index("well_id")["sirna"]
            p = np.zeros((len(sites), len(screen.classes)))
            p[:, :TREATMENTS] = (1 - kept) / TREATMENTS
            p[np.arange(len(sites)), chosen.loc[sites["well_id"]]] += kept
            file = Path(folder) / f"{number}.h5"
            logits = np.log(np.maximum(p, 1e-12))
            write_predictions(file, sites["site_id"], logits, np.zeros((len(sites), 1)), ["test"] * len(sites))
            files.append(PredictionFile(path.stem, 0, file))
        return ensemble(files, screen.sites)


def rotations(priors: dict[str, Any], data: Path, screen: Screen) -> dict[str, Any]:
    """How many test experiments have their rotation inferred and used, and how many of those are right."""
    layout = pd.read_csv(data / "rxrx1-metadata/derived/exp_to_group.csv").set_index("experiment")["assignment"]
    found = priors["rotations"]
    order = pd.Series({experiment: known["rotation"] for experiment, known in found.items()})
    used = pd.Series({experiment: known["used"] for experiment, known in found.items()})
    train = screen.sites.loc[screen.sites["dataset"] == "train", "experiment"].unique()
    # The published layouts are numbered otherwise: one number each, by what the used ones are mostly.
    number = {name: int(order[used & (layout.loc[order.index] == name)].mode().iloc[0]) for name in layout.unique()}
    right = order == layout.loc[order.index].map(number)
    refused = sorted(used.index[~used])
    wrong = sorted(order.index[used & ~right])
    return {"of": len(order), "used": int(used.sum()), "refused": refused, "used_and_wrong": wrong, "train": len(train)}


def measured(
    paths: Sequence[Path], screen: Screen, data: Path, methods: Sequence[tuple[Method, bool]]
) -> dict[str, Any]:
    """Accuracy of one set of votes under every method, with seconds, and the rotations."""
    probabilities = voted(paths, screen)
    truth = screen.answers.set_index("well_id")["sirna"]
    found: dict[str, Any] = {"submissions": [path.name for path in paths], "wells": len(truth), "rungs": []}
    for method, groups in methods:
        settings = BalanceSettings(method=method, plate_groups=groups, temperature=1.0)
        started = time.process_time()
        balanced = balance_screen(probabilities, screen.sites, screen.classes, settings)
        seconds = time.process_time() - started
        chosen = pd.Series(balanced.result.assigned, balanced.wells["well_id"]).loc[truth.index]
        right = chosen.to_numpy() == truth.to_numpy()
        known = balanced.wells.set_index("well_id", drop=False).loc[truth.index]
        rung = {"method": method, "plate_groups": groups, "accuracy": float(right.mean()), "correct": int(right.sum())}
        line = interval(right, known.reset_index(drop=True)).record()
        found["rungs"].append(rung | line | {"processor_seconds": round(seconds, 2)})
        if groups and method == "none":
            found["rotations"] = rotations(balanced.priors, data, screen)
    return found


def main() -> None:
    if not os.environ.get("CELLSIGNAL_DATA"):
        sys.exit("CELLSIGNAL_DATA is not set; expected the folder of rxrx1-metadata/ and rxrx1-predictions/")
    data = Path(os.environ["CELLSIGNAL_DATA"])
    screen = read_screen(data)
    found = {
        name: measured(
            [data / "rxrx1-predictions" / file for file in files],
            screen,
            data,
            [*METHODS, *(SLOW if name == list(VOTES)[-1] else [])],
        )
        for name, files in VOTES.items()
    }
    for name, one in found.items():
        print(f"\n{name}: {one['rotations']}")
        print(pd.DataFrame(one["rungs"]).to_string(index=False))
    write_json(ROOT / "benchmarks/results/real_votes.json", found)


if __name__ == "__main__":
    main()
