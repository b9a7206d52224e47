"""How right predictions are. Class indices in, numbers out."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Share of right predictions, in [0, 1]; NaN without any."""
    right = np.asarray(truth) == np.asarray(predicted)
    return float(right.mean()) if right.size else float("nan")


def balanced_accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of the classes' accuracies, over the classes that occur in `truth`; NaN without any."""
    true, right = np.asarray(truth), np.asarray(truth) == np.asarray(predicted)
    if not right.size:
        return float("nan")
    _, label, count = np.unique(true, return_inverse=True, return_counts=True)
    return float((np.bincount(label, right) / count).mean())


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """int64 (classes, classes): wells of class i that were predicted to be class j."""
    pairs = np.asarray(truth, dtype=np.int64) * n_classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def grouped_accuracy(truth: ArrayLike, predicted: ArrayLike, group: ArrayLike) -> pd.DataFrame:
    """Accuracy by cell type, experiment or other label: `group`, `accuracy`, `correct`, `wells`, sorted."""
    right = (np.asarray(truth) == np.asarray(predicted)).astype(np.int64)
    table = pd.DataFrame({"group": np.asarray(group), "right": right})
    found = table.groupby("group", sort=True)["right"].agg(["mean", "sum", "size"])
    return found.set_axis(["accuracy", "correct", "wells"], axis=1).reset_index()


def class_metrics(truth: ArrayLike, predicted: ArrayLike) -> pd.DataFrame:
    """How well each class is told from all others, a row per class that occurs in `truth` or `predicted`.

    With TP, FP, FN, TN of the class against all others (Fawcett 2006, *An introduction to ROC analysis*): `precision`
    TP / (TP + FP), `sensitivity` TP / (TP + FN), `specificity` TN / (TN + FP). `truth`, `predicted`: class indices
    (wells,); −1 in `predicted` is a well that was called nothing.

    Returns:
        `sirna` ascending, `wells` (of the true class), `called`, `correct`, and the three measures (0–1). The precision
        of a class that is never called is 0, as scikit-learn's default has it; the sensitivity of a class without
        wells, and the specificity where all wells are of the class, are NaN.
    """
    true, chosen = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    classes = np.unique(np.concatenate([true, chosen[chosen >= 0]]))

    def count(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(np.searchsorted(classes, values), minlength=len(classes)).astype(np.int64)

    wells, called, correct = count(true), count(chosen[chosen >= 0]), count(true[true == chosen])
    others = len(true) - wells
    return pd.DataFrame(
        {
            "sirna": classes,
            "wells": wells,
            "called": called,
            "correct": correct,
            "precision": correct / np.maximum(called, 1),
            "sensitivity": np.where(wells > 0, correct / np.maximum(wells, 1), np.nan),
            "specificity": np.where(others > 0, 1 - (called - correct) / np.maximum(others, 1), np.nan),
        }
    )


def macro_averages(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float | int | None]:
    """Means of `class_metrics` over the classes that have wells, each class counting the same, and their number.

    `classes`, `precision`, `sensitivity` (the balanced accuracy), `specificity`; None where none is defined.
    """
    table = class_metrics(truth, predicted)
    table = table[table["wells"] > 0]
    means = table[["precision", "sensitivity", "specificity"]].mean()
    return {"classes": len(table)} | {str(k): None if np.isnan(v) else float(v) for k, v in means.items()}
