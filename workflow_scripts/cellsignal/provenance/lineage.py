"""Who was made from whom, from the receipts alone: answers, folds and rounds keep to their order."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cellsignal.config.learning import ALL_CELL_TYPES
from cellsignal.provenance.receipts import Receipt
from cellsignal.provenance.verdict import Answer
from cellsignal.provenance.walk import Ancestry

TRAINING = ("train_model", "finetune_cell_type")
READS_ANSWERS = "score"
READ_RAW = ("index_sites", "pack_plate")  # raw tables may hold test labels
BEFORE_SCORE = (*TRAINING, "predict", "ensemble_teachers", "pseudo_labels", "balance_plates", "submission")


def lineage(ancestry: Ancestry) -> Answer:
    """Whether answers, another fold's weights or labels of the wrong round are behind a training or a prediction."""
    receipts = list(ancestry.receipts.values())
    problems = [*_answers_read(ancestry), *_score_behind(ancestry)]
    for receipt in receipts:
        check = {
            "train_model": _first_training,
            "finetune_cell_type": _fine_tune,
            "predict": _prediction,
            "ensemble_teachers": _ensemble,
            "pseudo_labels": _labelling,
        }.get(receipt.rule)
        problems += [f"{receipt.path}: {problem}" for problem in check(receipt, ancestry)] if check else []
    return Answer(problems, [] if problems else list(_evidence(ancestry)))


def _evidence(ancestry: Ancestry) -> Iterator[str]:
    receipts = ancestry.receipts.values()
    readers = {r.rule for r in receipts for read in r.reads if Path(read).name == "answers.parquet"}
    rules = Counter(receipt.rule for receipt in receipts)
    yield f"answers were read by {' and '.join(readers) or 'no rule'}; no score is behind a training or a submission"
    yield f"{rules['predict']} predictions are each of weights of their own model, fold, cell type and round"
    labelled: Counter[str] = Counter(
        receipt.wildcards.get("round", "")
        for receipt in receipts
        for read in receipt.reads
        if receipt.rule == "finetune_cell_type" and Path(read).name == "pseudo_labels.parquet"
    )
    for number, count in sorted(labelled.items()):
        before = int(number) - 1
        teachers = [
            read
            for receipt in receipts
            if receipt.wildcards.get("ensemble") == f"round{before}"
            for read, maker in _readings(receipt, ancestry)
            if maker.rule == "predict"
        ]
        yield (
            f"pseudo-labels of round {before}, from {len(teachers)} predictions by teachers of that round, went into "
            f"{count} fine-tunes of round {number} and into nothing earlier"
        )


def _answers_read(ancestry: Ancestry) -> Iterator[str]:
    """Files that hold test labels are answers.parquet and the raw tables."""
    for receipt in ancestry.receipts.values():
        for name in receipt.reads:
            maker = ancestry.maker.get(name)
            if Path(name).name == "answers.parquet" and receipt.rule != READS_ANSWERS:
                yield f"{receipt.path}: rule {receipt.rule} read {name}; only {READS_ANSWERS} may"
            elif maker and maker.rule == "simulate_plate" and receipt.rule not in READ_RAW:
                yield f"{receipt.path}: rule {receipt.rule} read the raw table {name}, which holds test labels"
        if receipt.raw and receipt.rule not in READ_RAW:
            yield f"{receipt.path}: rule {receipt.rule} read raw files; only {' and '.join(READ_RAW)} may"


def _score_behind(ancestry: Ancestry) -> Iterator[str]:
    """Scores and the table of scored wells hold answers, too."""
    for receipt in ancestry.receipts.values():
        if receipt.rule in BEFORE_SCORE:
            for name in receipt.inputs:
                made = ancestry.receipts.get(name)
                if made is not None and made.rule == READS_ANSWERS:
                    yield f"{receipt.path}: rule {receipt.rule} was given {name}, which is made from answers"


def _first_training(receipt: Receipt, ancestry: Ancestry) -> Iterator[str]:
    if labels := _labels(receipt):
        yield f"stage 1 read pseudo-labels ({', '.join(labels)})"


def _fine_tune(receipt: Receipt, ancestry: Ancestry) -> Iterator[str]:
    """From stage 1 or the teacher of the round before, of the same fold, with the labels of the round before."""
    number = int(receipt.wildcards.get("round", "0"))
    yield from _weights(receipt, ancestry, "train_model" if number == 0 else "finetune_cell_type", str(number - 1))
    labels = _labels(receipt)
    if number == 0 and labels:
        yield f"round 0 read pseudo-labels ({', '.join(labels)})"
    for name in labels if number else []:
        maker = ancestry.maker.get(name)
        if maker and (maker.rule != "pseudo_labels" or maker.wildcards.get("round") != str(number - 1)):
            yield f"pseudo-labels of {name}, expected those of round {number - 1}"
        elif maker and maker.wildcards.get("arm", "") != receipt.wildcards.get("arm", ""):
            yield f"pseudo-labels of {name}, expected those of its own arm of the ablation"
        elif maker and maker.wildcards.get("source", "") not in ("", f"fold{receipt.wildcards.get('fold')}/"):
            yield f"pseudo-labels of {name}, expected those of all teachers or of its own fold's"


