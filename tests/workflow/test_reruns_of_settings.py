"""Change a setting and run again: exactly what may read it reruns, and what follows."""

from functools import reduce
from operator import getitem

import pytest
from expected import (
    EVERYTHING,
    FINETUNED,
    INDEXED,
    PACKED,
    PAGE,
    PREDICTED,
    RELABELLED,
    SCORED,
    SIMULATED,
    TRAINED,
    Jobs,
)
from projects import TINY, Project

EXPLAINED = {"explain_sites": 1, "grad_cam": 1, "channel_attention": 1, "nearest_neighbours": 1} | PAGE


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"results": "elsewhere"}, EVERYTHING),
        ({"seed": 1}, TRAINED | {"site_images": 1, "class_examples": 1, "augmentation_examples": 1}),
        ({"threads": 2}, TRAINED),  # the order of sums
        ({"screen": {"simulated": {"phenotype_scale": 0.9}}}, SIMULATED),
        ({"pack": {"allow_missing_sites": True}}, INDEXED | PACKED),
        ({"folds": {"seed": 1}}, TRAINED | {"assign_folds": 1}),
        ({"augment": {"flips": False}}, TRAINED | {"augmentation_examples": 1}),
        ({"train": {"weight_decay": 0.1}}, TRAINED),
        ({"finetune": {"mean_teacher": {"consistency": 2.0}}}, FINETUNED),
        ({"predict": {"views": 4}}, PREDICTED),
        ({"pseudo_labels": {"weight": 0.1}}, RELABELLED),
        ({"pseudo_labels": {"rounds": 2}}, RELABELLED),  # of the new round; the earlier ones stay
        ({"balance": {"method": "uniqueness"}}, RELABELLED),  # pseudo-labels are balanced, too
        ({"score": {"public_experiments": ["HUVEC-03"]}}, SCORED),
        ({"report": {"example_sites": 3}}, {"site_images": 1} | PAGE),
        (
            {"report": {"example_plates": 1}},
            {"site_images": 1, "plate_map": 1, "augmentation_examples": 1} | PAGE,
        ),
        ({"report": {"tsne_sites": 60}}, {"embed_tsne": 1, "tsne_classes": 1} | PAGE),
        ({"report": {"tsne_classes": ["sim0001"]}}, {"tsne_classes": 1} | PAGE),
        ({"report": {"grad_cam_sites": 3}}, {"grad_cam": 1, "channel_attention": 1, "nearest_neighbours": 1} | PAGE),
        ({"report": {"explained_classes": ["sim0003"]}}, EXPLAINED),
        ({"report": {"kernel_layers": ["backbone.stages.3.0.shortcut.conv.conv"]}}, {"kernel_bands": 1} | PAGE),
        ({"report": {"thumbnail_pixels": 32}}, PAGE),
    ],
)
def test_a_changed_setting_reruns_what_reads_it_and_what_follows(
    project: Project, settings: dict[str, object], expected: Jobs
) -> None:
    project.overlay(settings)
    assert project.planned() == expected


def test_the_sections_of_the_configuration_are_all_there(project: Project) -> None:
    """So that a new one is added to the list above; recipe and models have tests of their own below."""
    tried = {"results", "seed", "threads", "screen", "pack", "folds", "augment", "train", "finetune", "predict"}
    tried |= {"pseudo_labels", "balance", "score", "report", "recipe", "models"}
    plan = project.read_json("results/tiny_screen/tiny/stages/plan.json")
    assert plan.keys() == tried


@pytest.mark.parametrize(
    ("section", "names", "expected"),
    [
        (("train",), ("rate", "weight_decay"), TRAINED),
        (("finetune", "optimization"), ("rate", "weight_decay"), FINETUNED),
        (("report",), ("explained_sites", "neighbours"), EXPLAINED),
    ],
)
def test_two_settings_that_swap_their_values_count_as_changed(
    project: Project, section: tuple[str, ...], names: tuple[str, str], expected: Jobs
) -> None:
    """Snakemake's own comparison of params is one of sets of values, which stay the same here."""
    one, other = names
    values = reduce(getitem, section, project.read_json("results/tiny_screen/tiny/stages/plan.json"))
    assert values[one] != values[other]
    swapped: dict[str, object] = {one: values[other], other: values[one]}
    project.overlay(reduce(lambda inner, name: {name: inner}, reversed(section), swapped))
    assert project.planned() == expected


def test_settings_that_change_no_result_rerun_nothing(project: Project) -> None:
    project.overlay(
        {
            "train": {"checkpoint_minutes": 1},
            "finetune": {"optimization": {"checkpoint_minutes": 1}, "epochs_factor": {"RPE": 0.5}},  # has no RPE
        }
    )
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("margin: 0.1", "margin: 0.2", FINETUNED | {"train_model": 2, "layer_table": 1}),
        (
            "normalization: cell_type",  # of the reference, which the submission does not know
            "normalization: site",
            {"train_model": 2, "predict": 2, "ensemble_teachers": 1, "training_curves": 1, "plate_effect": 1} | SCORED,
        ),
        (
            "ensemble: false",  # it is fine-tuned now and votes, from the weights of stage 1 that it has
            "ensemble: true",
            RELABELLED | {"finetune_cell_type": 6, "predict": 6, "ensemble_teachers": 2},
        ),
    ],
)
def test_one_models_settings_rerun_its_own_trainings(project: Project, old: str, new: str, expected: Jobs) -> None:
    project.edit(TINY, old, new)
    assert project.planned() == expected


def test_another_recipe_shares_what_depends_on_the_data_alone(project: Project) -> None:
    project.overlay({"recipe": "other"})
    shared = ("simulate_plate", "index_sites", "pack_plate", "normalization")
    assert project.planned() == {rule: count for rule, count in EVERYTHING.items() if rule not in shared}


def test_planning_a_change_and_taking_it_back_reruns_nothing(project: Project) -> None:
    project.overlay({"seed": 1})
    assert project.planned() != {}
    project.overlay({})
    assert project.planned() == {}
