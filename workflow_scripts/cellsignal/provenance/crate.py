"""Export of a result with everything that proves it: a Workflow Run RO-Crate (Provenance Run Crate 0.5).

The crate is laid out like the project: code at the top, `results/` below, so that the audit walks the
receipts of an unpacked crate as it walks those of the project. Images, stores, weights and other large
artefacts, and tables that tell withheld labels, are named by SHA-256 and size, not copied. The same results
give the same crate, byte for byte.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cellsignal.errors import BadInput, raise_all
from cellsignal.files import canonical_json, read_json, sha256_file, sha256_text
from cellsignal.provenance.crate_facts import Material
from cellsignal.provenance.crate_graph import METADATA, describe
from cellsignal.provenance.receipts import SUFFIX, Receipt, read_receipt
from cellsignal.provenance.stages import FORMAT as STAGE_FORMAT
from cellsignal.provenance.stages import Stage, changed_modules
from cellsignal.provenance.walk import Ancestry, walk

LIBRARY = Path(__file__).resolve().parents[2]
LARGE = 1_000_000  # bytes; larger artefacts are referenced
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
REFERENCED = {".h5", ".safetensors", *IMAGES}  # however small they are; figures are not among them
WITHHELD = ("answers.parquet", "wells.parquet", "overview.html")
"""Tables, and the page, that tell the labels of test wells. A crate is handed on, so that it names them by hash
only; so it does with a simulated screen's raw tables."""
CODE = ("Snakefile", "config.yaml", "LICENSE", "envs/requirements.txt", "rules/*.smk", "rules/captions/*.rst")


def write_crate(
    artefact: str | Path,
    folder: str | Path,
    raw_root: str | Path | None = None,
    library: str | Path = LIBRARY,
) -> Path:
    """Write the crate of `submission.csv` (or of `scores.json`) to `folder`, and return it.

    `raw_root` is the folder that raw paths are relative to: with it, the sizes of raw files are told, too.
    `library` is the folder of scripts and package, in a checkout of the workflow. A crate that is already
    in `folder` is replaced. Raises `BadInput` if a receipt or a file that would be copied is not what the
    receipts say, or if `folder` holds something else.
    """
    target, library = Path(folder), Path(library)
    if not (library.parent / "Snakefile").is_file():
        raise BadInput(f"{library.parent}: holds no Snakefile; a crate is written from a checkout of the workflow")
    if target.exists() and any(target.iterdir()) and not (target / METADATA).is_file():
        raise BadInput(f"{target}: holds files that are not a crate; choose another folder, or empty it")
    material = _gather(Path(artefact), library)
    if raw_root is not None:
        material.raw_bytes = _sizes(material, Path(raw_root))
    crate = describe(material)
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        crate.write(unfinished)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _gather(artefact: Path, library: Path) -> Material:
    ancestry = walk(artefact)
    products = [artefact.resolve().relative_to(ancestry.results).as_posix()]
    for path in _companions(artefact):
        _join(ancestry, path)
        products.append(path.resolve().relative_to(ancestry.results).as_posix())
    raise_all(sorted(set(ancestry.problems)), f"{artefact}: receipts that do not fit together; run the workflow first")
    material = Material(
        artefact=products[0],
        top=ancestry.top,
        products=products,
        receipts=dict(sorted(ancestry.receipts.items())),
        sha256=ancestry.sha256,
        library=library.name,
        records=_run_records(ancestry),
    )
    _add_code(material, library)
    _add_results(material, ancestry.results)
    _add_recipe(material, artefact, ancestry.results)
    return material


def _companions(artefact: Path) -> Iterator[Path]:
    """The other results of the recipe: its submission, its scores and its figures."""
    beside = [artefact.with_name(name) for name in ("submission.csv", "scores.json")]
    figures = sorted(artefact.parent.glob(f"figures/*{SUFFIX}"))
    yield from (path for path in beside if path.resolve() != artefact.resolve() and Path(f"{path}{SUFFIX}").is_file())
    yield from (Path(str(path).removesuffix(SUFFIX)) for path in figures)


def _join(ancestry: Ancestry, artefact: Path) -> None:
    """Add the ancestry of another result, without walking again what is known."""
    receipt = read_receipt(f"{artefact}{SUFFIX}")
    if all(ancestry.sha256.get(name) == sha256 for name, sha256 in receipt.inputs.items()):
        ancestry.receipts[receipt.path] = receipt
        ancestry.sha256[receipt.path] = sha256_file(f"{artefact}{SUFFIX}")
        return
    other = walk(artefact)
    ancestry.receipts |= other.receipts
    ancestry.sha256 |= other.sha256
    ancestry.problems += other.problems


