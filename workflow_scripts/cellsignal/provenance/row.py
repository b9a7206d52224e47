"""Where the prediction of one well came from: images, statistics, models, pseudo-labels, priors, step by step.

Everything is read from the run's own artefacts, found through their receipts. Receipts are checked against
each other on the way; rehashing the files is the audit's work.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cellsignal.assignment import balance
from cellsignal.calibration import apply_temperature
from cellsignal.config.learning import ALL_CELL_TYPES
from cellsignal.ensemble import WellProbabilities
from cellsignal.errors import BadInput
from cellsignal.files import read_json
from cellsignal.label_shift import shift_held_out
from cellsignal.normalization import groups_of
from cellsignal.plate_groups import treatment_wells
from cellsignal.provenance.finished import FinishedRun, Values
from cellsignal.provenance.receipts import Receipt
from cellsignal.scoring import best_treatment
from cellsignal.sites import read_table

SHOWN = 5  # wells that a message names


def trace_row(well_id: str, results: str | Path) -> Values:
    """What led to the prediction of a well, as JSON values.

    Args:
        well_id: the well, a row of the submission or a train well that was predicted out of fold.
        results: the recipe's folder, `results/{screen}/{recipe}`.

    Raises:
        BadInput: no submission and no scores there, an unknown well, or a file that is not there any more.
    """
    run = FinishedRun(Path(results))
    if well_id not in set(run.wells["well_id"]):
        near = difflib.get_close_matches(well_id, run.wells["well_id"].tolist(), n=SHOWN)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise BadInput(f"{well_id}: no well of the screen{hint}")
    well = run.wells[run.wells["well_id"] == well_id].iloc[0]
    sites = run.sites[run.sites["well_id"] == well_id]
    votes = [vote for receipt in run.of_rule("predict") for vote in _votes(run, receipt, well, sites)]
    votes.sort(key=lambda vote: (vote["reference"], vote["round"]))
    steps = list(_steps(run, well))
    final = steps[-1]["sirna"] if steps else None
    for told in (*votes, *steps):
        probability = told.pop("probabilities")
        told["probability_of_final"] = None if final is None else float(probability[final])
    priors = run.priors
    submitted = _submitted(run, well_id)
    top = run.ancestry.maker[submitted["path"]].path if submitted else run.ancestry.top
    return {
        **{
            key: well[key] for key in ("well_id", "experiment", "plate_id", "well", "cell_type", "dataset", "well_type")
        },
        "role": _role(run, well_id),
        "submission": submitted,
        "truth": _truth(run, well),
        "steps": steps,
        "votes": votes,
        "statistics": list(_statistics(run, {vote["normalization"] for vote in votes}, sites)),
        "priors": {key: value for key, value in priors.items() if key not in ("rotations", "notes")}
        | {"rotation": priors.get("rotations", {}).get(well["experiment"])},
        "pseudo_labels": list(_pseudo_labels(run, well, final)),
        "images": list(_images(run, sites)),
        "receipt": {"path": top, "sha256": run.ancestry.sha256[top]},
        "broken_receipts": run.ancestry.problems,
    }


def _votes(run: FinishedRun, receipt: Receipt, well: pd.Series, sites: pd.DataFrame) -> Iterator[Values]:
    """What one model of one fold and round said, if it saw the well: the mean over the well's sites."""
    if receipt.wildcards["cell_type"] != well["cell_type"]:
        return
    name = next(iter(receipt.outputs))
    if not (run.ancestry.results / name).is_file():
        raise BadInput(f"{run.ancestry.results / name}: not there; expected the predictions of every model (no crate)")
    with h5py.File(run.ancestry.results / name, "r") as file:
        known = np.char.decode(file["site_id"][()], "utf-8")
        rows = np.flatnonzero(np.isin(known, sites["site_id"]))
        if not len(rows):
            return
        logits = file["logits"][rows]
        role = file["role"][rows[0]].decode()
    probability = softmax(logits.astype(np.float64), axis=1).mean(axis=0)
    best = _best(run, well, probability)
    weights = next(read for read in receipt.reads if read.endswith(".safetensors"))
    settings = receipt.stage["settings"]
    reference = not any(name in made.reads for made in run.of_rule("ensemble_teachers") if _is_round(made))
    yield {
        "model": receipt.wildcards["model"],
        "fold": int(receipt.wildcards["fold"]),
        "round": int(receipt.wildcards["round"]),
        "reference": reference,
        "role": role,
        "sites": len(rows),
        "views": settings.get("predict", {}).get("views"),
        "normalization": settings.get("model", {}).get("normalization"),
        "class": run.name(best),
        "sirna": best,
        "probability": float(probability[best]),
        "probabilities": probability,
        "predictions": {"path": name, "sha256": run.sha256(name)},
        "weights": {"path": weights, "sha256": run.sha256(weights)},
    }


