"""The simulated screen: RxRx1's layout rules and its kinds of noise, with known truth.

Every random draw comes from a generator keyed by the seed and names (experiment, plate, well, class),
so a plate can be made alone, and does not change with the number of experiments. (Whether an experiment
is train or test does matter to its plates' rotation.)

Layout rules and effect sizes: the published RxRx1 metadata and plate statistics
(https://www.rxrx.ai/rxrx1).
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray
from PIL import Image

from cellsignal.config.screen import ScreenSettings, SimulatedSettings
from cellsignal.errors import BadInput, raise_all
from cellsignal.files import atomic
from cellsignal.screens.rendering import TRAIT_EFFECT, TRAITS, draw_site, morphology

PLATES = 4  # per experiment; also the number of plate groups
SITES = 2  # per well
CHANNELS = 6
NEGATIVE_CONTROL_WELL = "B02"
ROWS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *(f"A{letter}" for letter in "ABCDEF")]
METADATA_COLUMNS = [
    "site_id", "well_id", "cell_type", "dataset", "experiment", "plate", "well", "site", "well_type", "sirna",
    "sirna_id",
]  # fmt: skip

CELL_TYPE_LIGHT = {
    "HEPG2": [7.1, 14.7, 10.6, 11.1, 7.1, 9.3],
    "HUVEC": [4.2, 15.3, 7.0, 8.2, 2.7, 6.1],
    "RPE": [2.6, 12.4, 12.4, 7.0, 4.1, 8.6],
    "U2OS": [8.2, 15.7, 11.9, 10.5, 5.1, 13.9],
}
"""Geometric mean intensity of RxRx1's channels by cell type, grey levels."""

CELL_TYPE_TRAITS = {
    "HEPG2": [0.25, -0.15, 0.05, 0.05, 0.15],
    "HUVEC": [0.0, 0.0, 0.0, 0.50, 0.0],
    "RPE": [0.05, 0.0, 0.08, 0.20, -0.15],
    "U2OS": [-0.20, 0.12, 0.0, 0.35, 0.10],
}
"""Log count, size, nucleus size, elongation and texture of the cell types; chosen, not measured."""

EXPERIMENT_SD = np.array([0.48, 0.35, 0.34, 0.44, 0.60, 0.45])
"""Standard deviation of an experiment's log intensity within its cell type (RxRx1)."""
EXPERIMENT_CORRELATION = np.array(
    [
        [1.00, 0.44, 0.73, 0.76, 0.62, 0.64],
        [0.44, 1.00, 0.57, 0.82, 0.61, 0.40],
        [0.73, 0.57, 1.00, 0.83, 0.63, 0.92],
        [0.76, 0.82, 0.83, 1.00, 0.59, 0.71],
        [0.62, 0.61, 0.63, 0.59, 1.00, 0.44],
        [0.64, 0.40, 0.92, 0.71, 0.44, 1.00],
    ]
)
PLATE_SD = np.array([0.12, 0.10, 0.10, 0.05, 0.08, 0.06])
"""Standard deviation of a plate's log intensity within its experiment (RxRx1)."""
PLATE_CORRELATION = np.array(
    [
        [1.00, 0.58, 0.70, 0.49, 0.14, 0.69],
        [0.58, 1.00, 0.34, 0.57, 0.44, 0.59],
        [0.70, 0.34, 1.00, 0.29, 0.06, 0.87],
        [0.49, 0.57, 0.29, 1.00, 0.28, 0.53],
        [0.14, 0.44, 0.06, 0.28, 1.00, 0.23],
        [0.69, 0.59, 0.87, 0.53, 0.23, 1.00],
    ]
)

# What the published statistics do not show; chosen. Standard deviations of logarithms.
EXPERIMENT_COUNT_SD, EXPERIMENT_SIZE_SD, EXPERIMENT_BLUR_SD = 0.15, 0.04, 0.12
PLATE_COUNT_SD, PLATE_BLUR_SD = 0.05, 0.06
ILLUMINATION_SD = 0.10  # of the slope across half an image, per plate and channel
SITE_GAIN_SD = 0.03  # between the sites of a well


