"""The simulated screen: RxRx1's layout rules and its kinds of noise, with known truth.

Every random draw comes from a generator keyed by the seed and names (experiment, plate, well, class),
so a plate can be made alone, and does not change with the number of experiments. (Whether an experiment
is train or test does matter to its plates' rotation.)
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cellsignal.config.screen import ScreenSettings, SimulatedSettings
from cellsignal.errors import BadInput, raise_all
from cellsignal.files import atomic
from cellsignal.screens.batch_effects import PlateEffects, cell_type_of, named_random, plate_effects
from cellsignal.screens.rendering import CHANNELS, TRAIT_EFFECT, TRAITS, draw_site, morphology

PLATES = 4  # per experiment; also the number of plate groups
SITES = 2  # per well
SITE_GAIN_SD = 0.03  # of log gain, between the sites of a well; chosen
NO_SIRNA = "EMPTY"
ROWS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *(f"A{letter}" for letter in "ABCDEF")]
METADATA_COLUMNS = [
    "site_id", "well_id", "cell_type", "dataset", "experiment", "plate", "well", "site", "well_type", "sirna",
    "sirna_id",
]  # fmt: skip


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
        problems.append(f"screen.channels: {len(screen.channels)} names; the simulator draws {CHANNELS} channels")
    if simulated.sirnas % PLATES:
        problems.append(f"screen.simulated.sirnas: {simulated.sirnas} is not a multiple of {PLATES} (plate groups)")
    interior = max(screen.plate_rows - 2, 0) * max(screen.plate_columns - 2, 0)
    needed = -(-simulated.sirnas // PLATES) + simulated.positive_controls + 1
    if needed > interior:
        problems.append(
            f"screen.plate_rows, screen.plate_columns: a {screen.plate_rows} × {screen.plate_columns} plate "
            f"has {interior} wells inside its border; expected at least {needed} (a quarter of the siRNAs, "
            "the positive controls and one negative control)"
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
    first = int(named_random(seed, "rotation", experiment.cell_type).integers(3))
    if experiment.dataset == "test" and experiment.number % 2 == 0:
        return 3
    return (first + experiment.number) % 3


def _plate_layout(
    screen: ScreenSettings, simulated: SimulatedSettings, experiment: _Experiment, plate: int
) -> pd.DataFrame:
    """The metadata rows of one plate, in plate order."""
    seed, per_plate = simulated.seed, simulated.sirnas // PLATES
    groups = named_random(seed, "groups").permutation(simulated.sirnas).reshape(PLATES, per_plate)
    group = (plate - 1 + _rotation(seed, experiment)) % PLATES
    classes = np.concatenate([groups[group], simulated.sirnas + np.arange(simulated.positive_controls)])
    # As in RxRx1, a few experiments share one layout: the fifth of train repeats the fourth, plates shifted.
    twin = experiment.dataset == "train" and experiment.number == 5
    name = f"{experiment.cell_type}-04" if twin else experiment.name
    negative = simulated.sirnas + simulated.positive_controls
    classes = np.array([negative, *named_random(seed, "wells", name, group).permutation(classes)])
    # B02, the first interior well, holds the negative control; wells left over at the end are empty.
    columns = screen.plate_columns - 2
    wells = [f"{ROWS[1 + i // columns]}{2 + i % columns:02d}" for i in range(len(classes))]
    rows = pd.DataFrame({"well": wells, "sirna_id": classes}).loc[np.repeat(np.arange(len(wells)), SITES)]
    rows["site"] = np.tile(np.arange(1, SITES + 1), len(wells))
    rows["well_id"] = f"{experiment.name}_{plate}_" + rows["well"]
    rows["site_id"] = rows["well_id"] + "_" + rows["site"].astype(str)
    rows["well_type"] = np.select(
        [rows["sirna_id"] < simulated.sirnas, rows["sirna_id"] < negative],
        ["treatment", "positive_control"],
        "negative_control",
    )
    rows["sirna"] = [NO_SIRNA if sirna == negative else f"sim{sirna:04d}" for sirna in rows["sirna_id"]]
    rows = rows.assign(
        cell_type=experiment.cell_type, dataset=experiment.dataset, experiment=experiment.name, plate=plate
    )
    return rows[METADATA_COLUMNS].reset_index(drop=True)


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
    common = named_random(simulated.seed, "phenotype", *name).standard_normal(len(TRAITS))
    specific = named_random(simulated.seed, "phenotype", *name, cell_type).standard_normal(len(TRAITS))
    share = simulated.cell_type_specific
    vector: NDArray[np.float64] = np.sqrt(1 - share) * common + np.sqrt(share) * specific
    return simulated.phenotype_scale * vector


def _well_sites(
    screen: ScreenSettings, simulated: SimulatedSettings, row: pd.Series, effects: PlateEffects
) -> list[NDArray[np.uint8]]:
    """The sites of one well, each (6, height, width)."""
    cell_type = cell_type_of(row["cell_type"])
    response = TRAIT_EFFECT * phenotype(simulated, int(row["sirna_id"]), row["cell_type"])
    random = named_random(simulated.seed, "well", row["well_id"])
    stain = effects.stain + random.normal(0, simulated.well_gain_sd, CHANNELS)
    shape = morphology(
        cell_type.traits + effects.traits + response,
        np.exp(effects.blur),
        np.exp(stain),
        np.exp(effects.background),
    )
    sites = []
    for _ in range(SITES):
        gain = np.exp(cell_type.light + random.normal(0, SITE_GAIN_SD, CHANNELS))[:, None, None]
        drawn = draw_site(random, screen.image_size, simulated.cells_per_site, shape)
        photons = random.poisson(drawn * gain * effects.illumination * simulated.photons)
        sites.append(np.clip(np.rint(photons / simulated.photons), 0, 255).astype(np.uint8))
    return sites


def _find_plate(simulated: SimulatedSettings, plate_id: str) -> tuple[_Experiment, int]:
    for experiment in _experiments(simulated):
        for plate in range(1, PLATES + 1):
            if plate_id == f"{experiment.name}_{plate}":
                return experiment, plate
    first = _experiments(simulated)[0].name
    raise BadInput(f"plate {plate_id}: not in the simulated screen; expected one such as {first}_1")


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
    effects = plate_effects(simulated.seed, experiment.name, plate, screen.image_size, simulated.batch_effect)
    folder = Path(root) / "images" / experiment.name / f"Plate{plate}"
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        for _, row in rows.drop_duplicates("well_id").iterrows():
            for site, pixels in enumerate(_well_sites(screen, simulated, row, effects), start=1):
                for channel, image in enumerate(pixels, start=1):
                    Image.fromarray(image).save(part / f"{row['well']}_s{site}_w{channel}.png", compress_level=1)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    with atomic(Path(root) / "metadata" / f"{plate_id}.csv") as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
