"""Groups, order and rotations come out of train wells, on made-up layouts and on RxRx1's real one."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellsignal.errors import BadInput
from cellsignal.plate_groups import derive_groups, infer_rotation, infer_rotations, repeated_classes

DATA = os.environ.get("CELLSIGNAL_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="CELLSIGNAL_DATA is not set: no real tables")


def layout(rotations: dict[str, int], plates: int = 4, size: int = 5) -> pd.DataFrame:
    """Wells of a screen whose group g holds the classes c with c mod plates = g."""
    rows = [
        (experiment, str(j + 1), group + plates * i)
        for experiment, r in rotations.items()
        for j in range(plates)
        for group in [(j + r) % plates]
        for i in range(size)
    ]
    return pd.DataFrame(rows, columns=["experiment", "plate", "sirna"])


def test_groups_and_rotations_of_a_made_up_screen() -> None:
    groups, reason = derive_groups(layout({"A": 0, "B": 0, "C": 2, "D": 1}))
    assert groups is not None and reason == ""
    assert groups.plates == ("1", "2", "3", "4")
    assert groups.rotation == {"A": 0, "B": 0, "C": 2, "D": 1}
    assert groups.group_of == {c: c % 4 for c in range(20)}
    assert groups.group_on("4", 2) == 1


@pytest.mark.parametrize("plates", [2, 3, 12])
def test_any_number_of_plates_in_natural_order(plates: int) -> None:
    groups, reason = derive_groups(layout({"A": 0, "B": 0, "C": 1}, plates, size=3))
    assert groups is not None, reason
    assert groups.plates == tuple(str(j + 1) for j in range(plates))
    assert groups.rotation["C"] == 1


def test_missing_wells_and_a_missing_plate_do_no_harm() -> None:
    wells = layout({"A": 0, "B": 2, "C": 1, "D": 0, "E": 3}, size=8)
    rng = np.random.default_rng(0)
    kept = wells[(rng.random(len(wells)) > 0.15) & ~((wells["experiment"] == "E") & (wells["plate"] == "2"))]
    groups, reason = derive_groups(kept)
    assert groups is not None, reason
    assert groups.rotation == {"A": 0, "B": 2, "C": 1, "D": 0, "E": 3}
    assert all(groups.group_of[c] == c % 4 for c in kept["sirna"])


def test_test_wells_and_controls_are_not_read() -> None:
    wells = layout({"A": 0, "B": 1}).assign(dataset="train", well_type="treatment")
    extra = wells[wells["experiment"] == "A"]
    controls = extra.assign(well_type="positive_control", sirna=99)
    hidden = extra.assign(experiment="T", dataset="test", sirna=-1)
    with_them, reason = derive_groups(pd.concat([wells, controls, hidden]))
    assert with_them == derive_groups(wells)[0], reason


@pytest.mark.parametrize(
    ("wells", "reason"),
    [
        (
            pd.concat([layout({"A": 0, "B": 1})] * 2),
            "classes occur more than once in 2 of 2 train experiments",
        ),
        (layout({"A": 0}), "train has 1 experiments of 4 plates"),
        (layout({"A": 0, "B": 1}).iloc[:0], "no treatment wells"),
    ],
)
def test_no_structure_and_why(wells: pd.DataFrame, reason: str) -> None:
    groups, found = derive_groups(wells)
    assert groups is None
    assert reason in found


def test_shuffled_plates_have_no_groups() -> None:
    wells = layout({"A": 0, "B": 1, "C": 2})
    rng = np.random.default_rng(0)
    wells["sirna"] = wells.groupby("experiment")["sirna"].transform(lambda s: rng.permutation(s))
    groups, reason = derive_groups(wells)
    assert groups is None
    assert "not one group per plate" in reason


def test_another_order_is_no_rotation() -> None:
    wells = layout({"A": 0, "B": 0, "C": 1})
    wells.loc[wells["experiment"] == "C", "plate"] = wells["plate"].map({"1": "2", "2": "1", "3": "3", "4": "4"})
    groups, reason = derive_groups(wells)
    assert groups is None
    assert reason.startswith("the plates of C hold the groups in another cyclic order")


def test_rotation_from_weak_predictions_also_one_that_train_never_has() -> None:
    groups, _ = derive_groups(layout({"A": 0, "B": 2, "C": 1}))
    assert groups is not None
    test = layout({"T": 3, "S": 1})
    p = np.full((len(test), 20), 1.0) + 2.0 * np.eye(20)[test["sirna"]]
    log_p = np.log(p / p.sum(axis=1, keepdims=True))
    table = infer_rotations(log_p, test, groups)
    assert dict(zip(table["experiment"], table["rotation"], strict=True)) == {"T": 3, "S": 1}
    assert (table["margin"] > 0).all()
    # by hand: a well's group has mass (5 + 2)/22 if right and 5/22 if wrong
    assert table["margin"].tolist() == pytest.approx([20 * np.log(7 / 5)] * 2)


def test_no_evidence_has_no_margin_and_zeros_are_finite() -> None:
    groups, _ = derive_groups(layout({"A": 0, "B": 2}))
    assert groups is not None
    test = layout({"T": 1})
    _, margin, z = infer_rotation(np.full((20, 20), -np.log(20)), test["plate"].tolist(), groups)
    assert (margin, z) == pytest.approx((0, 0), abs=1e-6)
    with np.errstate(divide="ignore"):
        sure = np.log(np.eye(20)[test["sirna"]])
    rotation, margin, z = infer_rotation(sure, test["plate"].tolist(), groups)
    assert rotation == 1 and np.isfinite(margin) and margin > 100
    assert z == pytest.approx(np.sqrt(20))  # every well leads by the same


def test_z_does_not_depend_on_how_sure_the_probabilities_are() -> None:
    groups, _ = derive_groups(layout({"A": 0, "B": 2}))
    assert groups is not None
    test = layout({"T": 1}, size=5)
    guess = np.random.default_rng(0).integers(0, 20, 20)  # one-hot guesses, without any knowledge
    found = []
    for trust in (0.1, 0.9):
        p = np.full((20, 20), (1 - trust) / 19)
        p[np.arange(20), guess] = trust
        found.append(infer_rotation(np.log(p), test["plate"].tolist(), groups))
    assert found[1].margin > 3 * found[0].margin
    assert found[1].z == pytest.approx(found[0].z)
    assert found[0].z < 2


def test_an_unknown_plate_is_named() -> None:
    groups, _ = derive_groups(layout({"A": 0, "B": 2}))
    assert groups is not None
    with pytest.raises(BadInput, match="plates: found 9, train has 1, 2, 3, 4"):
        infer_rotation(np.zeros((1, 20)), ["9"], groups)


@needs_data
@pytest.mark.parametrize("release", ["kaggle-original", "kaggle-later"])
def test_rxrx1_has_four_groups_of_277_and_every_train_well_agrees(release: str) -> None:
    tables = Path(DATA) / "rxrx1-metadata"
    train = pd.read_csv(tables / release / "train.csv", dtype={"plate": str})
    ids = pd.read_csv(tables / "derived" / "sirna_id_map.csv").set_index("sirna_str")["sirna_int"]
    if release == "kaggle-later":
        train["sirna"] = train["sirna"].map(ids)
    assert repeated_classes(train) == ""
    groups, reason = derive_groups(train)
    assert groups is not None, reason
    assert np.bincount(list(groups.group_of.values())).tolist() == [277] * 4

    published = pd.read_csv(tables / "derived" / "plate_groups.csv").set_index("class")
    layouts = pd.read_csv(tables / "derived" / "exp_to_group.csv").set_index("experiment")["assignment"]
    agree = sum(
        published.loc[sirna, f"p{layouts[experiment]}"] == int(plate)
        and groups.group_of[sirna] == groups.group_on(plate, groups.rotation[experiment])
        for experiment, plate, sirna in zip(train["experiment"], train["plate"], train["sirna"], strict=True)
    )
    assert agree == len(train) == {"kaggle-original": 36515, "kaggle-later": 36517}[release]
    pairs = {(layouts[e], r) for e, r in groups.rotation.items()}
    assert pairs == {(0, 0), (1, 2), (2, 1)}  # their layout, our rotation: one to one; three occur in train
