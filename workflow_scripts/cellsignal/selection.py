"""Which epoch's weights are the result, and when to stop: by validation accuracy, read off the history."""

from cellsignal.history import History


def is_best(history: History) -> bool:
    """Whether the last epoch was validated and is more accurate than every validated one before it."""
    accuracies = _validated(history)
    last = history[-1].get("validation_accuracy")
    return last is not None and all(last > before for before in accuracies[:-1])


def stalled(history: History, patience: int | None) -> bool:
    """Whether the last `patience` validations were no better than the best before them; never if that is None."""
    accuracies = _validated(history)
    if patience is None or len(accuracies) <= patience:
        return False
    return max(accuracies[-patience:]) <= max(accuracies[:-patience])


def _validated(history: History) -> list[float]:
    return [row["validation_accuracy"] for row in history if "validation_accuracy" in row]
