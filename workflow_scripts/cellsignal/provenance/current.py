"""Current: would this checkout make the same again? Stages, code and settings now against those in the receipts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellsignal.config.load import read_config
from cellsignal.errors import BadInput
from cellsignal.files import canonical_json, read_json, sha256_file
from cellsignal.provenance.stages import Stage, changed_modules, changed_settings, read_stage, settings_by_name
from cellsignal.provenance.verdict import Answer
from cellsignal.provenance.walk import Ancestry

NOT_THERE = object()
SHOWN = 5  # stage files that a sentence lists


def current(ancestry: Ancestry, library: Path, checkout: Path | None = None) -> Answer:
    """Whether the code and the settings are those that made the artefact; each problem names its stage file.

    Args:
        library: the folder of scripts and package as they are now.
        checkout: the folder that configuration files are relative to; their settings are compared with the
            plan. None: the plan is the present configuration, as while Snakemake runs.
    """
    answer = Answer(_outdated(ancestry, library) + _other_jobs(ancestry))
    if not answer.problems:
        modules = {module for receipt in ancestry.receipts.values() for module in receipt.stage["code"]}
        stages = {receipt.stage["path"] for receipt in ancestry.receipts.values()}
        answer.evidence.append(f"{len(stages)} stage files and {len(modules)} modules and scripts are those of the run")
    if checkout is not None:
        on_disk = _settings_on_disk(ancestry, checkout)
        answer.problems += on_disk.problems
        answer.evidence += on_disk.evidence
    return answer


def plan_folder(ancestry: Ancestry) -> Path | None:
    """The folder of stage files of the artefact's recipe, or of another recipe on its screen; None: there is none."""
    parts = Path(ancestry.top).parts
    screen = ancestry.results / parts[0]
    own = [screen / parts[1] / "stages"] if len(parts) > 2 else []
    folders = [*own, *sorted(path.parent for path in screen.glob("*/stages/plan.json"))]
    return next((folder for folder in folders if (folder / "plan.json").is_file()), None)


def raw_folder(ancestry: Ancestry) -> Path | None:
    """Where the raw data lay when the workflow was planned last; None: no plan tells.

    A relative root is below the folder that holds the results, where Snakemake runs.
    """
    folder = plan_folder(ancestry)
    if folder is None:
        return None
    try:
        plan = read_json(folder / "plan.json")
        screen, results = plan["screen"], Path(plan["results"])
        if screen["kind"] == "simulated":
            return ancestry.results / str(screen["name"]) / "raw"
        base = Path() if results.is_absolute() else Path(*ancestry.results.parts[: -len(results.parts)])
        return base / str(screen["root"])
    except (ValueError, KeyError, TypeError):
        return None


def _outdated(ancestry: Ancestry, library: Path) -> list[str]:
    """Stages that the present plan or code would make differently, with the settings and modules that differ."""
    stages = {(r.rule, r.stage["path"], r.stage["sha256"]): r.stage for r in ancestry.receipts.values()}
    problems: dict[str, set[str]] = {}
    for (rule, path, _), made in stages.items():
        problems.setdefault(path, set()).update(_differences(rule, made, ancestry.results / path, library))
    return [f"{path}: {', '.join(sorted(found))}" for path, found in sorted(problems.items()) if found]


def _differences(rule: str, made: dict[str, Any], path: Path, library: Path) -> list[str]:
    """What differs between a stage as a receipt holds it, and its file and the code as they are now."""
    if not path.is_file():
        return ["missing"]
    stage = Stage(rule, made["settings"], made["code"])
    try:
        found = changed_settings(stage.settings, read_stage(path).settings)
        found += changed_modules(stage, library / f"{rule}.py", library)
    except (BadInput, OSError, SyntaxError) as error:
        return [str(error)]
    edited = sha256_file(path) != made["sha256"]
    return found or (["not the file that the job read, though its settings are the same"] if edited else [])


