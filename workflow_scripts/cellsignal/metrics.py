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
