"""How much memory and time the jobs of a screen need: what a cluster's scheduler must be told beforehand.

Estimates from above, so that a job fits at its first attempt, from what planning knows: sites, plates, image
size, epochs. Measured are packing (40 sites of RxRx1 per second and core; a few sites are held at a time) and
what a job needs before it does anything. The rates of a GPU are assumptions, on the low side of one that can
train RxRx1; a training that runs out of time goes on where it was.
"""

import math
from dataclasses import dataclass

from cellsignal.config.schema import Config
from cellsignal.planning import Summary

START_MB = 1500  # two Snakemakes, and a script that imports PyTorch
START_MINUTES = 10  # they start, from a file system that many share
MAPS_AT_ONCE = 4  # sites whose Grad-CAM is made at once, as in `explain`
CUDA_MB = 4000  # host memory of a process that uses a GPU
CPU_ACTIVATIONS = 250  # what a backbone remembers of an image for its gradient, in multiples of the image
EMBEDDING = 2048  # width of the widest backbones
FLOAT, DOUBLE = 4, 8  # bytes
MB = 1e6

# Megapixels (all channels counted; a site of RxRx1 has 1.6) per second:
PACKED = 15.0  # by one core; measured: 63
TRAINED = 150.0  # by one GPU, forward and back
PREDICTED = 600.0  # by one GPU
READ_MB_PER_SECOND = 100.0  # from a file system that many share


@dataclass(frozen=True)
class Needs:
    """Memory in MB and time in minutes of each kind of job; whole numbers."""

    config: Config
    summary: Summary

    @property
    def sites(self) -> int:
        """Sites of the screen."""
        return sum(plate.sites for plate in self.summary.plates.values())

    @property
    def sites_of_a_plate(self) -> int:
        """Sites of the largest plate."""
        return max(plate.sites for plate in self.summary.plates.values())

    def sites_of(self, cell_type: str) -> int:
        """Sites of a cell type."""
        return sum(plate.sites for plate in self.summary.plates.values() if plate.cell_type == cell_type)

    @property
    def pixels(self) -> float:
        """Megapixels of a site, all channels counted."""
        return len(self.config.screen.channels) * self.config.screen.image_size**2 / MB

    @property
    def index_mb(self) -> int:
        """Tables of all sites and the paths of their images."""
        return _whole(START_MB + self._images * 2e-3)

    @property
    def index_minutes(self) -> int:
        """Reading the tables and listing every folder of images."""
        return _minutes(self._images / 1000)

    @property
    def pack_mb(self) -> int:
        """A few sites: as files, decoded, and in the store's write buffer."""
        return _whole(START_MB + 40 * self.pixels)

    @property
    def pack_minutes(self) -> int:
        """The largest plate, on one core."""
        return _minutes(self.sites_of_a_plate * self.pixels / PACKED)

    @property
    def normalization_mb(self) -> int:
        """The sums of all sites, and one plate's histograms."""
        return _whole(START_MB + self._images * 2e-3)

    @property
    def normalization_minutes(self) -> int:
        """Opening every store once for each scheme."""
        return _minutes(5 * len(self.summary.plates))

    @property
    def train_mb(self) -> int:
        """Batches read ahead and augmented as floats."""
        return self._training_mb(self.config.train.batch_size)

    @property
    def finetune_mb(self) -> int:
        """Likewise; of a mean teacher, labelled sites in three views and as many unlabelled ones in two."""
        return self._training_mb(5 * self.config.finetune.optimization.batch_size) if self.config.finetune else 0

    @property
    def train_minutes(self) -> int:
        """Stage 1 on one GPU. All sites, as a fold may hold out few or none."""
        return _minutes(self.config.train.epochs * self.sites * self.pixels / TRAINED)

    def finetune_minutes(self, cell_type: str) -> int:
        """A fine-tune on one GPU: three views forth and back, two through the teacher."""
        if self.config.finetune is None:
            return START_MINUTES
        epochs = self.config.finetune.optimization.epochs * self.config.finetune.epochs_factor.get(cell_type, 1.0)
        return _minutes(4 * epochs * self.sites_of(cell_type) * self.pixels / TRAINED)

    def predict_mb(self, cell_type: str) -> int:
        """Batches, and the logits and embeddings of all sites, which are sorted before they are written."""
        batches = 8 * self.config.predict.batch_size * self.pixels * FLOAT
        return _whole(START_MB + CUDA_MB + batches + 3 * self._predictions(self.sites_of(cell_type)))

    def predict_minutes(self, cell_type: str) -> int:
        """All views of all sites on one GPU."""
        return _minutes(self.config.predict.views * self.sites_of(cell_type) * self.pixels / PREDICTED)

    @property
    def ensemble_mb(self) -> int:
        """Class probabilities of all wells, summed in double precision, and copies; for balancing, too."""
        return _whole(START_MB + 3 * self.sites * self.summary.classes * DOUBLE / MB)

    def score_mb(self, ensembles: int) -> int:
        """All ensembles, and balancing."""
        return _whole(self.ensemble_mb + ensembles * self.sites * self.summary.classes * FLOAT / MB)

    @property
    def embedding_mb(self) -> int:
        """The embeddings of a fold's model for every cell type, twice, and distances between a sample of sites."""
        sample = min(self.config.report.tsne_sites, self.sites)
        return _whole(START_MB + (2 * self.sites * EMBEDDING * FLOAT + 4 * sample**2 * DOUBLE) / MB)

    @property
    def audit_mb(self) -> int:
        """Receipts with the hash of every image."""
        return _whole(START_MB + self._images * 4e-3)

    @property
    def audit_minutes(self) -> int:
        """Hashing raw images, stores (at most two bytes a pixel each) and all that came of them."""
        return _minutes(1.2 * 4 * self.sites * self.pixels / READ_MB_PER_SECOND)

    @property
    def explain_mb(self) -> int:
        """The explained sites, and what the network remembers of a few on its way, on the CPU."""
        own = self.config.report.explained_sites * 3
        return _whole(START_MB + CUDA_MB + (CPU_ACTIVATIONS * MAPS_AT_ONCE + own) * self.pixels * FLOAT)

    @property
    def explain_minutes(self) -> int:
        """Where BatchNorm takes a plate's statistics, all sites of at most as many plates."""
        plates = min(len(self.summary.plates), self.config.report.explained_sites)
        seen = plates * self.sites_of_a_plate if self.config.predict.batch_norm == "plate" else 0
        return _minutes(seen * self.pixels / PREDICTED)

    @property
    def picture_mb(self) -> int:
        """The explained sites and their neighbours, as the screen has them."""
        shown = self.config.report.explained_sites * (1 + self.config.report.neighbours)
        return _whole(START_MB + self._images * 2e-3 + shown * self.pixels * 2)

    def _training_mb(self, batch_size: int) -> int:
        return _whole(START_MB + CUDA_MB + 8 * batch_size * self.pixels * FLOAT + self.sites * 2e-3)

    @property
    def _images(self) -> int:
        return self.sites * len(self.config.screen.channels)

    def _predictions(self, sites: int) -> float:
        """MB of the logits and embeddings of so many sites."""
        return sites * (self.summary.classes + EMBEDDING) * FLOAT / MB


def _whole(megabytes: float) -> int:
    """Up to the next 500 MB."""
    return 500 * math.ceil(megabytes / 500)


def _minutes(seconds: float) -> int:
    """Up to the next 10 minutes, the start included."""
    return START_MINUTES + 10 * math.ceil(seconds / 600)
