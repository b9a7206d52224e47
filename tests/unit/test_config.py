"""What a wrong configuration gets: every problem at once, naming file, key and what to write instead."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config

from cellsignal.config.load import as_yaml, check_config, read_config
from cellsignal.config.schema import OF_THE_SCREEN
from cellsignal.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def problems_of(tmp_path: Path, **changes: object) -> list[str]:
    """Problems of an overlay on config.yaml that holds `changes`."""
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump(changes))
    with pytest.raises(BadInput) as caught:
        read_config([ROOT / "config.yaml", overlay])
    return [problem.replace(f"{overlay}: ", "mine.yaml: ") for problem in caught.value.problems]


@pytest.mark.parametrize("recipe", sorted(path.name for path in (ROOT / "recipes").glob("*.yaml")))
def test_every_recipe_is_valid(recipe: str) -> None:
    config = read_config([ROOT / "config.yaml", ROOT / "recipes" / recipe])
    assert config.recipe == Path(recipe).stem


def test_the_readme_s_example_of_an_own_screen_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(example)
    config = read_config([ROOT / "config.yaml", overlay])
    assert config.screen.kind == "table" and config.screen.name == "my_screen"
    assert config.score.public_experiments == []  # RxRx1's are no experiments of another screen


def test_config_yaml_is_the_published_deepnoise() -> None:
    config = read_config([ROOT / "config.yaml"])
    assert (config.train.epochs, config.train.batch_size, config.train.rate) == (160, 64, 3e-4)
    assert config.train.schedule.steps == [[100, 1e-4], [140, 1e-5]]
    assert [(model.scale, model.margin) for model in config.models] == [(30.0, 0.1)] * 2
    assert config.finetune is not None and config.finetune.epochs_factor["HUVEC"] == 0.25


def test_an_unknown_key_names_the_nearest_real_one(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, train={"weight_decai": 0.1})
    assert problem == "mine.yaml: train.weight_decai: unknown key (did you mean `weight_decay`?)"


def test_an_unknown_key_is_looked_for_in_other_sections(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, weight_decay=0.1)
    assert "did you mean `train.weight_decay`" in problem or "weight_decay`?" in problem


def test_a_mistyped_backbone_is_found_before_anything_runs(tmp_path: Path) -> None:
    models = [{"name": "a", "backbone": "resnet10x"}, {"name": "b", "backbone": "xception_wid"}]
    key, first, second = problems_of(tmp_path, models=models, train={"epoch": 3})  # all at once
    assert "did you mean `epochs`" in key
    assert first.startswith("mine.yaml: models[0].backbone: resnet10x: not a timm model") and "resnet10t" in first
    assert second.startswith("mine.yaml: models[1].backbone: xception_wid: ") and "nearest: xception_wide" in second


def test_a_value_out_of_range_is_named_with_its_range(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, folds={"count": 0})
    assert problem.startswith("mine.yaml: folds.count:") and "1" in problem and problem.endswith("found 0")


def test_explicit_folds_are_as_many_as_the_count(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, folds={"count": 3})  # held_out is inherited from config.yaml
    assert "folds.held_out: 5 lists, but count is 3" in problem and "held_out: null" in problem
    (problem,) = problems_of(tmp_path, folds={"count": 1, "held_out": [["A", "B", "A"]]})
    assert problem == "mine.yaml: folds.held_out: fold 0 names A more than once; expected each once"


def test_pseudo_labels_that_would_start_after_the_end_are_refused(tmp_path: Path) -> None:
    """A recipe of short fine-tunes inherits DeepNoise's 20 epochs without pseudo-labels."""
    short = {"optimization": {"epochs": 6, "schedule": {"kind": "cosine", "minimum": 0.0}}}
    (problem,) = problems_of(tmp_path, finetune=short)
    assert problem.startswith("pseudo_labels.start_epochs: 20 leaves nothing of the 6 epochs")


def test_a_temperature_must_be_given_where_nothing_is_held_out(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, folds={"count": 1, "held_out": None})
    assert problem.startswith("balance.temperature: null") and "folds" in problem
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("folds: {count: 1, held_out: null}\nbalance: {temperature: 1.0}\n")
    assert read_config([ROOT / "config.yaml", overlay]).folds.nothing_held_out


def test_3e_4_read_as_text_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("train: {rate: 3e-4}\n")
    with pytest.raises(BadInput, match=r"mine.yaml: train.rate: '3e-4' is text.*write 3.0e-4"):
        read_config([ROOT / "config.yaml", overlay])


