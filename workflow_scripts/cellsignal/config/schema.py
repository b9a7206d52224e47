"""The whole configuration: every section, and the rules that bind them."""

from pydantic import Field, model_validator

from cellsignal.config.base import Section
from cellsignal.config.labelling import BalanceSettings, PseudoLabelSettings, ScoreSettings
from cellsignal.config.learning import (
    AugmentSettings,
    Finetuning,
    ModelSettings,
    Optimization,
    PredictSettings,
)
from cellsignal.config.reporting import ReportSettings
from cellsignal.config.screen import FoldSettings, Name, PackSettings, ScreenSettings

OF_THE_SCREEN = ["benchmarks", "logs", "normalization", "plates", "raw", "stages"]
"""Folders under `results/{screen}/` that are no recipe's."""


class Config(Section):
    """`config.yaml` with a recipe laid over it."""

    recipe: Name = Field(description="folder under `results/{screen}/` for what depends on the recipe")
    results: str = Field("results", description="folder of all results")
    seed: int = Field(0, ge=0, description="every random choice of training follows from it")
    threads: int = Field(
        2,
        ge=1,
        description="CPU threads of a training or prediction job; sums depend on it to the last bit, so it "
        "belongs to the result",
    )
    screen: ScreenSettings
    pack: PackSettings = Field(default_factory=lambda: PackSettings())
    folds: FoldSettings = Field(default_factory=lambda: FoldSettings())
    models: list[ModelSettings] = Field(min_length=1)
    augment: AugmentSettings = Field(default_factory=lambda: AugmentSettings())
    train: Optimization = Field(description="stage 1: all cell types")
    finetune: Finetuning | None = Field(None, description="null: predict with stage 1")
    predict: PredictSettings = Field(default_factory=lambda: PredictSettings())
    pseudo_labels: PseudoLabelSettings = Field(default_factory=lambda: PseudoLabelSettings())
    balance: BalanceSettings = Field(default_factory=lambda: BalanceSettings())
    score: ScoreSettings = Field(default_factory=lambda: ScoreSettings())
    report: ReportSettings = Field(default_factory=lambda: ReportSettings())

    @model_validator(mode="after")
    def sections_agree(self) -> "Config":
        problems, start = [], self.pseudo_labels.start_epochs
        if self.recipe in OF_THE_SCREEN:
            problems.append(f"recipe: {self.recipe} is a folder of the screen; expected another name")
        names = [model.name for model in self.models]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            problems.append(f"models: {', '.join(repeated)} named more than once; names must differ")
        if not any(model.ensemble for model in self.models):
            problems.append("models: at least one model must have ensemble: true")
        kind = self.screen.kind
        if kind == "table" and self.screen.table is None:
            problems.append("screen.table: missing, but screen.kind is table")
        if kind == "simulated" and self.screen.simulated is None:
            problems.append("screen.simulated: missing, but screen.kind is simulated")
        if kind != "simulated" and self.screen.root is None:
            problems.append(f"screen.root: missing, but screen.kind {kind} reads raw data from a folder")
        if kind == "simulated" and self.screen.simulated and self.screen.simulated.sirnas % 4:
            problems.append(
                f"screen.simulated.sirnas: {self.screen.simulated.sirnas} is not a multiple of 4 (four plate groups)"
            )
        if self.folds.nothing_held_out and self.balance.temperature is None:
            problems.append(
                "balance.temperature: null, but no fold holds anything out (folds.count, folds.held_out), so that it "
                "cannot be fitted; expected a number, such as 1.0"
            )
        if self.pseudo_labels.rounds and self.finetune and self.finetune.optimization.epochs <= start:
            problems.append(
                f"pseudo_labels.start_epochs: {start:g} leaves nothing of the {self.finetune.optimization.epochs:g} "
                "epochs of a fine-tune, so that pseudo-labels would never be learned from; expected fewer (a recipe "
                "inherits what it does not set), or rounds: 0"
            )
        if self.pseudo_labels.rounds and self.finetune is None:
            problems.append("pseudo_labels.rounds: needs `finetune`, which is null; set rounds: 0 or give finetune")
        if problems:
            raise ValueError("\n".join(problems))
        return self
