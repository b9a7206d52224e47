"""Everything that figure scripts read, for a screen of any small shape, made by hand: no training, no Snakemake.

`Drawn(folder, shape)` writes the files; `draw(name)` runs the script of that name on them, as a job would.
"""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cellsignal.config.labelling import BalanceSettings, ScoreSettings
from cellsignal.ensemble import PredictionFile, add_unseen, ensemble, write_probabilities
from cellsignal.explained_sites import Explanations, choose_sites, write_explanations
from cellsignal.files import write_json
from cellsignal.normalization import statistics
from cellsignal.plates import pack_plate
from cellsignal.predictions import write_predictions
from cellsignal.scoring import best_treatment, score_screen
from cellsignal.sites import answer_table, site_table, validate_sites, well_table, write_table

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow_scripts"
DATASETS = ("train", "test")
SIZE, WIDTH = 8, 6  # of images in pixels, and of embeddings
LAST = "with pseudo-labels (round 1)"
ROUNDS = ["without pseudo-labels (round 0)", LAST]
Named = SimpleNamespace


@dataclass(frozen=True)
class Shape:
    """What a screen has: `train` and `test` experiments per cell type; no `answers`: those of test wells are withheld.

    With `held_out` each train well was predicted by models that did not see it; else no train well was predicted.
    """

    classes: int = 4
    cell_types: tuple[str, ...] = ("HUVEC",)
    train: int = 2
    test: int = 1
    plates: int = 2
    sites: int = 2
    channels: tuple[str, ...] = ("nuclei", "actin")
    controls: bool = True
    answers: bool = True
    held_out: bool = True
    positions: bool = True