@pytest.mark.parametrize(("written", "better"), [("3e-4", "3.0e-4"), ("3.5e4", "3.5e+4"), ("12", "12")])
def test_the_suggested_spelling_is_a_number_in_yaml(written: str, better: str) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["train"]["rate"] = written
    with pytest.raises(BadInput, match=f"write {better.replace('+', '.')}$"):
        check_config(values)
    assert isinstance(yaml.safe_load(better), float | int)
    assert float(yaml.safe_load(better)) == float(written)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    found = problems_of(tmp_path, seed=-1, train={"epochs": 0, "optimizer": "adamx"}, folds={"cuont": 5})
    assert len(found) == 4


def test_a_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, recipe="../elsewhere")
    assert problem.startswith("mine.yaml: recipe:") and "../elsewhere" in problem


def test_repeated_model_names_are_refused(tmp_path: Path) -> None:
    model = {"name": "a", "backbone": "resnet10t"}
    (problem,) = problems_of(tmp_path, models=[model, model])
    assert "a named more than once" in problem


def test_a_table_screen_without_its_table_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, screen={"kind": "table"})
    assert problem.startswith("screen.table: missing")


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("train: [unclosed\n")
    with pytest.raises(BadInput, match=r"broken.yaml: cannot be read as YAML"):
        read_config([broken])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"augment": {"scale": [1.2, 0.8]}},
            "mine.yaml: augment.scale: [1.2, 0.8] has its low end above its high end; expected [low, high]",
        ),
        (
            {"train": {"schedule": {"steps": [[140, 1e-5], [100, 1e-4]]}}},
            "mine.yaml: train.schedule.steps: epochs [140.0, 100.0]; expected them from 0 on and ascending",
        ),
        (
            {"train": {"schedule": {"steps": [[100, 0.0]]}}},
            "mine.yaml: train.schedule.steps: rates [0.0]; expected them above 0",
        ),
        (
            {"train": {"schedule": {"steps": []}}},
            "mine.yaml: train.schedule.steps: none, but kind is step; expected [epoch from which, rate] at least once",
        ),
        (
            {"finetune": {"optimization": {"rate": 1e-4, "schedule": {"kind": "one_cycle", "minimum": 0.001}}}},
            "mine.yaml: finetune.optimization.schedule.minimum: 0.001 is above rate 0.0001; expected at most the rate: "
            "give both (a recipe inherits what it does not set)",
        ),
        (
            {"train": {"epochs": 5, "schedule": {"kind": "cosine", "warmup_epochs": 5.0}}},
            "mine.yaml: train.schedule.warmup_epochs: 5 leaves nothing of 5 epochs for the schedule; "
            "expected warmup_epochs to be less than epochs",
        ),
        (
            {"finetune": {"optimization": {"epochs": 4, "schedule": {"tail_epochs": 5.0}}}},
            "mine.yaml: finetune.optimization.schedule.tail_epochs: 5 leaves nothing of 4 epochs for the schedule; "
            "expected warmup_epochs and tail_epochs to be less than epochs",
        ),
        (
            {"finetune": {"mean_teacher": {"decay": [[0.5, 0.9], [0.0, 0.5]], "decay_epochs": None}}},
            "mine.yaml: finetune.mean_teacher.decay: starts [0.5, 0.0]; expected shares of the run (0 to 1), ascending",
        ),
        (
            {"finetune": {"mean_teacher": {"decay": [[0.0, 1.0]], "decay_epochs": None}}},
            "mine.yaml: finetune.mean_teacher.decay: a [1.0]; expected 0 to below 1 (at 1 the teacher never learns)",
        ),
        (
            {"score": {"public_experiments": ["A", "B"], "left_out_experiments": ["C", "B"]}},
            "mine.yaml: score.left_out_experiments: B in public_experiments, too; expected in one of the two only",
        ),
        (
            {"screen": {"channels": ["dna", "actin", "dna"]}},
            "mine.yaml: screen.channels: dna named more than once; expected names that differ",
        ),
        (
            {"screen": {"answers": "truth.csv"}},
            "mine.yaml: screen.answers: truth.csv, but kind is rxrx1; expected it for kaggle only "
            "(other kinds have the truth in their tables)",
        ),
        (
            {"screen": {"kind": "simulated", "metadata": "metadata.csv"}},
            "mine.yaml: screen.metadata: metadata.csv, but kind is simulated; expected it for rxrx1 and kaggle",
        ),
        (
            {"recipe": "plates"},
            "recipe: plates is a folder of the screen; expected another name",
        ),
        (
            {"finetune": None},
            "pseudo_labels.rounds: needs `finetune`, which is null; set rounds: 0 or give finetune",
        ),
    ],
    ids=lambda value: value.split(": ")[1] if isinstance(value, str) else "",
)
def test_settings_that_contradict_one_another_are_refused(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    assert problems_of(tmp_path, **changes) == [problem]


@pytest.mark.parametrize("path", ["/data/metadata.csv", "~/metadata.csv"])
@pytest.mark.parametrize("keys", ["metadata", "answers", "table.metadata"])
def test_tables_lie_below_the_root(tmp_path: Path, keys: str, path: str) -> None:
    columns = {"images": ["path"], "label": "gene", "plate": "plate"}
    values = {
        "metadata": {"metadata": path},
        "answers": {"kind": "kaggle", "answers": path},
        "table.metadata": {"kind": "table", "table": {"metadata": path, "columns": columns}},
    }
    assert problems_of(tmp_path, screen=values[keys]) == [
        f"mine.yaml: screen.{keys}: {path} does not lie below screen.root; expected a path relative to it"
    ]


def test_contradictions_of_several_sections_come_at_once(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        augment={"scale": [2.0, 1.0]},
        screen={"channels": ["dna", "dna"], "answers": "truth.csv"},
        finetune={"mean_teacher": {"decay": [[0.0, 1.0]], "decay_epochs": None}},
    )
    assert len(found) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"folds": {"group": "plate_id"}},
        {"folds": {"group": "experiment", "stratify": "label"}},
        {"train": {"epochs": 2}},  # a quick trial, which the later steps do not see
        {"train": {"schedule": {"kind": "one_cycle"}}},  # steps that it inherits, and does not use
        {"train": {"schedule": {"kind": "cosine", "warmup_epochs": 5.0}}},
        {"finetune": {"optimization": {"epochs": 24, "schedule": {"kind": "cosine"}}}},  # tail_epochs are not its
        {"finetune": {"mean_teacher": {"decay": [], "decay_epochs": None}}},
        {"finetune": None, "pseudo_labels": {"rounds": 0}},
        {"augment": {"scale": [1.0, 1.0]}},
        {"balance": {"method": "none"}},
    ],
)
def test_unusual_settings_that_make_sense_are_taken(tmp_path: Path, changes: dict[str, object]) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump(changes))
    read = read_config([ROOT / "config.yaml", overlay]).model_dump(mode="json")
    for section, values in changes.items():
        assert contains(read[section], values)


