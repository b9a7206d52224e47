"""`models`, `augment`, `train`, `finetune`, `predict`: what is learned, and how."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cellsignal.config.base import Section
from cellsignal.config.screen import Name

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]

ALL_CELL_TYPES = "all_cell_types"  # in place of a cell type's name: a fine-tune for all of them


class ModelSettings(Section):
    """One model of the ensemble."""

    name: Name = Field(description="folder of the model")
    backbone: str = Field(description="any timm model, or this project's `xception_wide` and `capstone_cnn`")
    backbone_options: dict[str, Any] = Field(default_factory=dict, description="passed to the backbone")
    pretrained: bool | str = Field(
        False, description="true: timm's published weights; a path: a local safetensors file"
    )
    embedding: int | None = Field(None, ge=2, description="width of the neck; default: no neck, the backbone's own")
    neck: Literal["linear", "mlp"] = Field(
        "linear",
        description="layers from the pooled features to the embedding: FC-BN, or `mlp`: BN-FC-ReLU-BN-FC-BN (first "
        "place)",
    )
    cell_type: bool = Field(
        False, description="append the one-hot cell type to the pooled features, before the neck (first place)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of the pooled features")
    head: Literal["softmax", "arcface", "cosface", "composite"] = Field(
        "arcface",
        description="classification head; `composite`: a softmax head, which predicts, beside an ArcFace head with "
        "templates of its own, which only trains",
    )
    scale: float = Field(30.0, gt=0, description="scale s of ArcFace and CosFace")
    margin: float = Field(0.1, ge=0, lt=1.5, description="margin m: ArcFace's in radians, CosFace's of the cosine")
    composite: Annotated[list[Weight], Field(min_length=2, max_length=2)] = Field(
        default_factory=lambda: [0.8, 0.2],
        description="`composite`: weights of the softmax loss and of the ArcFace loss (1 − c and c = 0.2 in the "
        "explainability paper; [0.8, 0.1] in the first place's code, which halves its ArcFace loss)",
    )
    head_bias: bool = Field(True, description="whether a softmax head has biases (the capstone's baseline has none)")
    normalization: Literal["plate", "experiment", "cell_type", "site", "none"] = Field(
        "plate",
        description="group whose channel mean and std standardize a site; `none`: pixels as shares of the largest "
        "value that their type holds, as torchvision's `ToTensor` gives them",
    )
    ensemble: bool = Field(
        True,
        description="fine-tune the model and let it vote; false: a reference that is trained, predicted and "
        "shown in the ladder only",
    )

    @model_validator(mode="after")
    def neck_has_a_width(self) -> "ModelSettings":
        if self.neck == "mlp" and self.embedding is None:
            raise ValueError("embedding: missing, but neck is mlp; expected the width of the neck")
        return self


class AugmentSettings(Section):
    """Augmentation of training sites, on the device, whole batches at once."""

    flips: bool = Field(True, description="horizontal and vertical flips")
    rotations: bool = Field(True, description="rotations by multiples of 90°")
    scale: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = Field(
        None, description="[low, high] of a random zoom"
    )
    crop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="smallest side of a random crop, as a share of the image, to whose size it is scaled back"
    )
    shift: Share = Field(0.0, description="largest shift, as a share of the image")
    rotate_degrees: float = Field(0.0, ge=0, le=180, description="largest free rotation")
    shear: float = Field(0.0, ge=0, lt=1, description="largest shear: columns by which a row moves, per row")
    perspective: float = Field(
        0.0, ge=0, lt=0.5, description="largest perspective: how much nearer one border is than the centre"
    )
    erase: Share = Field(0.0, description="probability of erasing a random rectangle")
    salt_pepper: Share = Field(
        0.0, description="largest share of pixels that become the brightest or the darkest value of their channel"
    )
    illumination: float = Field(
        0.0, ge=0, lt=1, description="largest relative change of brightness from the centre to a border, in grey levels"
    )
    gain: float = Field(0.0, ge=0, le=1, description="sd of log gain per site and channel")
    offset: float = Field(
        0.0, ge=0, le=1, description="sd of an added offset per site and channel, in normalized units"
    )
    statistics_jitter: Share = Field(
        0.0, description="relative jitter of the normalization mean and std (DeepNoise's code: 0.1)"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        description="a of mixup's share λ ~ Beta(a, a); 0: none. As `cutmix`, it mixes labels and cell types, too, in "
        "the view that the supervised loss is of",
    )
    cutmix: float = Field(
        0.0, ge=0, description="a of CutMix's share λ ~ Beta(a, a); 0: none. With `mixup`, half of the batches each"
    )

    @model_validator(mode="after")
    def zoom_has_a_range(self) -> "AugmentSettings":
        if self.scale and self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: {self.scale} has its low end above its high end; expected [low, high]")
        return self


class Schedule(Section):
    """Learning rate over an optimization."""

    kind: Literal["constant", "step", "cosine", "cosine_restarts", "one_cycle", "exponential"] = Field(
        "cosine", description="shape of the learning rate over the run"
    )
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up before the schedule")
    minimum: float = Field(0.0, ge=0, description="lowest rate (cosine kinds and `one_cycle`), absolute")
    steps: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, description="`step`: [epoch from which, rate], in order"
    )
    cycles: int = Field(1, ge=1, description="`cosine_restarts`: number of equal cycles")
    tail_epochs: float = Field(0.0, ge=0, description="`cosine_restarts`: closing epochs at `tail_rate`")
    tail_rate: float = Field(1e-4, gt=0, description="`cosine_restarts`: rate of the closing epochs")
    gamma: float = Field(0.95, gt=0, le=1, description="`exponential`: factor per epoch")
    peak_at: Share = Field(0.3, description="`one_cycle`: share of the run at which the rate peaks")

    @model_validator(mode="after")
    def steps_are_in_order(self) -> "Schedule":
        starts = [start for start, _ in self.steps]
        if starts != sorted(set(starts)) or min(starts, default=0) < 0:
            raise ValueError(f"steps: epochs {starts}; expected them from 0 on and ascending")
        if any(rate <= 0 for _, rate in self.steps):
            raise ValueError(f"steps: rates {[rate for _, rate in self.steps]}; expected them above 0")
        if self.kind == "step" and not self.steps:
            raise ValueError("steps: none, but kind is step; expected [epoch from which, rate] at least once")
        return self


class Optimization(Section):
    """One optimization run."""

    epochs: float = Field(gt=0, description="passes over the training sites")
    batch_size: int = Field(64, ge=2, description="labelled sites per batch")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are averaged for one optimizer step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="optimizer")
    rate: float = Field(3e-4, gt=0, description="(peak) learning rate")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty (`adam`, `sgd`) or decoupled decay (`adamw`)")
    momentum: Share = Field(0.9, description="SGD momentum")
    schedule: Schedule = Field(default_factory=lambda: Schedule())
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of a label that is spread over all classes")
    focal: float = Field(0.0, ge=0, description="γ of the focal loss (1 − p)^γ · cross entropy; 0: cross entropy")
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm")
    controls: bool = Field(
        True, description="train on control wells too, test controls included (their classes are known)"
    )
    balance_classes: bool = Field(False, description="sample classes evenly (rare classes oversampled)")
    plate_batches: bool = Field(
        False,
        description="every batch from one plate, so that BatchNorm sees one plate at a time; validation then "
        "takes the statistics of each plate, as `predict.batch_norm: plate` does",
    )
    amp: bool = Field(True, description="mixed precision (CUDA only)")
    sync_batch_norm: bool = Field(
        True, description="with several GPUs: BatchNorm over the whole batch, not each GPU's share of it"
    )
    checkpoint_minutes: float = Field(10.0, ge=0, description="minutes between resume states; 0: after every epoch")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    select: Literal["last", "best"] = Field(
        "last",
        description="epoch whose weights are the result; `best`: of the highest validation accuracy, the earliest "
        "of equals. The held-out fold then chose the epoch, so out-of-fold metrics are a little optimistic",
    )
    patience: int | None = Field(
        None, ge=1, description="stop early after so many validations in a row that are no better than the best before"
    )

    @property
    def validated(self) -> bool:
        """Whether the result hangs on validation: on the epoch that it chooses, or at which it stops."""
        return self.select == "best" or self.patience is not None

    @model_validator(mode="after")
    def batches_are_of_one_kind(self) -> "Optimization":
        if self.plate_batches and self.balance_classes:
            raise ValueError(
                "plate_batches: true, as is balance_classes; expected one of the two: a plate's classes "
                "are what it holds"
            )
        return self

    @model_validator(mode="after")
    def schedule_fits(self) -> "Optimization":
        schedule = self.schedule
        # Recipes overlay key by key, so a schedule may inherit the minimum of the one it replaces.
        if schedule.kind in ("cosine", "cosine_restarts", "one_cycle") and schedule.minimum > self.rate:
            raise ValueError(
                f"schedule.minimum: {schedule.minimum:g} is above rate {self.rate:g}; expected at most the rate: "
                "give both (a recipe inherits what it does not set)"
            )
        around = {"warmup_epochs": schedule.warmup_epochs}
        if schedule.kind == "cosine_restarts":
            around["tail_epochs"] = schedule.tail_epochs
        for key, epochs in around.items():
            if epochs and sum(around.values()) >= self.epochs:
                raise ValueError(
                    f"schedule.{key}: {epochs:g} leaves nothing of {self.epochs:g} epochs for the schedule; "
                    f"expected {' and '.join(around)} to be less than epochs"
                )
        return self


class MeanTeacher(Section):
    """Mean teacher (Tarvainen & Valpola 2017) for fine-tuning."""

    decay: list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = Field(
        default_factory=lambda: [[0.0, 0.5], [0.25, 0.9], [0.5, 0.99], [0.75, 0.999]],
        description="EMA decay a: [share of the run from which, a], in order; null: `decay_epochs`",
    )
    decay_epochs: list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = Field(
        None,
        description="the same as [epoch from which, a], not scaled by `epochs_factor` (DeepNoise); null: `decay`",
    )
    consistency: float = Field(100.0, ge=0, description="weight of the consistency loss; 0: EMA only")
    ramp_epochs: float = Field(5.0, ge=0, description="sigmoid ramp of that weight")
    unlabelled: bool = Field(True, description="test sites join the consistency loss (never their labels)")

    @model_validator(mode="after")
    def decay_is_in_order(self) -> "MeanTeacher":
        given = {"decay": self.decay, "decay_epochs": self.decay_epochs}
        if sum(steps is not None for steps in given.values()) != 1:
            raise ValueError(
                f"decay: {self.decay}, and decay_epochs {self.decay_epochs}; expected one of them, the other null (a "
                "recipe inherits what it does not set)"
            )
        for key, steps in given.items():
            starts, decays = [start for start, _ in steps or []], [a for _, a in steps or []]
            last = 1 if key == "decay" else math.inf
            if starts != sorted(set(starts)) or any(not 0 <= start <= last for start in starts):
                what = "shares of the run (0 to 1)" if key == "decay" else "epochs from 0 on"
                raise ValueError(f"{key}: starts {starts}; expected {what}, ascending")
            if any(not 0 <= a < 1 for a in decays):
                raise ValueError(f"{key}: a {decays}; expected 0 to below 1 (at 1 the teacher never learns)")
        return self


class PseudoLabelLoss(Section):
    """How pseudo-labelled sites are learned from; part of `pseudo_labels`."""

    view: Literal["same", "weak"] = Field(
        "same",
        description="`same`: as labelled sites, augmented, mixed and with the head's margin; `weak`: flips and "
        "rotations only, cross entropy without margin (DeepNoise's code)",
    )
    ramp: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="[T1, T2], as shares of a fine-tune: the weight is 0 up to T1, grows evenly to the full one at T2, "
        "and stays (α(t), Lee 2013); default: the full one throughout",
    )
    start_epochs: float = Field(
        0.0,
        ge=0,
        description="epochs without pseudo-labels, multiplied by `finetune.epochs_factor` (20 r in DeepNoise)",
    )
    supervised_weight: float = Field(
        1.0, gt=0, description="weight of labelled sites while pseudo-labels weigh anything (0.95 in DeepNoise's code)"
    )
    average: Literal["batch", "each"] = Field(
        "batch",
        description="what the sums of both losses are divided by: all labelled and pseudo-labelled sites of a batch, "
        "or each sum by the number of its own (eq. 7 of the explainability paper)",
    )

    @model_validator(mode="after")
    def ramp_rises(self) -> "PseudoLabelLoss":
        if self.ramp and self.ramp[0] > self.ramp[1]:
            raise ValueError(f"ramp: {self.ramp} ends before it starts; expected [T1, T2]")
        return self


class Finetuning(Section):
    """Stage 2: one model per cell type, from stage 1 of its fold."""

    optimization: Optimization
    epochs_factor: dict[str, Positive] = Field(
        default_factory=dict,
        description="cell type → multiple of `optimization.epochs` and its schedule (DeepNoise's r)",
    )
    mean_teacher: MeanTeacher = Field(default_factory=lambda: MeanTeacher())
    by_cell_type: bool = Field(True, description="one model per cell type; false: one for all, as in stage 1")

    @model_validator(mode="after")
    def batches_hold_one_plate(self) -> "Finetuning":
        teacher = self.mean_teacher
        if self.optimization.plate_batches and teacher.unlabelled and teacher.consistency > 0:
            raise ValueError(
                "optimization.plate_batches: true, but unlabelled sites join every batch; expected "
                "mean_teacher.unlabelled: false or mean_teacher.consistency: 0"
            )
        return self


class PredictSettings(Section):
    """Prediction."""

    views: Literal[1, 4, 8] = Field(8, description="dihedral views averaged per site")
    batch_size: int = Field(128, ge=1, description="sites per batch, each in all its views")
    batch_norm: Literal["global", "plate"] = Field(
        "global",
        description="statistics of BatchNorm: those of training, or those of all sites of the plate, its controls "
        "included (adaptive BatchNorm; no label and no layout is used)",
    )
