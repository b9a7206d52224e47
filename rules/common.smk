# Functions that the rule files share; no rules.

import functools
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from cellsignal.ablation import ablation_rungs, schemes
from cellsignal.config.learning import ALL_CELL_TYPES, PseudoLabelLoss
from cellsignal.config.load import as_yaml, check_config, lay_over, located
from cellsignal.errors import BadInput, Fault
from cellsignal.files import read_json
from cellsignal.planning import Packed, summarize
from cellsignal.provenance.code import code_digests
from cellsignal.provenance.plan import Plan
from cellsignal.provenance.receipts import is_of_stage, read_receipt
from cellsignal.provenance.stages import Stage
from cellsignal.published import is_rxrx1
from cellsignal.recipe_check import planned_problems
from cellsignal.sizing import Needs
from cellsignal.trainings import Trainings

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
SCHEMES = ["plate", "experiment", "cell_type", "site", "none"]
PLANNING = workflow.is_main_process  # jobs parse this file again; only the planner writes


def load_plan():
    """The checked configuration. A job takes the one it was planned with, not what is on disk by now."""
    planned = os.environ.get("CELLSIGNAL_PLAN")
    if not PLANNING and planned and Path(planned).is_file():
        config.clear()
        config.update(read_json(planned))
    else:
        lay_over(config, given())
    return check_config(
        config, [os.path.relpath(file) for file in config_files()], given() if PLANNING else None
    )


def given():
    """The settings of `--config`."""
    return as_yaml(workflow.config_settings.config)


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


def packed(plate):
    """What the store of a plate was made from, for planning; None if there is no receipt of it."""
    try:
        made = read_receipt(receipt(screen(f"plates/{plate}.h5")))
    except BadInput:
        return None
    return Packed(made.raw, made.stage["settings"].get("replaced", {}))


def say(sentence):
    """Tell the user something, as Snakemake does."""
    print(sentence, file=sys.stderr)


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
    """Plan the stage file of a rule (of one unit of it); return its path.

    `place` is `screen` or `recipe`, `values` the settings that the rule may read. The stage file sorts the keys of
    dictionaries: what goes with a list of files, in its order, must be a list too.
    """
    name = f"{rule}/{unit}" if unit else rule
    path = place(f"stages/{name}.json")
    if PLANNING:
        PLAN.add_stage(path, Stage(rule, values, code(f"{rule}.py")))
    return path


@functools.cache
def code(script):
    """Digests of a script, or of a module of the library, and of all that it imports."""
    return code_digests(SCRIPTS / script, SCRIPTS)


def write_plan():
    """Write what the rule files planned, unless jobs of a running workflow read something else there."""
    if PLANNING:
        try:
            PLAN.write("--unlock" in sys.argv, waiting=lambda: [text for _, text in queued_jobs()])
        except (BadInput, Fault) as error:
            stop(error)


def check_recipe():
    """Stop the planning of a recipe that could not finish on this screen, before anything is packed or trained.

    `snakemake packed` trains nothing, and looks at screens that nothing could be trained on.
    """
    if "packed" in sys.argv[1:] and not {"all", "ablation"} & set(sys.argv[1:]):
        return
    problems = planned_problems(
        CONFIG,
        ROOT,
        SUMMARY.metadata,
        code("cellsignal/recipe_check.py"),
        cache=Path(recipe("stages/passed.json")),
        keep=PLAN.add_unread,
    )
    if problems:
        files = [os.path.relpath(file) for file in config_files()]
        raise BadInput(
            located(problems, files, given()), f"{CONFIG.recipe} cannot run on screen {CONFIG.screen.name}"
        )


def grown(need):
    """A resource of which a retry gets more: a job that ran out of memory or time is tried again with it.

    `need` is what the first attempt gets, a number or a function of the wildcards.
    """

    def resource(wildcards, attempt):
        return attempt * (need(wildcards) if callable(need) else need)

    return resource


try:
    CONFIG = load_plan()
    PLAN = Plan([screen("stages"), recipe("stages")])
    ROOT = Path(screen("raw") if CONFIG.screen.kind == "simulated" else CONFIG.screen.root)
    SUMMARY = summarize(
        CONFIG.screen,
        ROOT,
        cache=Path(screen("stages/summary.json")),
        code=code("cellsignal/planning.py") if PLANNING else {},
        keep=PLAN.add_unread,
        packed=packed,
        say=say,
    )
    if PLANNING:
        check_recipe()
except BadInput as error:
    stop(error)

if PLANNING:
    os.environ["CELLSIGNAL_PLAN"] = os.path.abspath(recipe("stages/plan.json"))
    PLAN.add_configuration(recipe("stages/plan.json"), CONFIG.model_dump(mode="json"))
    # For `cellsignal audit`, which asks whether they would still give the same plan.
    sources = [os.path.relpath(file, workflow.basedir) for file in config_files()]
    PLAN.add_unread(recipe("stages/sources.json"), {"files": sources, "given": given()})

NEEDS = Needs(CONFIG, SUMMARY)
CONFIGURED = {model.name: model for model in CONFIG.models}
COMPARED = schemes(SUMMARY.experiments, len(SUMMARY.plates))
TRAININGS = Trainings(CONFIG, SUMMARY.cell_types, SUMMARY.test_cell_types, COMPARED)
MODELS, ENSEMBLE, REFERENCES = TRAININGS.models, TRAININGS.voting, TRAININGS.references
FOLDS, ROUNDS, TUNED = TRAININGS.folds, TRAININGS.rounds, TRAININGS.tuned
LAST_ROUND = f"round{ROUNDS[-1]}"
ENSEMBLE_NAMES = TRAININGS.ensembles
ABLATION = ablation_rungs(CONFIG, COMPARED, ROUNDS[-1], to_submit=bool(SUMMARY.test_cell_types))
ARMS = TRAININGS.arms  # fine-tunes that are made for `snakemake ablation` only


wildcard_constraints:
    plate="[A-Za-z0-9][A-Za-z0-9._-]*",
    model="|".join(map(re.escape, MODELS)),
    fold=r"\d+",
    cell_type="|".join(map(re.escape, [*SUMMARY.cell_types, ALL_CELL_TYPES])),
    round=r"\d+",
    arm="|".join(["(?:)", *(f"{name}/" for name in ARMS)]),  # an empty constraint would be none
    source=r"|fold\d+/",
    variant="|".join(["", *(f"{name}/" for name in ARMS), "stage1/", "(plate|global)_batch_norm/"]),
    ensemble=r"round\d+(-fold\d+)?|(reference|stage1|teacher|arm)-.+|(plate|global)_batch_norm",
