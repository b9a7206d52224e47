"""How much longer does the workflow's training take than a plain script? One fold of MitoCheck, both ways.

The plain script is what one would write in an afternoon: all images in one tensor, a torchvision-free
`resnet10t`, AdamW with one-cycle, flips, right-angle and free rotations, shifts and gain jitter, no provenance,
no checkpoints, no history. Both train on the same rows with the same number of epochs, batch size and
threads, one after the other in one process, and are judged on the same held-out fold.

    python benchmarks/plain_mitocheck.py results/mitocheck --fold 0

needs a finished (or `packed`, with folds) MitoCheck run; writes benchmarks/results/plain_mitocheck.json.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from cellsignal.backbones import create_backbone  # noqa: E402
from cellsignal.config.load import read_config  # noqa: E402
from cellsignal.config.schema import Config  # noqa: E402
from cellsignal.files import write_json  # noqa: E402
from cellsignal.metrics import accuracy, balanced_accuracy  # noqa: E402
from cellsignal.models import build_model  # noqa: E402
from cellsignal.plates import SiteReader  # noqa: E402
from cellsignal.prediction import predict  # noqa: E402
from cellsignal.sites import read_table  # noqa: E402
from cellsignal.training import train  # noqa: E402
from cellsignal.training_rows import sites_of_role, training_rows  # noqa: E402


def plain(images: Tensor, target: Tensor, held_out: Tensor, n_classes: int, config: Config) -> np.ndarray:
    """Train and predict with nothing but PyTorch and timm; probabilities (held-out sites, classes)."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(create_backbone("resnet10t", 1), torch.nn.Linear(512, n_classes))
    model = model.to(memory_format=torch.channels_last)
    size, epochs = config.train.batch_size, int(config.train.epochs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.rate, weight_decay=config.train.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.train.rate, total_steps=epochs * (len(images) // size)
    )
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for start in range(0, len(images) - size + 1, size):
            chosen = order[start : start + size]
            batch = images[chosen]
            angle = torch.rand(size) * 2 * torch.pi
            flip = torch.where(torch.rand(size) < 0.5, -1.0, 1.0)
            rows = [
                angle.cos() * flip,
                -angle.sin(),
                torch.rand(size) * 0.24 - 0.12,
                angle.sin() * flip,
                angle.cos(),
                torch.rand(size) * 0.24 - 0.12,
            ]
            grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(batch.shape), align_corners=False)
            batch = F.grid_sample(batch, grid, padding_mode="reflection", align_corners=False)
            batch = batch * torch.exp(0.15 * torch.randn(size, 1, 1, 1))
            loss = F.cross_entropy(model(batch.contiguous(memory_format=torch.channels_last)), target[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        views = [model(torch.rot90(held_out, k, (2, 3))).softmax(1) for k in range(4)]
    return torch.stack(views).mean(0).numpy()


def clocks() -> np.ndarray:
    """Seconds by the clock, and of the processor: the latter also hold on a machine that does other things too."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screen", type=Path, help="results/mitocheck")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = read_config([ROOT / "config.yaml", ROOT / "recipes/mitocheck.yaml"])
    settings = config.models[0]
    sites, classes = read_table(arguments.screen / "sites.parquet"), read_table(arguments.screen / "classes.parquet")
    statistics = read_table(arguments.screen / f"normalization/{settings.normalization}.parquet")
    folds = read_table(arguments.screen / "mitocheck/folds.parquet")
    reader = SiteReader(sorted((arguments.screen / "plates").glob("*.h5")))
    rows = training_rows(sites, folds, arguments.fold, reader.site_id, controls=False)
    labelled, validation = (
        sites_of_role(rows, [role], reader, sites, statistics, settings.normalization)
        for role in ("train", "validation")
    )

    def normalized(part: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(reader.read(part).astype(np.float32))
        return (pixels - torch.from_numpy(mean)[:, :, None, None]) / torch.from_numpy(std)[:, :, None, None]

    started = clocks()
    images = normalized(labelled.rows, labelled.mean, labelled.std)
    held_out = normalized(validation.rows, validation.mean, validation.std)
    of_plain = plain(images, torch.tensor(labelled.target), held_out, len(classes), config)
    plain_seconds = clocks() - started

    started = clocks()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as state:
        result = train(
            build_model(settings, 1, len(classes)), reader, labelled, validation, config.train, config.augment,
            seed=0, state_dir=state, history_path=f"{state}/history.csv",
        )  # fmt: skip
    logits, _ = predict(result.student, reader, validation, config.predict)
    workflow_seconds = clocks() - started

    lines = {"plain script": (plain_seconds, of_plain), "workflow": (workflow_seconds, np.exp(logits))}
    table = pd.DataFrame(
        {
            "seconds": {name: seconds[0] for name, (seconds, _) in lines.items()},
            "processor_seconds": {name: seconds[1] for name, (seconds, _) in lines.items()},
            "accuracy": {name: accuracy(validation.target, p.argmax(1)) for name, (_, p) in lines.items()},
            "balanced_accuracy": {
                name: balanced_accuracy(validation.target, p.argmax(1)) for name, (_, p) in lines.items()
            },
        }
    )
    print(table.round(4).to_string())
    clock, processor = workflow_seconds / plain_seconds
    print(f"the workflow's training takes {clock:.2f} times as long, {processor:.2f} times as much of the processor")
    content = {
        "fold": arguments.fold,
        "threads": arguments.threads,
        "sites": len(labelled),
        "rows": table.to_dict("index"),
    }
    write_json(ROOT / "benchmarks/results/plain_mitocheck.json", content)


if __name__ == "__main__":
    main()