class Drawn:
    """The files of one screen in `folder`; figures go to `folder/figures`."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder, self.shape, self.random = folder, shape, np.random.default_rng(0)
        self.sites, self.answers, self.classes = self._tables()
        for name in ("sites", "classes", "answers"):
            write_table(getattr(self, name), folder / f"{name}.parquet")
        self.stores = [self._pack(plate) for plate in sorted(set(self.sites["plate_id"]))]
        for scheme in ("plate", "site"):
            write_table(statistics(self.stores, self.sites, scheme), folder / f"{scheme}.parquet")
        self.predictions = {number: self._predict(number) for number in (0, 1)}
        self._score()
        self._models()
        self._explain()

    def path(self, name: str) -> str:
        """A file of the screen."""
        return str(self.folder / name)

    def figure(self, name: str) -> Path:
        """A figure, or the table behind it."""
        return self.folder / "figures" / name

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        shape = self.shape
        labels = list(range(shape.classes + 2 * shape.controls))
        kinds = ["treatment"] * shape.classes + ["positive_control", "negative_control"] * shape.controls
        rows = [
            (f"{cell_type}-{e}", str(p), f"B{place + 2:02d}", site, cell_type, DATASETS[e >= shape.train], c)
            for cell_type in shape.cell_types
            for e in range(shape.train + shape.test)
            for p in range(shape.plates)
            for place, c in enumerate(labels)
            for site in range(shape.sites)
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=["experiment", "plate", "well", "site", "cell_type", "dataset", "sirna"])
        table["plate_id"] = table["experiment"] + "_" + table["plate"]
        table["row"] = 1 if shape.positions else -1
        table["column"] = table["well"].str[1:].astype(int) - 1 if shape.positions else -1
        table["well_type"] = np.array(kinds, dtype=object)[table["sirna"]]
        hidden = (table["dataset"] == "test") & (table["well_type"] == "treatment")
        answers = answer_table((table["plate_id"] + "_" + table["well"])[hidden], table["sirna"][hidden].to_numpy())
        table.loc[hidden, "sirna"] = -1
        images = [
            [f"{row.plate_id}/{row.well}_s{row.site}_{channel}.png" for channel in shape.channels]
            for row in table.itertuples()
        ]
        classes = pd.DataFrame({"sirna": labels, "name": [f"gene{c}" for c in labels], "well_type": kinds})
        sites = site_table(table, images)
        validate_sites(sites, classes, "drawn screen")
        return sites, answers if shape.answers else answers.iloc[:0], classes

    def _pack(self, plate: str) -> str:
        rows = self.sites[self.sites["plate_id"] == plate]
        for name in rows["images"].explode():
            path = self.folder / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(self.random.integers(0, 255, (SIZE, SIZE), dtype=np.uint8)).save(path)
        pack_plate(rows, self.folder / "raw", self.folder / f"{plate}.h5", SIZE)
        return self.path(f"{plate}.h5")

    def _predict(self, number: int) -> list[str]:
        """A prediction file per cell type."""
        treatment, test = self.sites["well_type"] == "treatment", self.sites["dataset"] == "test"
        role = np.where(test & treatment, "test", np.where(treatment, "out_of_fold", "control"))
        files = []
        for cell_type in self.shape.cell_types:
            chosen = (self.sites["cell_type"] == cell_type) & (self.shape.held_out | (role == "test"))
            rows = self.sites[chosen]
            truth = rows["sirna"].where(rows["sirna"] >= 0, rows["well_id"].map(self._truth()).fillna(0)).astype(int)
            logits = self.random.normal(size=(len(rows), len(self.classes))) + 2 * np.eye(len(self.classes))[truth]
            embedding = self.random.normal(size=(len(rows), WIDTH))
            files.append(self.path(f"{cell_type}-{number}.h5"))
            write_predictions(files[-1], rows["site_id"], logits, embedding, role[chosen])
        return files

    def _truth(self) -> "pd.Series[int]":
        return self.answers.set_index("well_id")["sirna"]

    def _score(self) -> None:
        wells = well_table(self.sites)
        test = wells.loc[(wells["dataset"] == "test") & (wells["well_type"] == "treatment"), "well_id"]
        self.ensembles = {}
        for number, files in self.predictions.items():
            votes = [PredictionFile("deep", 0, Path(path)) for path in files]
            self.ensembles[f"round{number}"] = add_unseen(ensemble(votes, self.sites), test)
        final = self.ensembles["round1"]
        submitted = None
        if len(test):
            called = best_treatment(final.of_wells(test), self.classes)
            submitted = pd.DataFrame({"well_id": test.to_numpy(), "sirna": called})
        folds = pd.DataFrame({"group": sorted(set(wells.loc[wells["dataset"] == "train", "experiment"]))})
        scores, table = score_screen(
            self.ensembles, self.sites, self.classes, self.answers, submitted, BalanceSettings(temperature=1.0),
            ScoreSettings(public_experiments=[], left_out_experiments=[]), folds.assign(fold=0, twin_of=""),
        )  # fmt: skip
        write_json(self.folder / "scores.json", scores)
        write_table(table, self.folder / "wells.parquet")
        for name, probabilities in self.ensembles.items():
            write_probabilities(self.folder / f"{name}.h5", probabilities)

    def _models(self) -> None:
        """Weights, the rows that they learned from, and a history."""
        weights = {
            name: self.random.normal(size=size).astype(np.float32)
            for name, size in {
                "head.weight": (len(self.classes), WIDTH), "margin_head.weight": (len(self.classes), WIDTH),
                "backbone.conv.weight": (4, 3, 1, 1),
            }.items()
        }  # fmt: skip
        folder = self.folder / "models/deep/fold0/stage1"
        folder.mkdir(parents=True)
        save_file(weights, folder / "weights.safetensors")
        train = self.sites[(self.sites["sirna"] > 0) & (self.sites["dataset"] == "train")]  # class 0: junk
        write_table(train[["site_id", "sirna"]].assign(role="train", weight=1.0), folder / "rows.parquet")
        numbers = {"loss": [1.0, 0.5], "accuracy": [0.1, 0.5], "consistency": [np.nan, np.nan]}
        validated = {"validation_loss": 1.0, "validation_accuracy": 0.4}
        if not self.shape.held_out:
            validated = dict.fromkeys(validated, np.nan)
        pd.DataFrame({"epoch": [1, 2], **numbers}).assign(**validated).to_csv(folder / "history.csv", index=False)

    def _explain(self) -> None:
        seen = (self.sites["dataset"] == "train") & (self.sites["sirna"] >= 0) & self.shape.held_out
        chosen = choose_sites(self.sites[seen], self.classes, None, 6, 0)
        n, channels = len(chosen), len(self.shape.channels)
        numbers = {name: self.random.random((n, channels)).astype(np.float32) for name in ("correlation", "distance")}
        cam = self.random.integers(0, 255, (n, SIZE, SIZE), dtype=np.uint8)
        called, sure = np.zeros(n, np.int64), np.full(n, 0.5, np.float32)
        found = Explanations(chosen["site_id"].to_numpy(str), called, sure, cam, **numbers, layer="backbone.layer4")
        write_explanations(self.folder / "explanations.h5", found)

    def _jobs(self) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
        """Script → suffix of its figure, inputs and settings."""
        channels = list(self.shape.channels)
        both = [path for number in (0, 1) for path in self.predictions[number]]
        weights = self.path("models/deep/fold0/stage1/weights.safetensors")
        rows = self.path("models/deep/fold0/stage1/rows.parquet")
        files = [[f"deep, round {n}", 0] for n in (0, 1) for _ in self.shape.cell_types]
        return {
            "samples_per_class": ("svg", {}, {}),
            "image_means": ("svg", {"statistics": self.path("site.parquet")}, {"channels": channels}),
            "normalization_effect": ("svg", {"statistics": self.path("plate.parquet")}, {"channels": channels}),
            "site_images": ("png", {}, {"example_sites": 4, "seed": 0, "channels": channels}),
            "training_curves": ("svg", {"histories": [self.path("models/deep/fold0/stage1/history.csv")]}, {}),
            "score_ladder": ("svg", {}, {}),
            "averaging": (
                "svg",
                {"predictions": both, "ensembles": [self.path(f"round{n}.h5") for n in (0, 1)]},
                {"files": files, "ensembles": ["all models, round 0", "all models, round 1"]},
            ),
            "accuracy_breakdown": ("svg", {}, {}),
            "confusion": ("svg", {}, {}),
            "control_certainty": ("svg", {"ensemble": self.path("round1.h5")}, {}),
            "plate_map": ("svg", {}, {"example_plates": 1, "shape": [2, 8]}),
            "plate_effect": (
                "svg",
                {"predictions": self.predictions[1]},
                {"files": [["deep", "plate"] for _ in self.shape.cell_types]},
            ),
            "embed_tsne": ("png", {"predictions": both}, {"titles": ROUNDS, "tsne_sites": 50, "seed": 0}),
            "template_map": ("png", {"weights": [weights] * 2, "rows": [rows] * 2}, {"titles": ROUNDS, "seed": 0}),
            "nearest_neighbours": (
                "png",
                {"predictions": self.predictions[1]},
                {"neighbours": 3, "grad_cam_sites": 3, "channels": channels},
            ),
            "kernel_bands": ("png", {"weights": weights}, {"kernel_layers": None, "model": "deep"}),
            "grad_cam": ("png", {}, {"grad_cam_sites": 3, "channels": channels}),
            "channel_attention": ("svg", {"sites_table": str(self.figure("grad_cam.csv"))}, {"channels": channels}),
            "overview": (
                "html",
                {
                    "pictures": [str(self.figure("confusion.svg"))],
                    "tables": [str(self.figure("confusion.csv"))],
                    "experiments": str(self.figure("accuracy_breakdown.csv")),
                    "measures": str(self.figure("embed_tsne_measures.csv")),
                    "neighbours": str(self.figure("nearest_neighbours.csv")),
                },
                {
                    "channels": channels, "thumbnail_pixels": 8, "categories": ["Results"], "screen": "s",
                    "recipe": "r", "captions": {"confusion": "Which for which."},
                },
            ),
        }  # fmt: skip

    @property
    def names(self) -> list[str]:
        """The figures, in an order in which each finds the tables of others that it reads."""
        return list(self._jobs())

    def draw(self, name: str) -> str:
        """Run the script; returns the suffix of the figure that it made."""
        suffix, inputs, settings = self._jobs()[name]
        self.figure("").mkdir(exist_ok=True)
        common = {one: self.path(f"{one}.parquet") for one in ("sites", "classes", "wells")}
        read = common | {
            "scores": self.path("scores.json"), "explanations": self.path("explanations.h5"), "stores": self.stores,
        }  # fmt: skip
        made = {"figure": f"{name}.{suffix}", "table": f"{name}.csv", "measures": f"{name}_measures.csv"}
        output = Named(**{kind: str(self.figure(file)) for kind, file in made.items()})
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "running", _running(settings))
            job = Named(input=Named(**(read | inputs)), output=output)
            runpy.run_path(str(SCRIPTS / f"{name}.py"), init_globals={"snakemake": job})
        return suffix


def _running(settings: dict[str, Any]) -> ModuleType:
    """In place of `running`: a job that has its settings, and writes no receipt."""

    @contextmanager
    def run(_: Any) -> Iterator[Any]:
        yield Named(settings=settings)

    module = ModuleType("running")
    module.__dict__["run"] = run
    return module
