"""Which trainings, predictions and ensembles a recipe has, and what each is made from; paths are below its results.

An *arm* is a fine-tune that the ablation trains beside the recipe's own, with one step left out and all else equal: a
gain is owed to the step that makes it, not to the further training that came along.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cellsignal.ablation import Arm, ablation_rungs, arms, reference_models
from cellsignal.config.labelling import BalanceSettings
from cellsignal.config.learning import ALL_CELL_TYPES, Finetuning, ModelSettings
from cellsignal.config.schema import Config

OTHER_BATCH_NORM = {"global": "plate", "plate": "global"}
GIVEN = ["folds.parquet"]  # what jobs need of the recipe's results beside what other jobs here make


@dataclass(frozen=True)
class Job:
    """A job that learns, predicts or votes: its rule, its wildcards in words, and files below the recipe's results."""

    name: str
    needs: list[str]
    makes: list[str]


@dataclass(frozen=True)
class Trainings:
    """All jobs of a recipe on a screen between packed plates and ensembles.

    Attributes:
        config: the whole configuration.
        cell_types: of the screen, sorted. test_cell_types: those that test wells have.
        compared: normalizations that the ablation compares (`ablation.schemes`).
    """

    config: Config
    cell_types: Sequence[str]
    test_cell_types: Sequence[str]
    compared: Sequence[str]

    @property
    def models(self) -> dict[str, ModelSettings]:
        """By name; those beyond the recipe's own are trained for the ablation only."""
        return {model.name: model for model in self.config.models} | reference_models(self.config, self.compared)

    @property
    def voting(self) -> list[str]:
        """Models of the ensemble."""
        return [model.name for model in self.config.models if model.ensemble]

    @property
    def references(self) -> list[str]:
        """The recipe's own models that do not vote."""
        return [model.name for model in self.config.models if not model.ensemble]

    @property
    def folds(self) -> range:
        """Numbers of the folds."""
        return range(self.config.folds.count)

    @property
    def rounds(self) -> range:
        """Rounds of fine-tunes: 0, then one per refresh of the pseudo-labels."""
        return range(self.config.pseudo_labels.rounds + 1) if self.test_cell_types else range(1)

    @property
    def tuned(self) -> list[str]:
        """What fine-tunes are for: each cell type, or all."""
        finetune = self.config.finetune
        return list(self.cell_types) if finetune and finetune.by_cell_type else [ALL_CELL_TYPES]

    @property
    def arms(self) -> dict[str, Arm]:
        """Arms of the ablation by name."""
        return {arm.name: arm for arm in arms(self.config, self.rounds[-1])}

    @property
    def ensembles(self) -> list[str]:
        """Ensembles that are scored: one per round, then references."""
        return [*(f"round{number}" for number in self.rounds), *(f"reference-{name}" for name in self.references)]

    @property
    def of_ablation(self) -> list[str]:
        """Ensembles that the ablation makes besides."""
        rungs = ablation_rungs(self.config, self.compared, self.rounds[-1], to_submit=bool(self.test_cell_types))
        return sorted({rung.ensemble for rung in rungs} - set(self.ensembles))

    @property
    def strict(self) -> str:
        """The ensemble whose out-of-fold wells no model learned from, nor from labels that such a model gave."""
        own = self.config.pseudo_labels.teachers == "own_fold"
        return f"round{self.rounds[-1]}" if own else "round0"

    @property
    def other_batch_norm(self) -> str:
        """The variant of predictions with the other statistics of BatchNorm, as a folder."""
        return f"{OTHER_BATCH_NORM[self.config.predict.batch_norm]}_batch_norm/"

    def finetuning(self, arm: str = "") -> Finetuning:
        """Settings of the recipe's own fine-tunes, or of an arm's."""
        assert self.config.finetune is not None
        return self.arms[arm].finetune if arm else self.config.finetune

    def balancing(self, arm: str = "") -> BalanceSettings:
        """How pseudo-labels are balanced before they are learned from."""
        return (self.arms[arm].labels if arm else None) or self.config.balance

    def stage_1(self, model: str, fold: int | str) -> str:
        """Weights of stage 1."""
        return f"models/{model}/fold{fold}/stage1/weights.safetensors"

    def teacher(self, model: str, fold: int | str, cell_type: str, number: int, arm: str = "") -> str:
        """Weights of a fine-tune."""
        return f"models/{folder(arm)}{model}/fold{fold}/{cell_type}/round{number}/teacher.safetensors"

    def parent(self, model: str, fold: int | str, cell_type: str, number: int) -> str:
        """Weights that a fine-tune starts from, an arm's too: stage 1, or the recipe's teacher of the round before."""
        return self.stage_1(model, fold) if number == 0 else self.teacher(model, fold, cell_type, number - 1)

    def labels(self, fold: int | str, number: int, arm: str = "") -> str | None:
        """Pseudo-labels that a fine-tune learns from: those of the round before; None if it has none."""
        if number == 0 or (arm and self.arms[arm].labels is None):
            return None
        return f"rounds/{number - 1}/{folder(arm)}{self.source(fold)}pseudo_labels.parquet"

    def source(self, fold: int | str) -> str:
        """Whose pseudo-labels a fold learns from: "" for those of all teachers, else its own folder."""
        return f"fold{fold}/" if self.config.pseudo_labels.teachers == "own_fold" else ""

    def labelled_by(self, number: int | str, source: str = "") -> str:
        """The ensemble that makes pseudo-labels of a round."""
        return f"round{number}-{source.rstrip('/')}" if source else f"round{number}"

    def calibrated_on(self, ensemble: str) -> str:
        """The ensemble whose out-of-fold wells the temperature of another is fitted on."""
        own = self.config.pseudo_labels.teachers == "own_fold" and ensemble.startswith("round")
        return ensemble if own else self.strict

    def weights(self, variant: str, model: str, fold: int | str, cell_type: str, number: int) -> str:
        """Weights behind a prediction: the teacher of a fine-tuned model, those of stage 1 of others."""
        if self.config.finetune is None or model not in self.voting or variant == "stage1/":
            return self.stage_1(model, fold)
        tuned = cell_type if self.config.finetune.by_cell_type else ALL_CELL_TYPES
        arm = variant.rstrip("/")
        return self.teacher(model, fold, tuned, number, arm if arm in self.arms else "")

    def prediction(self, variant: str, model: str, fold: int | str, cell_type: str, number: int) -> str:
        """A file of predictions."""
        return f"predictions/{variant}{model}/fold{fold}/{cell_type}/round{number}.h5"

    def averaged(self, ensemble: str) -> tuple[str, list[str], list[int], int]:
        """Variant, models, folds and round of the predictions that an ensemble averages."""
        folds = list(self.folds)
        if ensemble.startswith("round"):
            number, _, fold = ensemble.removeprefix("round").partition("-fold")
            return "", self.voting, [int(fold)] if fold else folds, int(number)
        if ensemble.endswith("batch_norm"):
            return f"{ensemble}/", self.voting, folds, self.rounds[-1]
        kind, name = ensemble.split("-", 1)
        if kind == "arm":
            return f"{name}/", self.arms[name].models, folds, self.arms[name].number
        return "stage1/" if kind == "stage1" else "", [name], folds, 0

    def voters(self, ensemble: str) -> list[str]:
        """Files of predictions that an ensemble averages."""
        variant, models, folds, number = self.averaged(ensemble)
        return [
            self.prediction(variant, model, fold, cell_type, number)
            for model in models
            for fold in folds
            for cell_type in self.cell_types
        ]

    def jobs(self, ablation: bool = True) -> Iterator[Job]:
        """Every job of the recipe, and of its ablation."""
        fine = self.config.finetune is not None
        names = self.models if ablation else [model.name for model in self.config.models]
        for model in names:
            for fold in self.folds:
                yield Job(f"train_model {model} {fold}", GIVEN, [self.stage_1(model, fold)])
        tunes = [("", self.voting, number) for number in self.rounds] if fine else []
        tunes += [(arm.name, arm.models, arm.number) for arm in self.arms.values()] if fine and ablation else []
        labelled: dict[str, str] = {}  # pseudo-labels → the ensemble behind them
        for arm, models, number in tunes:
            for model in models:
                for fold in self.folds:
                    for cell_type in self.tuned:
                        needs = [*GIVEN, self.parent(model, fold, cell_type, number)]
                        if labels := self.labels(fold, number, arm):
                            needs.append(labels)
                            labelled[labels] = self.labelled_by(number - 1, self.source(fold))
                        made = self.teacher(model, fold, cell_type, number, arm)
                        yield Job(f"finetune_cell_type {arm} {model} {fold} {cell_type} {number}", needs, [made])
        ensembles = dict.fromkeys([*self.ensembles, *(self.of_ablation if ablation else []), *labelled.values()])
        predictions: dict[str, str] = {}  # which several ensembles may average → weights
        for ensemble in ensembles:
            variant, models, folds, number = self.averaged(ensemble)
            for model in models:
                for fold in folds:
                    for cell_type in self.cell_types:
                        made = self.prediction(variant, model, fold, cell_type, number)
                        predictions[made] = self.weights(variant, model, fold, cell_type, number)
            yield Job(f"ensemble_teachers {ensemble}", self.voters(ensemble), [f"ensembles/{ensemble}.h5"])
        for made, weights in predictions.items():
            yield Job(f"predict {made}", [*GIVEN, weights], [made])
        for labels, ensemble in labelled.items():
            fitted = self.calibrated_on(ensemble)
            needs = [f"ensembles/{name}.h5" for name in dict.fromkeys([ensemble, fitted])]
            yield Job(f"pseudo_labels {labels}", needs, [labels])
        last = [f"ensembles/{name}.h5" for name in dict.fromkeys([f"round{self.rounds[-1]}", self.strict])]
        if self.test_cell_types:
            yield Job("balance_plates", last, ["assignment.parquet"])
        yield Job("score", [*(f"ensembles/{name}.h5" for name in self.ensembles), *last], ["scores.json"])
        if ablation:
            names = [f"ensembles/{name}.h5" for name in [*self.ensembles, *self.of_ablation]]
            yield Job("ablation_table", [*names, "scores.json"], ["ablation.json"])


def folder(name: str) -> str:
    """A name as a folder of a path; "" stays."""
    return f"{name}/" if name else ""


def unmade(trainings: Trainings) -> list[str]:
    """A sentence for each job that needs what no job makes."""
    jobs = list(trainings.jobs())
    made = {*GIVEN, *(path for job in jobs for path in job.makes)}
    return [f"{job.name}: nothing makes {path}" for job in jobs for path in job.needs if path not in made]
