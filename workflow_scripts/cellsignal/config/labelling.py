"""`pseudo_labels`, `balance`, `score`: from class probabilities to a submission."""

from typing import Literal

from pydantic import Field, model_validator

from cellsignal.config.base import Section
from cellsignal.config.learning import PseudoLabelLoss

Method = Literal["none", "uniqueness", "iterative", "assignment"]


class BalanceSettings(Section):
    """The priors of the plate layout, applied to class probabilities."""

    method: Method = Field(
        "assignment",
        description="`none`; `uniqueness`: a class at most once per plate, best first; `iterative`: DeepNoise's "
        "step-halving; `assignment`: exact maximum-weight assignment",
    )
    plate_groups: bool = Field(
        True, description="restrict a plate to the group of classes that train shows to share plates"
    )
    temperature: float | None = Field(
        None, gt=0, description="softmax temperature before balancing; default: fitted on out-of-fold predictions"
    )
    step: float = Field(0.001, gt=0, description="`iterative`: first step of the score correction")
    label_shift: float | None = Field(
        None,
        gt=0,
        description="estimate the class shares of each plate from its own probabilities, without labels (EM), the "
        "shares of train counting as this many wells; only with method `none`; default: train's shares everywhere",
    )

    @model_validator(mode="after")
    def shares_or_layout(self) -> "BalanceSettings":
        if self.label_shift is not None and self.method != "none":
            raise ValueError(
                f"label_shift: set with method {self.method}, whose layout fixes the class shares; expected method none"
            )
        return self


class PseudoLabelSettings(PseudoLabelLoss):
    """Labels that the teacher ensemble gives to test wells."""

    rounds: int = Field(1, ge=0, le=20, description="refreshes of the pseudo-labels; round 0 has none")
    weight: float = Field(0.05, ge=0, description="weight of the pseudo-label loss (α_f)")
    teachers: Literal["all", "own_fold"] = Field(
        "all",
        description="who gives them: `all`: the teachers of all folds, one set for all models (DeepNoise), most of "
        "which learned the labels of any fold, so that out-of-fold numbers of later rounds are not strictly so; "
        "`own_fold`: to each fold's models the teachers of that fold, which keeps them so",
    )
    share: float = Field(1.0, gt=0, le=1, description="share of the test wells, surest (top1 − top2) first")
    share_step: float = Field(
        0.0, ge=0, le=1, description="added to `share` in every further round, up to all wells (first place: growing)"
    )


class ScoreSettings(Section):
    """Scoring, where answers are known."""

    public_experiments: list[str] = Field(
        default_factory=list, description="Kaggle's public leaderboard; empty: no split"
    )
    left_out_experiments: list[str] = Field(
        default_factory=list, description="test experiments that Kaggle's private score leaves out"
    )

    @model_validator(mode="after")
    def splits_are_apart(self) -> "ScoreSettings":
        if both := sorted(set(self.public_experiments) & set(self.left_out_experiments)):
            raise ValueError(
                f"left_out_experiments: {', '.join(both)} in public_experiments, too; expected in one of the two only"
            )
        return self
