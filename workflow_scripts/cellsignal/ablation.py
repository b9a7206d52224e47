"""The ablation: which rungs the ladder of DeepNoise's figures 3(a) and 3(b) has for a recipe, and beyond.

Nearly all of them are by-products of the recipe's own run: a rung is an ensemble of predictions, raw or
balanced. Only the softmax references of figure 3(a) are trained besides, and only for `snakemake ablation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellsignal.config.labelling import Method
from cellsignal.config.learning import ModelSettings
from cellsignal.config.schema import Config

SCHEMES = {"cell_type": "cell type", "experiment": "experiment", "plate": "plate"}  # of normalization, in words
HEADS = {"softmax": "softmax", "arcface": "ArcFace", "cosface": "CosFace", "composite": "softmax and ArcFace"}

NORMALIZATION, LADDER, BEYOND = "normalization", "ladder", "beyond"
PUBLISHED = {
    "cell_type": 0.51549,
    "experiment": 0.62901,
    "plate": 0.74580,
    "arcface": 0.85542,
    "mean teacher": 0.90145,
    "pseudo-labels": 0.95535,
    "balancing": 0.99596,
}
"""Test accuracies of DeepNoise on RxRx1 (figures 3a and 3b). The last one includes the plate groups."""


@dataclass(frozen=True)
class AblationRung:
    """A rung: the accuracy of an ensemble, before or after balancing.

    Attributes:
        part: `normalization` (figure 3a), `ladder` (figure 3b) or `beyond` (what the paper does not have).
        name: in words.
        ensemble: `round…`, `reference-…` and `stage1-…` (a model's stage 1), `teacher-…` (a model's teacher of round
            0), `plate_batch_norm` or `global_batch_norm` (the last round, with the other statistics).
        method: of balancing; `none`: the likeliest treatment of each well.
        plate_groups: whether balancing may use them.
        label_shift: whether each plate's own class shares are taken, as in the run itself.
        published: DeepNoise's accuracy, where it has this rung.
    """

    part: str
    name: str
    ensemble: str
    method: Method = "none"
    plate_groups: bool = False
    label_shift: bool = False
    published: float | None = None


def schemes(experiments: int, plates: int) -> list[str]:
    """The normalizations that differ on a screen: where each experiment is one plate, one serves for both."""
    return [name for name in SCHEMES if name != "experiment" or experiments < plates]


def reference_models(config: Config, compared: Sequence[str]) -> dict[str, ModelSettings]:
    """The softmax models that the ablation trains besides the recipe's own, by name: one per scheme `compared`."""
    own = {model.name for model in config.models}
    found = {scheme: _softmax(config, scheme) for scheme in compared}
    return {model.name: model for model in found.values() if model.name not in own}


def ablation_rungs(config: Config, compared: Sequence[str], last_round: int, to_submit: bool) -> list[AblationRung]:
    """The rungs of a recipe, from the first reference to what the layout gives.

    Args:
        compared: normalizations, of `schemes`.
        last_round: number of the last round of pseudo-labels.
        to_submit: whether there are test wells to balance.
    """
    first = _first(config)
    stage_1 = {scheme: _stage_1(config, _softmax(config, scheme)) for scheme in compared}
    rungs = [
        AblationRung(NORMALIZATION, f"{SCHEMES[scheme]} normalization", ensemble, published=PUBLISHED[scheme])
        for scheme, ensemble in stage_1.items()
    ]
    rungs.append(AblationRung(LADDER, "softmax, plate normalization", stage_1["plate"], published=PUBLISHED["plate"]))
    if (first.head, first.normalization) != ("softmax", "plate"):
        changed = (
            HEADS[first.head]
            if first.normalization == "plate"
            else f"{first.normalization.replace('_', ' ')} normalization"
        )
        rungs.append(AblationRung(LADDER, f"+ {changed}", _stage_1(config, first), published=PUBLISHED.get(first.head)))
    if config.finetune is not None:
        teaches = config.finetune.mean_teacher.consistency > 0
        rungs.append(
            AblationRung(
                LADDER,
                "+ mean teacher" if teaches else "+ fine-tuning",
                f"teacher-{first.name}",
                published=PUBLISHED["mean teacher"] if teaches else None,
            )
        )
    voters = sum(model.ensemble for model in config.models)
    if voters > 1:
        rungs.append(AblationRung(LADDER, f"+ ensemble of {voters} models", "round0"))
    last = f"round{last_round}"
    if last_round:
        rounds = f"{last_round} round{'s' if last_round > 1 else ''}"
        rungs.append(AblationRung(LADDER, f"+ pseudo-labels ({rounds})", last, published=PUBLISHED["pseudo-labels"]))
    if config.balance.label_shift is not None:
        rungs.append(AblationRung(LADDER, "+ class shares of each plate", last, label_shift=True))
    other = {"global": "plate", "plate": "global"}[config.predict.batch_norm]
    statistics = f"{other}_batch_norm"
    if to_submit:
        rungs.append(AblationRung(LADDER, "+ balancing", last, "iterative", published=PUBLISHED["balancing"]))
    rungs.append(AblationRung(BEYOND, f"{other} BatchNorm statistics, raw", statistics))
    if to_submit:
        rungs += [
            AblationRung(BEYOND, "assignment", last, "assignment"),
            AblationRung(BEYOND, "balancing, plate groups", last, "iterative", plate_groups=True),
            AblationRung(BEYOND, "assignment, plate groups", last, "assignment", plate_groups=True),
            AblationRung(
                BEYOND, f"assignment, plate groups, {other} BatchNorm", statistics, "assignment", plate_groups=True
            ),
        ]
    return rungs


def _first(config: Config) -> ModelSettings:
    """The model whose steps the ladder follows: the first that votes."""
    return next(model for model in config.models if model.ensemble)


def _softmax(config: Config, scheme: str) -> ModelSettings:
    """The first model with a softmax head and another normalization; the recipe's own, if it has it."""
    wanted = _first(config).model_copy(update={"head": "softmax", "normalization": scheme})
    ours = ("name", "ensemble", "scale", "margin", "composite")  # nothing to a softmax head
    alike = (
        model
        for model in config.models
        if {**vars(model), **dict.fromkeys(ours)} == {**vars(wanted), **dict.fromkeys(ours)}
    )
    return next(alike, wanted.model_copy(update={"name": f"ablation-softmax-{scheme}", "ensemble": False}))


def _stage_1(config: Config, model: ModelSettings) -> str:
    """The ensemble of a model's stage 1, over folds."""
    if not model.ensemble:
        return f"reference-{model.name}"
    return f"stage1-{model.name}" if config.finetune is not None else f"teacher-{model.name}"