def _random(seed: int, *names: object) -> Generator:
    """The generator that belongs to `names`, and to nothing else."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return Generator(PCG64(SeedSequence([seed, *np.frombuffer(digest, "<u4").tolist()])))


@dataclass(frozen=True)
class _Experiment:
    name: str
    cell_type: str
    dataset: str
    number: int  # within its cell type, from 1


def _settings(screen: ScreenSettings) -> SimulatedSettings:
    """The simulated section, checked against the rest of the screen.

    Raises:
        BadInput: a plate does not hold its wells, the classes do not split into four groups, there are
            not six channels, or there are no experiments.
    """
    simulated = screen.simulated
    if simulated is None:
        raise BadInput("screen.simulated: missing; expected the settings of the simulated screen")
    problems = []
    if len(screen.channels) != CHANNELS:
        problems.append(
            f"screen.channels: {len(screen.channels)} names; the simulator draws {CHANNELS} channels"
        )
    if simulated.sirnas % PLATES:
        problems.append(
            f"screen.simulated.sirnas: {simulated.sirnas} is not a multiple of {PLATES} (plate groups)"
        )
    interior = max(screen.plate_rows - 2, 0) * max(screen.plate_columns - 2, 0)
    needed = -(-simulated.sirnas // PLATES) + simulated.positive_controls + 1
    if needed > interior:
        problems.append(
            f"screen.plate_rows, screen.plate_columns: a {screen.plate_rows} × {screen.plate_columns} plate has "
            f"{interior} wells inside its border; expected at least {needed} (a quarter of the siRNAs, the positive "
            "controls and one negative control)"
        )
    for cell_type, counts in simulated.cell_types.items():
        if min(counts) < 0 or sum(counts) == 0:
            problems.append(
                f"screen.simulated.cell_types.{cell_type}: {counts}; expected [train, test] experiments, "
                "none negative and at least one in all"
            )
    if not simulated.cell_types:
        problems.append("screen.simulated.cell_types: empty; expected at least one cell type")
    raise_all(problems, "simulated screen")
    return simulated


def _experiments(simulated: SimulatedSettings) -> list[_Experiment]:
    """All experiments, `CELL-01`, `CELL-02`, …: those of train first, as in RxRx1."""
    return [
        _Experiment(f"{cell_type}-{number:02d}", cell_type, "train" if number <= train else "test", number)
        for cell_type, (train, test) in simulated.cell_types.items()
        for number in range(1, train + test + 1)
    ]


def plate_ids(screen: ScreenSettings) -> list[str]:
    """The plates of the screen, such as `HUVEC-01_1`, in order."""
    return [f"{e.name}_{plate}" for e in _experiments(_settings(screen)) for plate in range(1, PLATES + 1)]


def _rotation(seed: int, experiment: _Experiment) -> int:
    """Which cyclic rotation of the groups an experiment uses: train 0–2, every other of test 3."""
    first = int(_random(seed, "rotation", experiment.cell_type).integers(3))
    if experiment.dataset == "test" and experiment.number % 2 == 0:
        return 3
    return (first + experiment.number) % 3


def _plate_layout(
    screen: ScreenSettings, simulated: SimulatedSettings, experiment: _Experiment, plate: int
) -> pd.DataFrame:
    """The metadata rows of one plate, in plate order."""
    seed, per_plate = simulated.seed, simulated.sirnas // PLATES
    groups = _random(seed, "groups").permutation(simulated.sirnas).reshape(PLATES, per_plate)
    group = (plate - 1 + _rotation(seed, experiment)) % PLATES
    classes = np.concatenate([groups[group], simulated.sirnas + np.arange(simulated.positive_controls)])
    # As in RxRx1, a few experiments share one layout: the fifth of train repeats the fourth, plates shifted.
    twin = experiment.dataset == "train" and experiment.number == 5
    name = f"{experiment.cell_type}-04" if twin else experiment.name
    classes = _random(seed, "wells", name, group).permutation(classes)
    negative = simulated.sirnas + simulated.positive_controls
    # B02, the first interior well, holds the negative control; wells left over at the end are empty.
    columns = screen.plate_columns - 2
    wells = [f"{ROWS[1 + i // columns]}{2 + i % columns:02d}" for i in range(len(classes) + 1)]
    rows = []
    for well, sirna in zip(wells, [negative, *classes.tolist()], strict=True):
        well_type = (
            "treatment"
            if sirna < simulated.sirnas
            else "negative_control"
            if sirna == negative
            else "positive_control"
        )
        treated = "EMPTY" if sirna == negative else f"sim{sirna:04d}"
        well_id = f"{experiment.name}_{plate}_{well}"
        for site in range(1, SITES + 1):
            rows.append(
                (f"{well_id}_{site}", well_id, experiment.cell_type, experiment.dataset, experiment.name, plate, well,
                 site, well_type, treated, sirna)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=METADATA_COLUMNS)


def layout(screen: ScreenSettings) -> pd.DataFrame:
    """The whole screen's metadata in the schema of RxRx1's public `metadata.csv`, one row per site.

    As there, the labels of test wells are included. Classes: treatments from 0, then positive controls,
    then the negative control.

    Raises:
        BadInput: the settings do not make a screen; all reasons at once.
    """
    simulated = _settings(screen)
    plates = [
        _plate_layout(screen, simulated, experiment, plate)
        for experiment in _experiments(simulated)
        for plate in range(1, PLATES + 1)
    ]
    return pd.concat(plates, ignore_index=True)


def phenotype(simulated: SimulatedSettings, sirna: int, cell_type: str) -> NDArray[np.float64]:
    """The phenotype vector (12,) of a class in a cell type, in the dimensions of `rendering.TRAITS`.

    A shared part, and a part specific to the cell type; the negative control's is zero.
    """
    if sirna == simulated.sirnas + simulated.positive_controls:
        return np.zeros(len(TRAITS))
    control = sirna >= simulated.sirnas
    name = ("positive_control", sirna - simulated.sirnas) if control else ("treatment", sirna)
    common = _random(simulated.seed, "phenotype", *name).standard_normal(len(TRAITS))
    specific = _random(simulated.seed, "phenotype", *name, cell_type).standard_normal(len(TRAITS))
    share = simulated.cell_type_specific
    return simulated.phenotype_scale * (np.sqrt(1 - share) * common + np.sqrt(share) * specific)


def _cell_type(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log mean light (6,) and log traits (12,) of a cell type; one unknown to RxRx1 draws its own, by name."""
    random = _random(0, "cell type", name)
    light = CELL_TYPE_LIGHT.get(name, np.exp(random.uniform(np.log(4), np.log(14), CHANNELS)))
    shape = CELL_TYPE_TRAITS.get(
        name, random.uniform([-0.2, -0.1, -0.05, 0.05, -0.15], [0.2, 0.1, 0.1, 0.5, 0.15])
    )
    traits = np.zeros(len(TRAITS))
    traits[[TRAITS.index(t) for t in ("count", "size", "nucleus_size", "elongation", "texture")]] = shape
    return np.log(light), traits