def contains(value: Any, part: Any) -> bool:
    """Whether a setting has the values that an overlay gave; what it did not give may be anything."""
    if isinstance(part, dict):
        return all(contains(value[key], inner) for key, inner in part.items())
    return bool(value == part)


def test_a_recipe_cannot_take_a_folder_that_the_rules_use() -> None:
    rules = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    assert set(re.findall(r'screen\("([^/"]+)[/"]', rules)) >= set(OF_THE_SCREEN)
    folders = set(re.findall(r'screen\("([^/"]+)/', rules)) | {"stages"}
    assert folders <= set(OF_THE_SCREEN)


def test_what_the_command_line_set_is_said_to_be_of_the_command_line() -> None:
    with pytest.raises(BadInput) as caught:
        read_config([ROOT / "config.yaml"], {"train": {"epohcs": 3}, "pseudo_labels": {"share": 1.5}})
    assert sorted(problem.split(": ")[0] for problem in caught.value.problems) == ["--config"] * 2
    assert any("train.epohcs: unknown key (did you mean `epochs`?)" in problem for problem in caught.value.problems)


def test_what_stands_inside_braces_on_the_command_line_is_read_as_yaml() -> None:
    """Snakemake's `--config` reads `screen='{image_size: 64, …}'` with every scalar as text."""
    given = parse_config(
        ["seed=3", "recipe=x", "screen={name: s, image_size: 64, table: {a: [1, b, null, 0.5, true]}}"]
    )
    assert given["screen"]["image_size"] == "64"
    assert as_yaml(given) == {
        "seed": 3,
        "recipe": "x",
        "screen": {"name": "s", "image_size": 64, "table": {"a": [1, "b", None, 0.5, True]}},
    }
