"""`models`, `augment`, `train`, `finetune`, `mean_teacher`, `predict`: what is learned, and how."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cellsignal.config.base import Section
from cellsignal.config.screen import Name

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class ModelSettings(Section):
    """One model of the ensemble."""

    name: Name = Field(description="folder of the model")
    backbone: str = Field(description="any timm model, or `xception_wide` (this project's)")
    backbone_options: dict[str, Any] = Field(default_factory=dict, description="passed to the backbone")
    pretrained: bool | str = Field(
        False, description="true: timm's published weights; a path: a local safetensors file"
    )
    embedding: int | None = Field(None, ge=2, description="width of the neck; default: the backbone's own")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the head")
    head: Literal["softmax", "arcface"] = Field("arcface", description="classification head")
    scale: float = Field(30.0, gt=0, description="ArcFace scale s")
    margin: float = Field(0.1, ge=0, lt=1.5, description="ArcFace margin m, radians")
    normalization: Literal["plate", "experiment", "cell_type", "site"] = Field(
        "plate", description="group whose channel mean and std standardize a site"
    )
    ensemble: bool = Field(
        True,
        description="fine-tune the model and let it vote; false: a reference that is trained, predicted and "
        "shown in the ladder only",
    )


class AugmentSettings(Section):
    """Augmentation of training sites, on the device, whole batches at once."""

    flips: bool = Field(True, description="horizontal and vertical flips")
    rotations: bool = Field(True, description="rotations by multiples of 90°")
    scale: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = Field(
        None, description="[low, high] of a random zoom"
    )
    shift: Share = Field(0.0, description="largest shift, as a share of the image")
    rotate_degrees: float = Field(0.0, ge=0, le=180, description="largest free rotation")
    erase: Share = Field(0.0, description="probability of erasing a random rectangle")
    gain: float = Field(0.0, ge=0, le=1, description="sd of log gain per site and channel")
    offset: float = Field(
        0.0, ge=0, le=1, description="sd of an added offset per site and channel, in normalized units"
    )
    statistics_jitter: Share = Field(
        0.0, description="relative jitter of the normalization mean and std (DeepNoise's code: 0.1)"
    )


class Schedule(Section):
    """Learning rate over an optimization."""

    kind: Literal["constant", "step", "cosine", "cosine_restarts", "one_cycle", "exponential"] = Field("cosine")
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up before the schedule")
    minimum: float = Field(0.0, ge=0, description="lowest rate (cosine kinds), absolute")
    steps: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, description="`step`: [epoch from which, rate], in order"
    )
    cycles: int = Field(1, ge=1, description="`cosine_restarts`: number of equal cycles")
    tail_epochs: float = Field(0.0, ge=0, description="`cosine_restarts`: closing epochs at `tail_rate`")
    tail_rate: float = Field(1e-4, gt=0)
    gamma: float = Field(0.95, gt=0, le=1, description="`exponential`: factor per epoch")
    peak_at: Share = Field(0.3, description="`one_cycle`: share of the run at which the rate peaks")


class Optimization(Section):
    """One optimization run."""

    epochs: float = Field(gt=0, description="passes over the training sites")
    batch_size: int = Field(64, ge=2, description="labelled sites per step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam")
    rate: float = Field(3e-4, gt=0, description="(peak) learning rate")
    weight_decay: float = Field(0.0, ge=0)
    momentum: Share = Field(0.9, description="SGD momentum")
    schedule: Schedule = Field(default_factory=lambda: Schedule())
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm")
    controls: bool = Field(
        True, description="train on control wells too, test controls included (their classes are known)"
    )
    balance_classes: bool = Field(False, description="sample classes evenly (rare classes oversampled)")
    amp: bool = Field(True, description="mixed precision (CUDA only)")
    checkpoint_minutes: float = Field(10.0, ge=0, description="minutes between resume states; 0: after every epoch")
    validate_every: int = Field(1, ge=1, description="epochs between validations")

    @model_validator(mode="after")
    def schedule_falls(self) -> "Optimization":
        # Recipes overlay key by key, so a schedule may inherit the minimum of the one it replaces.
        if self.schedule.kind in ("cosine", "cosine_restarts") and self.schedule.minimum > self.rate:
            raise ValueError(
                f"schedule.minimum {self.schedule.minimum:g} is above rate {self.rate:g}; give both "
                "(a recipe inherits what it does not set)"
            )
        return self


class MeanTeacher(Section):
    """Mean teacher (Tarvainen & Valpola 2017) for fine-tuning."""

    decay: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=lambda: [[0.0, 0.5], [0.25, 0.9], [0.5, 0.99], [0.75, 0.999]],
        description="EMA decay a: [share of the run from which, a], in order",
    )
    consistency: float = Field(100.0, ge=0, description="weight of the consistency loss; 0: EMA only")
    ramp_epochs: float = Field(5.0, ge=0, description="sigmoid ramp of that weight")
    unlabelled: bool = Field(True, description="test sites join the consistency loss (never their labels)")


class Finetuning(Section):
    """Stage 2: one model per cell type, from stage 1 of its fold."""

    optimization: Optimization
    epochs_factor: dict[str, Positive] = Field(
        default_factory=dict,
        description="cell type → multiple of `optimization.epochs` and its schedule (DeepNoise's r)",
    )
    mean_teacher: MeanTeacher = Field(default_factory=lambda: MeanTeacher())


class PredictSettings(Section):
    """Prediction."""

    views: Literal[1, 4, 8] = Field(8, description="dihedral views averaged per site")
    batch_size: int = Field(128, ge=1)
