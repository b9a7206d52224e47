"""The ablation: which rungs the ladder of DeepNoise's figures 3(a) and 3(b) has for a recipe, and beyond.

A rung is an ensemble of predictions, raw or balanced. Many are by-products of the recipe's own run. Trained besides,
for `snakemake ablation` only, are the softmax references of figure 3(a), and arms: fine-tunes with one step left out
and all else equal, without which a gain would be put down to a step that did not make it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellsignal.config.labelling import BalanceSettings, Method
from cellsignal.config.learning import Finetuning, ModelSettings
from cellsignal.config.schema import Config

SCHEMES = {"cell_type": "cell type", "experiment": "experiment", "plate": "plate"}  # of normalization, in words
HEADS = {"softmax": "softmax", "arcface": "ArcFace", "cosface": "CosFace", "composite": "softmax and ArcFace"}

NORMALIZATION, LADDER, LABELS, LAYOUT, BEYOND = "normalization", "ladder", "labels", "layout", "beyond"
PUBLISHED = {
    "cell_type": 0.51549,
    "experiment": 0.62901,
    "plate": 0.74580,
    "arcface": 0.85542,
    "mean teacher": 0.90145,
    "pseudo-labels": 0.95535,
    "balancing": 0.99596,
}
"""Test accuracies of DeepNoise on RxRx1 (figures 3a and 3b). Its pseudo-labels were balanced with the plate groups
before they were learned from, and its last value includes the groups."""


@dataclass(frozen=True)
class AblationRung:
    """A rung: the accuracy of an ensemble, before or after balancing.

    Attributes:
        part: `normalization` (figure 3a), `ladder` (figure 3b, up to the ensemble), `labels` (what a further round and
            pseudo-labels are worth), `layout` (what is owed to the plates' layout) or `beyond` (BatchNorm).
        name: in words.
        ensemble: `round…`, `reference-…` and `stage1-…` (a model's stage 1), `teacher-…` (a model's teacher of round
            0), `arm-…` (an arm's teachers), `plate_batch_norm` or `global_batch_norm` (the last round, with the other
            statistics).
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


@dataclass(frozen=True)
class Arm:
    """Fine-tunes that leave out one step of the recipe's own, at the same round and from the same weights.

    Attributes:
        name: folder of its models and predictions.
        number: its round, 0 or 1.
        models: names of the models.
        finetune: settings of the fine-tunes.
        labels: how pseudo-labels are balanced before they are learned from; None: it has none.
    """

    name: str
    number: int
    models: list[str]
    finetune: Finetuning
    labels: BalanceSettings | None = None


def arms(config: Config, last_round: int) -> list[Arm]:
    """The arms of a recipe; one that would equal the recipe's own fine-tunes is left out."""
    finetune = config.finetune
    if finetune is None:
        return []
    own, first, found = finetune.mean_teacher, [_first(config).name], []
    alone = own.model_copy(
        update={"decay": [[0.0, 0.0]], "decay_epochs": None, "consistency": 0.0, "unlabelled": False}
    )
    averaged = own.model_copy(update={"consistency": 0.0, "unlabelled": False})
    if _teaches(config) or _averages(config):
        found.append(Arm("finetuned_alone", 0, first, finetune.model_copy(update={"mean_teacher": alone})))
    if _teaches(config) and _averages(config):
        found.append(Arm("averaged", 0, first, finetune.model_copy(update={"mean_teacher": averaged})))
    if last_round:
        voting = [model.name for model in config.models if model.ensemble]
        plain = config.balance.model_copy(update={"method": "none", "plate_groups": False})
        unique = plain.model_copy(update={"method": "uniqueness", "label_shift": None})
        grouped = unique.model_copy(update={"plate_groups": True})
        found.append(Arm("without_labels", 1, voting, finetune))
        balanced = {"labels_without_layout": plain, "labels_unique": unique, "labels_grouped": grouped}
        found += [
            Arm(name, 1, voting, finetune, labels)
            for name, labels in balanced.items()
            if (labels.method, labels.plate_groups) != (config.balance.method, config.balance.plate_groups)
        ]
    return found


def ablation_rungs(config: Config, compared: Sequence[str], last_round: int, to_submit: bool) -> list[AblationRung]:
    """The rungs of a recipe, from the first reference to what the layout gives.

    Args:
        compared: normalizations, of `schemes`.
        last_round: number of the last round of pseudo-labels.
        to_submit: whether there are test wells to balance.
    """
    stage_1 = {scheme: _stage_1(config, _softmax(config, scheme)) for scheme in compared}
    rungs = [
        AblationRung(NORMALIZATION, f"{SCHEMES[scheme]} normalization", ensemble, published=PUBLISHED[scheme])
        for scheme, ensemble in stage_1.items()
    ]
    rungs += _steps(config, stage_1["plate"])
    last = f"round{last_round}"
    if last_round:
        rungs += _rounds(config, last_round)
    if config.balance.label_shift is not None:
        rungs.append(AblationRung(LADDER, "+ class shares of each plate", last, label_shift=True))
    if to_submit:
        rungs += _layout(last_round)
    other = {"global": "plate", "plate": "global"}[config.predict.batch_norm]
    statistics = f"{other}_batch_norm"
    rungs.append(AblationRung(BEYOND, f"{other} BatchNorm statistics, raw", statistics))
    if to_submit:
        name = f"assignment, plate groups, {other} BatchNorm"
        rungs.append(AblationRung(BEYOND, name, statistics, "assignment", plate_groups=True))
    return rungs


def _steps(config: Config, softmax: str) -> list[AblationRung]:
    """From one softmax model to the ensemble of round 0."""
    first = _first(config)
    rungs = [AblationRung(LADDER, "softmax, plate normalization", softmax, published=PUBLISHED["plate"])]
    if (first.head, first.normalization) != ("softmax", "plate"):
        changed = (
            HEADS[first.head]
            if first.normalization == "plate"
            else f"{first.normalization.replace('_', ' ')} normalization"
        )
        rungs.append(AblationRung(LADDER, f"+ {changed}", _stage_1(config, first), published=PUBLISHED.get(first.head)))
    if config.finetune is not None:
        own = f"teacher-{first.name}"
        if not (_teaches(config) or _averages(config)):
            rungs.append(AblationRung(LADDER, "+ fine-tune alone", own))
        else:
            rungs.append(AblationRung(LADDER, "+ fine-tune alone", "arm-finetuned_alone"))
        if _averages(config):
            rungs.append(AblationRung(LADDER, "+ EMA", "arm-averaged" if _teaches(config) else own))
        if _teaches(config):
            name = "+ consistency (mean teacher)"
            rungs.append(AblationRung(LADDER, name, own, published=PUBLISHED["mean teacher"]))
    voters = sum(model.ensemble for model in config.models)
    if voters > 1:
        rungs.append(AblationRung(LADDER, f"+ ensemble of {voters} models", "round0"))
    return rungs


def _rounds(config: Config, last_round: int) -> list[AblationRung]:
    """What a further round is worth, without pseudo-labels and with them, balanced by more and more of the layout."""
    words = {
        "without_labels": "a further round, no pseudo-labels",
        "labels_without_layout": "pseudo-labels, no layout",
        "labels_unique": "pseudo-labels, uniqueness",
        "labels_grouped": "pseudo-labels, uniqueness, plate groups",
    }
    rungs = [AblationRung(LABELS, "round 0", "round0")]
    rungs += [
        AblationRung(LABELS, words[arm.name], f"arm-{arm.name}") for arm in arms(config, last_round) if arm.number == 1
    ]
    method = {"none": "no layout"}.get(config.balance.method, config.balance.method)
    own = f"pseudo-labels, {method}{', plate groups' if config.balance.plate_groups else ''}"
    # The paper's pseudo-labels were balanced with the groups, and refreshed: its value belongs to the last such round.
    published = PUBLISHED["pseudo-labels"] if config.balance.plate_groups else None
    rungs.append(
        AblationRung(LABELS, f"{own} (as the recipe)", "round1", published=published if last_round == 1 else None)
    )
    if last_round > 1:
        rungs.append(AblationRung(LABELS, f"the same, {last_round} rounds", f"round{last_round}", published=published))
    return rungs


def _layout(last_round: int) -> list[AblationRung]:
    """What the layout's rules add to the answers of round 0, and of the last round."""
    rungs = []
    for number in dict.fromkeys([0, last_round]):
        name = f"round{number}"
        of = f"round {number}"
        rungs.append(AblationRung(LAYOUT, f"{of}, raw", name))
        rungs += [
            AblationRung(LAYOUT, f"{of}, {method}", name, method)
            for method in ("uniqueness", "iterative", "assignment")
        ]
        rungs += [
            AblationRung(
                LAYOUT, f"{of}, {method}, plate groups", name, method, plate_groups=True,
                published=PUBLISHED["balancing"] if (number, method) == (last_round, "iterative") else None,
            )
            for method in ("uniqueness", "iterative", "assignment")
        ]  # fmt: skip
    return rungs


def _teaches(config: Config) -> bool:
    """Whether a teacher's consistency weighs anything."""
    return config.finetune is not None and config.finetune.mean_teacher.consistency > 0


def _averages(config: Config) -> bool:
    """Whether the teacher is anything but the student."""
    if config.finetune is None:
        return False
    teacher = config.finetune.mean_teacher
    return any(a > 0 for _, a in teacher.decay or teacher.decay_epochs or [])


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