def _prediction(receipt: Receipt, ancestry: Ancestry) -> Iterator[str]:
    rules = {made.rule for name in _weight_files(receipt) if (made := ancestry.maker.get(name))}
    rule = "train_model" if rules == {"train_model"} else "finetune_cell_type"
    variant = receipt.wildcards.get("variant", "")
    arm = "" if variant == "stage1/" or variant.endswith("batch_norm/") else variant
    yield from _weights(receipt, ancestry, rule, receipt.wildcards.get("round", ""), arm)


def _weights(receipt: Receipt, ancestry: Ancestry, rule: str, number: str, arm: str = "") -> Iterator[str]:
    """The weights that a job read must be of `rule`, of its own model and fold (and cell type, of round `number`).

    A fine-tune starts from the recipe's own weights, also in an arm of the ablation; a prediction is of its own arm's.
    """
    wanted = {name: receipt.wildcards.get(name) for name in ("model", "fold")}
    if rule == "finetune_cell_type":
        wanted |= {"cell_type": receipt.wildcards.get("cell_type"), "round": number, "arm": arm}
    files = _weight_files(receipt)
    if len(files) != 1:
        yield f"read {len(files)} files of weights, expected one"
    for name in files:
        maker = ancestry.maker.get(name)
        if maker is None:
            continue  # `intact` names the broken receipt
        found = {key: maker.wildcards.get(key, "" if key == "arm" else None) for key in wanted}
        if found.get("cell_type") == ALL_CELL_TYPES:
            found["cell_type"] = wanted["cell_type"]
        if maker.rule != rule or found != wanted:
            expected = ", ".join(f"{key} {value}" for key, value in wanted.items() if value)
            yield f"read the weights {name}, expected those of {rule} with {expected}"
        elif rule == "finetune_cell_type" and Path(name).stem != "teacher":
            yield f"read {name}, expected the teacher"


def _ensemble(receipt: Receipt, ancestry: Ancestry) -> Iterator[str]:
    """An ensemble averages predictions of its own round; that of one model (`reference-…`) its own of round 0.

    Those of the ablation are told apart by what they vary: stage 1, or the BatchNorm statistics of predictions.
    """
    name = receipt.wildcards.get("ensemble", "")
    kind, _, model = name.partition("-")
    number, variant, fold = "0" if model else None, "", None
    if kind.startswith("round"):  # of all folds, or of one: `round0-fold1`
        number, fold, model = kind.removeprefix("round"), model.removeprefix("fold") or None, ""
    elif kind == "arm":  # an arm has one round
        variant, number, model = f"{model}/", None, ""
    elif kind == "stage1" or kind.endswith("batch_norm"):
        variant = f"{kind}/"
    for read, maker in _readings(receipt, ancestry):
        if maker.rule == "index_sites":
            continue
        wanted = {"variant": variant, "model": model or None, "round": number, "fold": fold}
        other = any(maker.wildcards.get(key, "") != value for key, value in wanted.items() if value is not None)
        if maker.rule != "predict" or other:
            yield f"averaged {read}, expected predictions of {name} only"


def _labelling(receipt: Receipt, ancestry: Ancestry) -> Iterator[str]:
    """Pseudo-labels come from the teachers' ensemble of their round, or of one fold of it, and from nothing else.

    Beside it, round 0's is read for the temperature, if teachers of all folds gave labels before.
    """
    source = receipt.wildcards.get("source", "").rstrip("/")
    wanted = f"round{receipt.wildcards.get('round')}{f'-{source}' if source else ''}"
    voted = {
        read: maker.wildcards.get("ensemble") if maker.rule == "ensemble_teachers" else None
        for read, maker in _readings(receipt, ancestry)
        if maker.rule != "index_sites"
    }
    allowed = {wanted, *(() if source else ("round0",))} if wanted in voted.values() else {wanted}
    for read, ensemble in voted.items():
        if ensemble not in allowed:
            yield f"labelled by {read}, expected the ensemble of {wanted} only"


def _readings(receipt: Receipt, ancestry: Ancestry) -> Iterator[tuple[str, Receipt]]:
    return ((name, ancestry.maker[name]) for name in receipt.reads if name in ancestry.maker)


def _labels(receipt: Receipt) -> list[str]:
    return [name for name in receipt.reads if Path(name).name == "pseudo_labels.parquet"]


def _weight_files(receipt: Receipt) -> list[str]:
    return [name for name in receipt.reads if name.endswith(".safetensors")]
