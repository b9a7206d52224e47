"""The story of a row as tables, for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

Values = dict[str, Any]
SHOWN = 6  # wells that a sentence names; the JSON has all


def row_text(story: Values) -> Iterator[str | Table]:
    """Headings and tables of what `row.trace_row` found, in the order in which it happened."""
    yield f"{story['well_id']}: {story['well_type']} well of {story['dataset']}, {story['cell_type']}"
    yield _outcome(story)
    yield "\nRaw images"
    columns = {"site_id": "site", "image": "image", "sha256": "SHA-256 when packed"}
    if any(image["left_out_for"] for image in story["images"]):
        columns["left_out_for"] = "site left out, for the image"
    yield _table(story["images"], columns)
    if not story["votes"]:
        yield "\nNo model predicted this well."
        return
    yield "\nStatistics that standardized its pixels"
    yield _table(story["statistics"], {key: key for key in ("scheme", "group", "channel", "mean", "std", "pixels")})
    yield "\nPseudo-labels"
    yield from map(_pseudo, story["pseudo_labels"])
    yield "\nVotes"
    yield _table(
        [vote | {"of": "reference" if vote["reference"] else "ensemble"} for vote in story["votes"]],
        {
            "round": "round", "model": "model", "fold": "fold", "of": "of", "role": "role", "sites": "sites",
            "views": "views", "normalization": "normalized by", "class": "class", "probability": "probability",
            "probability_of_final": "of the final class",
        },
    )  # fmt: skip
    yield "\nStep by step"
    columns = {"step": "after", "class": "class", "probability": "probability"}
    yield _table(story["steps"], columns | {"probability_of_final": "of the final class"})
    yield from _priors(story)
    for problem in story["broken_receipts"]:
        yield f"BROKEN: {problem}"
    yield f"\nReceipt {story['receipt']['path']}, SHA-256 {story['receipt']['sha256']}"
    yield "Receipts were followed, files were not rehashed: `cellsignal audit` does that. --json adds the hashes of"
    yield "weights, predictions and pseudo-labels, and all pseudo-labelled wells."


def _outcome(story: Values) -> str:
    submitted, truth = story["submission"], story["truth"]
    said = f"not submitted ({story['role'] or 'not predicted'})"
    if submitted:
        name = story["steps"][-1]["class"]
        said = f"submitted as {submitted['sirna']}" + (f", {name}" if name != submitted["sirna"] else "")
    if truth is None:
        return f"{said}; truth not known"
    outcome = f" ({truth['outcome']})" if "outcome" in truth else ""
    return f"{said}; truth {truth['class']}, from {truth['from']}{outcome}"


def _pseudo(given: Values) -> str:
    own = given["own"]
    said = (
        f"this well got {own['class']} (probability {own['probability']:.4f}, margin {own['margin']:.4f}, "
        f"weight {own['weight']:g})"
        if own
        else "this well got none"
    )
    alike = given["wells_of_class"]
    named = f" ({', '.join(alike[:SHOWN])}{', …' if len(alike) > SHOWN else ''})" if alike else ""
    return (
        f"  round {given['round']}: {said}; {len(given['wells']):,} wells of its cell type, {len(alike)} of them with "
        f"its final class{named}, trained {given['trainings']} fine-tunes of round {given['round'] + 1}"
    )


def _priors(story: Values) -> Iterator[str]:
    priors = story["priors"]
    if "method" not in priors:
        return
    calibrated = f"temperature {priors['temperature']:g} ({priors['temperature_fitted_on']})"
    if story["submission"] is None:
        yield f"\nPriors of the layout: none on a well that is not submitted; {calibrated}"
        return
    unit = "plate" if priors["method"] == "uniqueness" else "experiment"
    once = f"a class at most once per {unit}" if priors["uniqueness"] else "a class as often as it is the likeliest"
    yield f"\nPriors: balancing by {priors['method']}, {once}; {calibrated}"
    if rotation := priors["rotation"]:
        yield (
            f"  plate groups {'used' if rotation['used'] else 'not used'} in {story['experiment']}: rotation "
            f"{rotation['rotation']} leads by {rotation['margin_nats']:g} nats, "
            f"{rotation['margin_standard_errors']:g} standard errors"
        )
    else:
        yield f"  plate groups {priors['plate_groups']}"


def _table(rows: Sequence[Values], columns: dict[str, str]) -> Table:
    """Rows under the headings in `columns`; numbers to the right, with four digits after the point."""
    table = Table(box=None, pad_edge=True)
    for key, heading in columns.items():
        numbers = any(isinstance(row[key], int | float) for row in rows)
        table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
