# Functions that the rule files share; no rules.

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from cellsignal.config.load import check_config
from cellsignal.errors import BadInput
from cellsignal.files import read_json, write_json
from cellsignal.planning import summarize
from cellsignal.provenance.code import code_digests
from cellsignal.provenance.stages import write_stage
from cellsignal.sizing import Needs

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
SCHEMES = ["plate", "experiment", "cell_type", "site"]
PLANNING = workflow.is_main_process  # jobs parse this file again; only the planner writes


def load_plan():
    """The checked configuration. A job takes the one it was planned with, not what is on disk by now."""
    planned = os.environ.get("CELLSIGNAL_PLAN")
    if not PLANNING and planned and Path(planned).is_file():
        config.clear()
        config.update(read_json(planned))
    return check_config(config, [os.path.relpath(file) for file in config_files()])


def config_files():
    """The files of the configuration, in the order in which they were laid over each other."""
    return list(dict.fromkeys([Path(workflow.basedir) / "config.yaml", *workflow.overwrite_configfiles]))


def stop(error):
    """End planning with a message for people: no traceback, nothing written."""
    raise WorkflowError(str(error)) from None


def screen(path):
    """A path under the results of the screen: what depends on the data alone."""
    return f"{CONFIG.results}/{CONFIG.screen.name}/{path}"


def recipe(path):
    """A path under the results of the recipe."""
    return f"{CONFIG.results}/{CONFIG.screen.name}/{CONFIG.recipe}/{path}"


def receipt(path):
    """Where the receipt of an output lies."""
    return f"{path}.receipt.json"


# Settings that change no result and so are in no stage file; rules that need them have them as params.
INDIFFERENT = {
    "screen": {"root"},
    "train": {"checkpoint_minutes"},
    "finetune": {"optimization": {"checkpoint_minutes"}},
}


def settings(*sections):
    """The named sections of the configuration, as a stage file holds them."""
    return {name: CONFIG.model_dump(mode="json", exclude=INDIFFERENT)[name] for name in sections}


def stage(place, rule, values, unit=None):
    """Write the stage file of a rule (of one unit of it) if its content changed; return its path.

    `place` is `screen` or `recipe`, `values` the settings that the rule may read.
    """
    name = f"{rule}/{unit}" if unit else rule
    path = place(f"stages/{name}.json")
    if PLANNING:
        write_stage(path, rule, values, code_digests(SCRIPTS / f"{rule}.py", SCRIPTS))
    return path


def grown(need):
    """A resource of which a retry gets more: a job that ran out of memory or time is tried again with it.

    `need` is what the first attempt gets, a number or a function of the wildcards.
    """

    def resource(wildcards, attempt):
        return attempt * (need(wildcards) if callable(need) else need)

    return resource


try:
    CONFIG = load_plan()
    ROOT = Path(screen("raw") if CONFIG.screen.kind == "simulated" else CONFIG.screen.root)
    SUMMARY = summarize(
        CONFIG.screen,
        ROOT,
        cache=Path(screen("stages/summary.json")),
        code=code_digests(SCRIPTS / "cellsignal/planning.py", SCRIPTS) if PLANNING else {},
        write=PLANNING,
    )
except BadInput as error:
    stop(error)

if PLANNING:
    os.environ["CELLSIGNAL_PLAN"] = os.path.abspath(recipe("stages/plan.json"))
    write_json(recipe("stages/plan.json"), CONFIG.model_dump(mode="json"))
    # For `cellsignal audit`, which asks whether they would still give the same plan.
    sources = [os.path.relpath(file, workflow.basedir) for file in config_files()]
    given = dict(workflow.config_settings.config)
    write_json(recipe("stages/sources.json"), {"files": sources, "given": given})

NEEDS = Needs(CONFIG, SUMMARY)
MODELS = {model.name: model for model in CONFIG.models}
ENSEMBLE = [model.name for model in CONFIG.models if model.ensemble]
REFERENCES = [model.name for model in CONFIG.models if not model.ensemble]
FOLDS = range(CONFIG.folds.count)
ROUNDS = range(CONFIG.pseudo_labels.rounds + 1) if SUMMARY.test_cell_types else range(1)
LAST_ROUND = f"round{ROUNDS[-1]}"
ENSEMBLE_NAMES = [f"round{number}" for number in ROUNDS] + [f"reference-{name}" for name in REFERENCES]


wildcard_constraints:
    plate="[A-Za-z0-9][A-Za-z0-9._-]*",
    model="|".join(map(re.escape, MODELS)),
    fold=r"\d+",
    cell_type="|".join(map(re.escape, SUMMARY.cell_types)),
    round=r"\d+",
    ensemble=r"round\d+|reference-.+",