def _strict(run: FinishedRun) -> WellProbabilities | None:
    """The ensemble on whose out-of-fold wells temperatures were fitted, as the scoring job was told."""
    made = run.of_rule("score")
    name = made[0].stage["settings"].get("strict") if made else None
    return run.ensembles.get(name) if name else None


def _is_round(receipt: Receipt) -> bool:
    return receipt.wildcards["ensemble"].startswith("round")


def _best(run: FinishedRun, well: pd.Series, probability: NDArray[Any]) -> int:
    """The likeliest class that the well can hold."""
    if well["well_type"] != "treatment":
        return int(probability.argmax())
    return int(best_treatment(np.asarray(probability)[None], run.classes)[0])


def _role(run: FinishedRun, well_id: str) -> str | None:
    for voted in run.ensembles.values():
        if len(rows := np.flatnonzero(voted.well_id == well_id)):
            return str(voted.role[rows[0]])
    return None


def _steps(run: FinishedRun, well: pd.Series) -> Iterator[Values]:
    """The class and its probability after each step: references, ensembles by round, temperature, plate groups, choice.

    Out-of-fold and control wells end with the temperature: no prior of the layout is put on them; out-of-fold wells
    with the class shares of their plate, where the run estimates them.
    """

    def step(name: str, probability: NDArray[Any]) -> Values:
        chosen = _best(run, well, probability)
        return {
            "step": name,
            "class": run.name(chosen),
            "sirna": chosen,
            "probability": float(probability[chosen]),
            "probabilities": probability,
        }

    final: WellProbabilities | None = None
    for name, voted in sorted(run.ensembles.items(), key=lambda item: item[0].startswith("round")):
        rows = np.flatnonzero(voted.well_id == well["well_id"])
        if not len(rows):
            continue
        if name.startswith("round"):
            final = voted
        named = name.replace("reference-", "reference ").replace("round", "ensemble, round ")
        yield step(named, voted.probability[rows[0]])
    temperature = run.priors.get("temperature")
    if final is None:
        return
    if run.balance.get("label_shift") is not None and _role(run, well["well_id"]) == "out_of_fold":
        folds = run.table("assign_folds", "folds.parquet")
        shifted = shift_held_out(
            final, run.sites, folds, run.balance["label_shift"], run.balance["temperature"], _strict(run)
        )
        yield step("temperature and class shares of the plate", shifted.of_wells([well["well_id"]])[0])
        return
    if temperature is None:
        return
    raw = final.of_wells([well["well_id"]])
    yield step(f"temperature {temperature:g}", apply_temperature(raw, temperature)[0])
    if well["dataset"] != "test" or well["well_type"] != "treatment":
        return
    beside = treatment_wells(run.wells[run.wells["experiment"] == well["experiment"]]).reset_index(drop=True)
    treatments = run.classes.loc[run.classes["well_type"] == "treatment", "sirna"]
    if run.priors.get("plate_groups") == "used":
        calibrated = apply_temperature(final.of_wells(beside["well_id"]), temperature)
        grouped = balance(calibrated, beside, "none", run.groups, treatments=treatments)
        place = int(np.flatnonzero(beside["well_id"] == well["well_id"])[0])
        rotation = run.priors["rotations"][well["experiment"]]
        sure = rotation["used"]
        name = f"plate groups, rotation {rotation['rotation']}" if sure else "treatments only (plate groups: unsure)"
        yield step(name, grouped.probability[place])
    assigned = run.table("balance_plates", "assignment.parquet").set_index("well_id").loc[well["well_id"]]
    chosen = int(assigned["sirna"])
    yield {
        "step": f"balancing: {run.priors['method']}",
        "class": run.name(chosen),
        "sirna": chosen,
        "probability": float(assigned["probability"]),
        "probabilities": {chosen: float(assigned["probability"])},  # what it ends with, and the only one recorded
    }


