"""Published scores on RxRx1, each with the wells that it is of. For comparison with nothing but RxRx1 itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXPERIMENTS, CLASSES, IMAGE_SIZE = 51, 1139, 512  # of RxRx1; classes with controls
PRIVATE = (14359, 14360)  # private test wells of Kaggle's first tables, and of the later ones


@dataclass(frozen=True)
class Score:
    """A score on RxRx1's test wells.

    Attributes:
        name: the system, and by whom.
        accuracy: 0–1.
        wells: what it is of, in words.
        private: whether these are the wells of Kaggle's private leaderboard, all of them.
        own: whether it is this run's.
    """

    name: str
    accuracy: float
    wells: str = "14,359 private wells"
    private: bool = True
    own: bool = False


UNSAID, KNOWN = "test wells; which of them is not said", "8,853 test wells whose labels became known"

PUBLISHED = (
    Score("first place of the competition", 0.99763),
    Score("first place: one model, with pseudo-labels", 0.99700),
    Score("DeepNoise, second place: + balancing by the layout", 0.99596),
    Score("first place: one model, without pseudo-labels", 0.98997),
    Score("DeepNoise: + ensemble and pseudo-labels", 0.95535),
    Score("DeepNoise: + mean teacher", 0.90145),
    Score("DeepNoise: + ArcFace", 0.85542),
    Score("DeepNoise: softmax, plate normalization", 0.74580),
    Score("DeepNoise: softmax, experiment normalization", 0.62901),
    Score("DeepNoise: softmax, cell-type normalization", 0.51549),
    Score("capstone: ResNet-50, rate 6e-4, γ 0.9", 0.125, UNSAID, private=False),
    Score("capstone: ResNet-50, rate 3e-4, γ 0.95", 0.104, UNSAID, private=False),
    Score("capstone: CNN of two convolutions", 0.002, UNSAID, private=False),
    Score("capstone's submission, one model per cell type", 0.1355, KNOWN, private=False),
    Score("capstone's submission, one model for all", 0.1170, KNOWN, private=False),
)
"""Kaggle's leaderboard, and the texts of Yang et al. 2023 (DeepNoise), of the first place and of the capstone; the
capstone's two submissions were scored on the labels that are known of its test wells."""


def is_rxrx1(kind: str, experiments: int, classes: int, test_cell_types: Sequence[str]) -> bool:
    """Whether a screen of `kind` is all of RxRx1 with its test wells: no other has published scores."""
    whole = (experiments, classes) == (EXPERIMENTS, CLASSES)
    return kind in ("rxrx1", "kaggle") and whole and bool(test_cell_types)


def own_score(kaggle: list[Mapping[str, Any]] | None, recipe: str, image_size: int) -> tuple[Score | None, str]:
    """This run's score on the private wells, or None and why there is none to set beside the published ones.

    `kaggle`: rows of `kaggle_score` as `scores.json` holds them; None where no answer is known.
    """
    private = next((row for row in kaggle or [] if row["split"] == "private"), None)
    if not kaggle:
        return None, "No answers of test wells are known, so this run has no score here."
    if private is None or private["wells_in_split"] not in PRIVATE:
        found = "there is no private set" if private is None else f"its private set has {private['wells_in_split']:,}"
        return None, (
            f"This run has no score here: {found}; expected Kaggle's 14,359 wells (score.public_experiments and "
            "score.left_out_experiments)."
        )
    if not private["wells"]:
        return None, "No answers of private test wells are known, so this run has no score here."
    whole = private["wells"] == private["wells_in_split"]
    wells = f"{private['wells']:,} private wells"
    if not whole:
        wells = f"{private['wells']:,} of {private['wells_in_split']:,} private wells, whose answers are known"
    if image_size != IMAGE_SIZE:
        wells += f"; images of {image_size} × {image_size} pixels, not {IMAGE_SIZE} × {IMAGE_SIZE}"
    return Score(f"this run ({recipe})", private["accuracy"], wells, private=whole, own=True), ""