def _add_code(material: Material, library: Path) -> None:
    """The checkout's code, and what of it is no longer the code that ran."""
    checkout = library.parent
    found = [path for pattern in CODE for path in checkout.glob(pattern)]
    found += [path for pattern in ("*.py", "cellsignal/**/*.py") for path in library.glob(pattern)]
    material.files |= {path.relative_to(checkout).as_posix(): path for path in sorted(found)}
    differing = set()
    code = {(made.rule, canonical_json(made.stage["code"])): made.stage["code"] for made in material.receipts.values()}
    for (rule, _), digests in code.items():  # thousands of jobs, a few dozens of these
        try:
            differing |= set(changed_modules(Stage(rule, {}, digests), library / f"{rule}.py", library))
        except (OSError, SyntaxError) as error:
            differing.add(f"{rule}.py: cannot be read ({type(error).__name__})")
    material.changed = sorted(differing)


def _add_results(material: Material, results: Path) -> None:
    """Receipts, stage files as the receipts hold them, and every artefact that is not too large to copy."""
    problems = []
    for receipt in material.receipts.values():
        material.files[f"results/{receipt.path}"] = results / receipt.path
        signature = results / f"{receipt.path}.sig"
        if signature.is_file():
            material.files[f"results/{receipt.path}.sig"] = signature
        text = _stage_text(receipt)
        if sha256_text(text) != receipt.stage["sha256"]:
            problems.append(f"{receipt.path}: the stage that it holds is not the one that it names")
        material.files[f"results/{receipt.stage['path']}"] = text
        for name, made in receipt.outputs.items():
            path, kept = results / name, _is_figure(name, receipt)
            large = made.bytes > LARGE or path.suffix.lower() in REFERENCED
            if _tells_answers(name, receipt) or (large and not kept):
                material.referenced[name] = made
                if path.suffix.lower() in IMAGES:
                    material.images.setdefault(receipt.path, set()).add(name)
            elif not path.is_file():
                problems.append(f"{name}: missing")
            elif (found := sha256_file(path)) != made.sha256:
                problems.append(f"{name}: SHA-256 {found[:16]}…, its receipt says {made.sha256[:16]}…")
            else:
                material.files[f"results/{name}"] = path
    raise_all(problems, f"{material.artefact}: files that are not what was made")


def _is_figure(name: str, receipt: Receipt) -> bool:
    return PurePosixPath(name).parent.name == "figures" and PurePosixPath(receipt.path).parent.name == "figures"


def _tells_answers(name: str, receipt: Receipt) -> bool:
    return PurePosixPath(name).name in WITHHELD or receipt.rule == "simulate_plate"


def _stage_text(receipt: Receipt) -> str:
    """The stage file that a job read: planning with other settings may have rewritten the one on disk."""
    stage = receipt.stage
    return canonical_json(
        {"format": STAGE_FORMAT, "rule": receipt.rule, "settings": stage["settings"], "code": stage["code"]}
    )


def _add_recipe(material: Material, artefact: Path, results: Path) -> None:
    """The plan (the whole configuration) and the audit's verdict, if there are any."""
    folder = artefact.resolve().parent.relative_to(results).as_posix()
    plan, verdict = artefact.parent / "stages/plan.json", artefact.parent / "audit.json"
    if plan.is_file():
        material.plan = read_json(plan)
        if "screen" in material.plan:
            material.plan["screen"]["root"] = None  # where the raw data happened to lie
        material.files[f"results/{folder}/stages/plan.json"] = canonical_json(material.plan)
    if verdict.is_file():
        audited = {found["receipt_sha256"] for found in read_json(verdict)}
        if material.sha256[material.top] in audited:  # else it is of another run
            material.files[f"results/{folder}/audit.json"] = verdict


def _run_records(ancestry: Ancestry) -> dict[str, dict[str, Any]]:
    """The run record of each receipt, by rule and wildcards, from the logs beside its stage files."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    places = {_place(receipt) for receipt in ancestry.receipts.values()}
    for place in sorted(places):
        for path in sorted((ancestry.results / place / "logs").rglob("*.run.json")):
            record = read_json(path)
            found[place, record["rule"], canonical_json(record["wildcards"])] = record
    keys = {
        path: (_place(receipt), receipt.rule, canonical_json(receipt.wildcards))
        for path, receipt in ancestry.receipts.items()
    }
    return {path: found[key] for path, key in keys.items() if key in found}


def _place(receipt: Receipt) -> str:
    """The folder of the screen or of the recipe that a job belongs to: the one that holds `stages/`."""
    parts = PurePosixPath(receipt.stage["path"]).parts
    return "/".join(parts[: parts.index("stages")])


def _sizes(material: Material, raw_root: Path) -> dict[str, int]:
    raw = {name for receipt in material.receipts.values() for name in receipt.raw}
    return {name: (raw_root / name).stat().st_size for name in sorted(raw) if (raw_root / name).is_file()}