def _submitted(run: FinishedRun, well_id: str) -> Values | None:
    """The well's row of the submission, as it is written there."""
    path = run.path("submission", "submission.csv")
    if path is None:
        return None
    rows = pd.read_csv(path, dtype=str).set_index("id_code")["sirna"]
    name = path.relative_to(run.ancestry.results).as_posix()
    return {"path": name, "sirna": rows[well_id]} if well_id in rows.index else None


def _truth(run: FinishedRun, well: pd.Series) -> Values | None:
    """The class where it is known, from the label or, for a test well, from the scored answers."""
    if well["sirna"] >= 0:
        return {"class": run.name(well["sirna"]), "sirna": int(well["sirna"]), "from": "its label"}
    path = run.path("score", "wells.parquet")
    scored = read_table(path) if path else pd.DataFrame({"well_id": [], "sirna": []})
    known = scored[(scored["well_id"] == well["well_id"]) & (scored["sirna"] >= 0)]
    if known.empty:
        return None
    row = known.iloc[0]
    return {
        "class": run.name(row["sirna"]),
        "sirna": int(row["sirna"]),
        "from": "the answers, by score",
        "outcome": row["outcome"],
    }


def _statistics(run: FinishedRun, schemes: set[str], sites: pd.DataFrame) -> Iterator[Values]:
    """The rows of the normalization tables that standardized the well's sites."""
    channels = [name for made in run.of_rule("index_sites") for name in made.stage["settings"]["screen"]["channels"]]
    for scheme in sorted(schemes):
        table = run.table("normalization", f"{scheme}.parquet")
        groups = groups_of(sites, scheme).unique()  # type: ignore[arg-type]
        for row in table[table["group"].isin(groups)].to_dict("records"):
            yield {
                "scheme": scheme,
                "group": row["group"],
                "channel": channels[row["channel"]],
                "mean": float(row["mean"]),
                "std": float(row["std"]),
                "pixels": int(row["pixels"]),
            }


def _pseudo_labels(run: FinishedRun, well: pd.Series, final: int | None) -> Iterator[Values]:
    """By round: the label that the well got, and the pseudo-labelled wells that trained its cell type's models."""
    well_of = run.sites.set_index("site_id")["well_id"]
    for made in run.of_rule("pseudo_labels"):
        number, name = int(made.wildcards["round"]), next(iter(made.outputs))
        labels = read_table(run.ancestry.results / name).set_index("well_id")
        trained = [
            tuned
            for tuned in run.of_rule("finetune_cell_type")
            if name in tuned.reads and tuned.wildcards["cell_type"] in (well["cell_type"], ALL_CELL_TYPES)
        ]
        used: set[str] = set()
        for tuned in trained:
            rows = read_table(
                run.ancestry.results / next(out for out in tuned.outputs if Path(out).name == "rows.parquet")
            )
            used |= set(well_of[rows.loc[rows["role"] == "pseudo", "site_id"]])
        own = labels.loc[well["well_id"]] if well["well_id"] in labels.index else None
        yield {
            "round": number,
            "path": name,
            "sha256": run.sha256(name),
            "own": None
            if own is None
            else {"class": run.name(own["sirna"]), "sirna": int(own["sirna"])}
            | {key: float(own[key]) for key in ("probability", "margin", "weight")},
            "trainings": len(trained),
            "wells": sorted(used),
            "wells_of_class": [name for name in sorted(used) if labels["sirna"].get(name) == final],
            "itself": well["well_id"] in used,
        }


def _images(run: FinishedRun, sites: pd.DataFrame) -> Iterator[Values]:
    """The raw images of the well with the hashes that they were read with, and what left a site out of the store."""
    packed = {made.wildcards.get("plate"): made for made in run.of_rule("pack_plate")}
    for site in sites.to_dict("records"):
        made = packed.get(site["plate_id"])
        problems = _problems(run, made, site["site_id"]) if made else {}
        for image in site["images"]:
            sha256 = made.raw.get(image) if made else None
            problem = problems.get(image, "another image of its site" if problems else None)
            yield {"site_id": site["site_id"], "image": image, "sha256": sha256, "left_out_for": problem}


def _problems(run: FinishedRun, made: Receipt, site_id: str) -> dict[str, str]:
    """Image → what was wrong with it, of a site that was not packed."""
    names = [name for name in made.outputs if name.endswith(".problems.json")]
    listed = [problem for name in names for problem in read_json(run.ancestry.results / name)]
    return {problem["image"]: problem["problem"] for problem in listed if problem["site_id"] == site_id}
