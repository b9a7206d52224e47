"""How sure the models are, by well type: they should be unsure where nothing was silenced."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellsignal.calibration import entropy, expected_calibration_error, reliability
from cellsignal.figures import style

BINS = 10
COLUMNS = [
    "measure",
    "well_type",
    "low",
    "high",
    "wells",
    "confidence",
    "accuracy",
    "mean",
    "wells_of_type",
    "experiments",
]


def measure_certainty(
    probability: np.ndarray, truth: np.ndarray, well_type: np.ndarray, experiment: np.ndarray
) -> pd.DataFrame:
    """Entropy and reliability of wells of known class, by well type and in intervals.

    Args:
        probability: float (wells, classes), of models that did not see the well.
        truth: class index (wells,). well_type, experiment: str (wells,).

    Returns:
        Rows of two measures. `entropy`: wells with an entropy in (`low`, `high`], as a share of log(classes): 0
        is sure, 1 at a loss; `mean` is the well type's. `reliability`: wells whose likeliest class has a
        probability in (`low`, `high`], their mean `confidence` and `accuracy`; `mean` is the well type's expected
        calibration error. `wells_of_type`: of the well type in all, from so many `experiments`.
    """
    parts = []
    for kind in style.WELL_TYPES:
        chosen = well_type == kind
        if not chosen.any():
            continue
        of_kind, right = probability[chosen], truth[chosen]
        share = entropy(of_kind) / np.log(max(2, probability.shape[1]))  # a single class leaves nothing open
        place = np.clip(np.ceil(share * BINS).astype(int) - 1, 0, BINS - 1)
        low = np.arange(BINS) / BINS
        entropies = pd.DataFrame({"low": low, "high": low + 1 / BINS, "wells": np.bincount(place, minlength=BINS)})
        entropies = entropies.assign(measure="entropy", mean=float(share.mean()))
        error = expected_calibration_error(of_kind, right)  # in the intervals of scores.json
        reliable = reliability(of_kind, right, BINS).assign(measure="reliability", mean=error)
        of = {"wells_of_type": int(chosen.sum()), "experiments": len(set(experiment[chosen]))}
        parts.append(pd.concat([entropies, reliable]).assign(well_type=kind, **of))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


@style.look()
def control_certainty(certainty: pd.DataFrame) -> Figure:
    """Left: the share of wells by entropy. Right: accuracy by confidence. A line per well type.

    `certainty`: of `measure_certainty`.
    """
    if certainty.empty:
        return style.note(
            "No fold held out wells: none has a known class and a prediction by models that did not see it."
        )
    figure, axes = style.panels(1, 2, 9.6, 4.9)
    left, right = axes[0]
    for kind, (colour, marker, _, dash) in style.WELL_TYPES.items():
        of_kind = certainty[certainty["well_type"] == kind]
        if of_kind.empty:
            continue
        entropies = of_kind[of_kind["measure"] == "entropy"]
        reliable = of_kind[of_kind["measure"] == "reliability"].dropna(subset=["accuracy"])
        wells, name = int(of_kind["wells_of_type"].iloc[0]), style.words(kind)
        x = (entropies["low"] + entropies["high"]) / 2
        shares = entropies["wells"] / wells
        mean = entropies["mean"].iloc[0]
        line = {"color": colour, "linestyle": dash, "marker": marker}
        experiments = style.counted(int(of_kind["experiments"].iloc[0]), "experiment")
        label = f"{name}: mean {mean:.2f} of {style.counted(wells, 'well')}, {experiments}"
        left.plot(x, shares, label=label, markersize=5, clip_on=False, **line)
        label = f"{name}: calibration error {reliable['mean'].iloc[0]:.2f}"
        x, y = reliable["confidence"], reliable["accuracy"]
        # A mark of few wells is small: it lies where it does by chance.
        size = np.clip(200 * reliable["wells"] / wells, 14, None)
        right.plot(x, y, color=colour, linestyle=dash, linewidth=1, alpha=0.7, clip_on=False)
        right.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0, clip_on=False, zorder=3)
        right.plot([], [], label=label, markersize=5, **line)
    left.set(xlim=(0, 1), ylim=(0, None), xlabel="entropy of the prediction, as a share of the largest possible")
    left.set_ylabel("share of the wells")
    left.set_title("How unsure")
    right.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, zorder=1)
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the likeliest class (a mark per tenth; its area: wells)")
    right.set_ylabel("share of them that are right")
    right.set_title("How right when how sure", pad=10)
    for ax in (left, right):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
        style.percent(ax.yaxis)
    style.percent(right.xaxis)
    return figure