@dataclass(frozen=True)
class _PlateEffects:
    light: NDArray[np.float64]  # (6,) log gain
    traits: NDArray[np.float64]  # (12,) log
    blur: float  # log
    illumination: NDArray[np.float64]  # (6, height, width) gain, mean about 1


def _correlated(
    random: Generator, sd: NDArray[np.float64], correlation: NDArray[np.float64]
) -> NDArray[np.float64]:
    return sd * (np.linalg.cholesky(correlation) @ random.standard_normal(len(sd)))


def _plate_effects(simulated: SimulatedSettings, experiment: str, plate: int, size: int) -> _PlateEffects:
    """What the experiment and the plate do to all their sites alike."""
    batch, own = (
        _random(simulated.seed, "experiment", experiment),
        _random(simulated.seed, "plate", experiment, plate),
    )
    light = _correlated(batch, EXPERIMENT_SD, EXPERIMENT_CORRELATION) + _correlated(
        own, PLATE_SD, PLATE_CORRELATION
    )
    traits = np.zeros(len(TRAITS))
    count, area, blur = batch.normal(0, [EXPERIMENT_COUNT_SD, EXPERIMENT_SIZE_SD, EXPERIMENT_BLUR_SD])
    traits[TRAITS.index("count")] = count + own.normal(0, PLATE_COUNT_SD)
    traits[TRAITS.index("size")] = area
    blur += own.normal(0, PLATE_BLUR_SD)
    slope = own.normal(0, ILLUMINATION_SD, (2, CHANNELS, 1, 1))
    fall = np.abs(own.normal(0, ILLUMINATION_SD, (CHANNELS, 1, 1)))  # darker corners
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = axis[:, None], axis[None, :]
    scale = simulated.batch_effect
    shade = 1 + scale * (slope[0] * y + slope[1] * x - fall * (y**2 + x**2 - 2 / 3))
    return _PlateEffects(scale * light, scale * traits, scale * blur, np.clip(shade, 0.2, None))