def _other_jobs(ancestry: Ancestry) -> list[str]:
    """Where the plan has other jobs than those that ran, which no stage file of theirs shows."""
    folder = plan_folder(ancestry)
    if folder is None:
        return []
    try:
        plan = read_json(folder / "plan.json")
        rounds, finetune = plan["pseudo_labels"]["rounds"], plan["finetune"]
        own = plan["pseudo_labels"].get("teachers") == "own_fold"
    except (ValueError, KeyError, TypeError) as error:
        return [f"{(folder / 'plan.json').relative_to(ancestry.results)}: not a plan ({error})"]
    problems = []
    sources = {
        receipt.wildcards.get("source", "") for receipt in ancestry.receipts.values() if receipt.rule == "pseudo_labels"
    }
    if sources and own == ("" in sources):
        of = "all teachers" if "" in sources else "each fold's own teachers"
        problems.append(f"pseudo_labels.teachers: changed since; the labels that were learned from are those of {of}")
    final = {
        Path(read).stem
        for receipt in ancestry.receipts.values()
        for read in receipt.reads
        if receipt.rule == "balance_plates" and Path(read).parent.name == "ensembles"
    }
    # Beside the last round's, round 0's is read for the temperature, unless each fold has its own teachers.
    if final and (f"round{rounds}" not in final or not final <= {f"round{rounds}", "round0"}):
        problems.append(f"pseudo_labels.rounds: {rounds}, but the submission is that of {', '.join(sorted(final))}")
    rules = {receipt.rule for receipt in ancestry.receipts.values()}
    if "predict" in rules and ("finetune_cell_type" in rules) == (finetune is None):
        now, then = ("null", "given") if finetune is None else ("given", "null")
        problems.append(f"finetune: {now}, was {then}")
    return problems


def _settings_on_disk(ancestry: Ancestry, checkout: Path) -> Answer:
    """Settings on disk that are not those of the plan, with the stage files behind the artefact that hold them."""
    folder = plan_folder(ancestry)
    if folder is None or not (folder / "sources.json").is_file():
        return Answer(evidence=["settings on disk were not compared: nothing says which files the plan came from"])
    name = (folder / "plan.json").relative_to(ancestry.results)
    try:
        plan, sources = read_json(folder / "plan.json"), read_json(folder / "sources.json")
        now = read_config([checkout / file for file in sources["files"]], sources["given"]).model_dump(mode="json")
        written = {"plan.json": plan, "sources.json": sources}
        edited = [file for file in written if (folder / file).read_bytes() != canonical_json(written[file]).encode()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Answer([f"{name}: cannot be compared with the configuration on disk ({error})"])
    before, after = settings_by_name(plan), settings_by_name(now)
    answer, unread = Answer([f"{name.with_name(file)}: edited by hand" for file in edited]), []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, NOT_THERE), after.get(key, NOT_THERE)
        if old == new:
            continue
        holders = sorted(_holders(key, old, ancestry, plan.keys()))
        if holders or _makes_jobs(key, before, after):
            held = f"held by {_listed(holders)}" if holders else "it decides which jobs there are"
            answer.problems.append(f"{key}: {_shown(new)} in the configuration on disk, was {_shown(old)}; {held}")
        else:
            unread.append(key)
    if unread:
        answer.evidence.append(f"changed on disk, but nothing behind this artefact reads it: {', '.join(unread)}")
    elif not answer.problems:
        answer.evidence.append(f"{' + '.join(sources['files'])} still give the settings of the run")
    return answer


def _holders(key: str, old: Any, ancestry: Ancestry, sections: Collection[str]) -> Iterator[str]:
    """Stage files behind the artefact whose settings hold a key of the configuration, or what follows from it."""
    above, _, last = key.rpartition(".")
    for path, settings in {r.stage["path"]: r.stage["settings"] for r in ancestry.receipts.values()}.items():
        model = {"models": [settings["model"]]} if isinstance(settings.get("model"), dict) else {}
        held = settings_by_name(model | settings)
        alone = last not in sections and last in settings and settings[last] == old  # image_size of pack_plate
        added = old is NOT_THERE and any(name == above or name.startswith(f"{above}.") for name in held)
        if key in held or alone or added:
            yield path


def _makes_jobs(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a setting decides which jobs there are behind a submission, whatever stage files hold."""
    if key.startswith("models."):
        flag = f"{key.rsplit('.', 1)[0]}.ensemble"
        return bool(key == flag and (before.get(flag) or after.get(flag)))
    return key in ("finetune", "pseudo_labels.rounds", "folds.count")


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


def _shown(value: Any) -> str:
    return "nothing" if value is NOT_THERE else repr(value)
