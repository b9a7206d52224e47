"""The numbers that the overview page begins with."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellsignal.figures.style import counted
from cellsignal.intervals import FEWEST


@dataclass(frozen=True)
class Headline:
    """A number with its name, and what it says."""

    name: str
    value: str
    note: str


def headlines(scores: dict[str, Any], experiments: pd.DataFrame, measures: pd.DataFrame) -> list[Headline]:
    """The headlines of a run.

    Args:
        scores: of `scores.json`.
        experiments: table behind the accuracy breakdown, with `outlier` bool.
        measures: of the t-SNE figure: `round`, `grouping`, `purity`, `chance`, `silhouette`.
    """
    found = []
    parts = (
        ("test", "Accuracy, test wells", "as submitted; the ladder tells what the plate layout adds"),
        (
            "out_of_fold",
            "Accuracy, held-out wells",
            "by models that were not trained on them, among treatments; nothing else of the layout used",
        ),
    )
    for key, name, how in parts:
        part = scores[key]
        if part and part.get("wells"):
            note = f"{how}; {part['wells']:,} wells{_line(part['interval'])}"
            found.append(Headline(name, _percent(part["accuracy"]), f"{note}{_caveat(key, scores)}"))
    if not scores["out_of_fold"].get("wells") and (caveat := scores["out_of_fold"].get("caveat")):
        found.append(Headline("Accuracy, held-out wells", "none", caveat))
    rungs = [rung for rung in scores["ladder"]["rungs"] if not rung["reference"] and rung["wells"]]
    if len(rungs) > 1:
        first, last = rungs[0], rungs[-1]
        gain = 100 * (last["accuracy"] - first["accuracy"])
        found.append(
            Headline(
                "The ladder",
                f"{gain:+.1f} points".replace("-", "−"),
                f"from “{first['name']}” ({_percent(first['accuracy'])}) to “{last['name']}” "
                f"({_percent(last['accuracy'])}), on {scores['ladder']['of']}",
            )
        )
    if "calibration_error" in scores["out_of_fold"]:
        error = scores["out_of_fold"]["calibration_error"]
        note = "mean gap between how sure and how right, on held-out wells, among treatments"
        found.append(Headline("Calibration error", f"{error:.3f}", note))
    of_class = measures[(measures["grouping"] == "class") & measures["purity"].notna()]
    if len(of_class):
        first, last = of_class.iloc[0], of_class.iloc[-1]
        value = _percent(last["purity"])
        note = f"of the nearest neighbours share the class (chance {_percent(last['chance'])})"
        if len(of_class) > 1:
            note += f"; {_percent(first['purity'])} {first['round']}: the further training is part of the difference"
        silhouettes = of_class["silhouette"].dropna()
        if len(silhouettes):
            values = " to ".join(f"{round(value, 2) + 0.0:.2f}" for value in silhouettes).replace("-", "−")
            note += f". Silhouette: {values}"
        found.append(Headline("Clusters", value, note))
    odd = experiments.loc[experiments["outlier"].astype(bool), "experiment"].tolist()
    note = ", ".join(odd) or "no experiment lies far from the others of its cell type"
    found.append(Headline("Outlier experiments", f"{len(odd):,}", note))
    return found


def _caveat(key: str, scores: dict[str, Any]) -> str:
    """What a number of held-out wells must be read with, and the strict one beside it."""
    if key != "out_of_fold":
        return ""
    caveat, strict = scores[key].get("caveat"), scores.get("out_of_fold_strict")
    words = f". {caveat[:1].upper()}{caveat[1:]}" if caveat else ""
    if strict:
        words += f"; strictly out of fold, before any pseudo-label: {_percent(strict['accuracy'])}"
    return words


def _line(line: dict[str, Any]) -> str:
    """The interval, and over what it is taken; of a single plate only that it is one."""
    units = counted(line["groups"], line["unit"])
    if line["low"] is None:
        return f" of {units}"
    kind = "95\u00a0% interval" if line["groups"] >= FEWEST else "range"
    return f" of {units}, whose {kind} is {100 * line['low']:.1f}–{100 * line['high']:.1f}\u00a0%"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"