def _well_sites(
    screen: ScreenSettings, simulated: SimulatedSettings, row: pd.Series, effects: _PlateEffects
) -> list[NDArray[np.uint8]]:
    """The sites of one well, each (6, height, width)."""
    cell_light, cell_traits = _cell_type(row["cell_type"])
    traits = (
        cell_traits
        + effects.traits
        + TRAIT_EFFECT * phenotype(simulated, int(row["sirna_id"]), row["cell_type"])
    )
    random = _random(simulated.seed, "well", row["well_id"])
    well_light = cell_light + effects.light + random.normal(0, simulated.well_gain_sd, CHANNELS)
    sites = []
    for _ in range(SITES):
        gain = np.exp(well_light + random.normal(0, SITE_GAIN_SD, CHANNELS))[:, None, None]
        shape = morphology(traits, blur=float(np.exp(effects.blur)))
        light = (
            draw_site(random, screen.image_size, simulated.cells_per_site, shape)
            * gain
            * effects.illumination
        )
        photons = random.poisson(light * simulated.photons)
        sites.append(np.clip(np.rint(photons / simulated.photons), 0, 255).astype(np.uint8))
    return sites


def _find_plate(simulated: SimulatedSettings, plate_id: str) -> tuple[_Experiment, int]:
    for experiment in _experiments(simulated):
        for plate in range(1, PLATES + 1):
            if plate_id == f"{experiment.name}_{plate}":
                return experiment, plate
    raise BadInput(
        f"plate {plate_id}: not in the simulated screen; expected one such as {_experiments(simulated)[0].name}_1"
    )


def simulate_plate(screen: ScreenSettings, plate_id: str, root: Path) -> None:
    """Make one plate in RxRx1's public layout.

    Writes `root/images/{experiment}/Plate{n}/{well}_s{site}_w{channel}.png` (8-bit greyscale), all at once,
    then `root/metadata/{plate_id}.csv` (the plate's rows of `layout`).

    Raises:
        BadInput: the settings do not make a screen, or it has no such plate.
    """
    simulated = _settings(screen)
    experiment, plate = _find_plate(simulated, plate_id)
    rows = _plate_layout(screen, simulated, experiment, plate)
    effects = _plate_effects(simulated, experiment.name, plate, screen.image_size)
    folder = Path(root) / "images" / experiment.name / f"Plate{plate}"
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        for _, row in rows.drop_duplicates("well_id").iterrows():
            for site, pixels in enumerate(_well_sites(screen, simulated, row, effects), start=1):
                for channel, image in enumerate(pixels, start=1):
                    Image.fromarray(image).save(
                        part / f"{row['well']}_s{site}_w{channel}.png", compress_level=1
                    )
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    with atomic(Path(root) / "metadata" / f"{plate_id}.csv") as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
