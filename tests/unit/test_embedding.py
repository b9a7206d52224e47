"""Maps, purities, silhouettes, neighbours and plate distances agree with plain computations."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from cellsignal.embedding import (
    class_tightness,
    embed_tsne,
    nearest_rows,
    neighbour_purity,
    plate_distances,
    sampled_embedding,
    silhouette,
    stratified_sample,
    unit_length,
    well_vectors,
)
from cellsignal.predictions import write_predictions


def clusters(n: int = 120, classes: int = 4, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(n) % classes
    centres = random.normal(size=(classes, 16))
    return (centres[labels] + noise * random.normal(size=(n, 16))).astype(np.float32), labels


def test_tsne_keeps_clusters_apart_and_repeats_itself() -> None:
    embedding, labels = clusters()
    result = embed_tsne(embedding, 80, seed=3, strata=labels)
    assert result.points.shape == (80, 2) and result.rows.shape == (80,)
    assert result.trustworthiness > 0.9
    distance = np.linalg.norm(result.points[:, None] - result.points[None], axis=2) + 1e9 * np.eye(80)
    assert (labels[result.rows][distance.argmin(1)] == labels[result.rows]).mean() == 1
    again = embed_tsne(embedding, 80, seed=3, strata=labels)
    assert again.points.tolist() == result.points.tolist()
    assert embed_tsne(embedding, 80, seed=4, strata=labels).rows.tolist() != result.rows.tolist()


def test_tsne_of_few_sites_takes_all() -> None:
    embedding, _ = clusters(12)
    assert embed_tsne(embedding, 4000, seed=0).rows.tolist() == list(range(12))


def test_stratified_sample_represents_every_stratum_by_its_share() -> None:
    strata = ["a"] * 500 + ["b"] * 300 + ["c"] * 190 + ["d"] * 10
    rows = stratified_sample(strata, 100, seed=1)
    assert len(set(rows)) == 100 and sorted(rows) == rows.tolist()
    taken = {s: sum(strata[r] == s for r in rows) for s in "abcd"}
    assert taken == {"a": 50, "b": 30, "c": 19, "d": 1}
    assert stratified_sample(strata, 5000, seed=1).tolist() == list(range(1000))


def test_purity_agrees_with_a_loop_and_leaves_out_the_own_well() -> None:
    embedding, labels = clusters(60, noise=1.0)
    wells = np.arange(60) // 2
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    hits, same, possible = 0, 0, 0
    for i in range(60):
        others = [j for j in range(60) if wells[j] != wells[i]]
        others.sort(key=lambda j: -float(unit[i] @ unit[j]))
        hits += sum(labels[j] == labels[i] for j in others[:5])
        same += sum(labels[j] == labels[i] for j in others)
        possible += len(others)
    share, chance = neighbour_purity(embedding, labels, k=5, apart=wells)
    assert share == pytest.approx(hits / (60 * 5))
    assert chance == pytest.approx(same / possible)


def test_purity_of_random_labels_is_chance() -> None:
    random = np.random.default_rng(0)
    share, chance = neighbour_purity(random.normal(size=(1500, 8)), random.integers(0, 5, 1500))
    assert chance == pytest.approx(0.2, abs=0.01)
    assert share == pytest.approx(chance, abs=0.01)


def test_silhouette_agrees_with_a_loop_and_needs_two_groups() -> None:
    embedding, labels = clusters(40, noise=1.0)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    values = []
    for i in range(40):
        own = [distance[i, j] for j in range(40) if labels[j] == labels[i] and j != i]
        others = [np.mean([distance[i, j] for j in range(40) if labels[j] == c]) for c in set(labels) - {labels[i]}]
        a, b = np.mean(own), min(others)
        values.append((b - a) / max(a, b))
    assert silhouette(embedding, labels) == pytest.approx(np.mean(values), abs=1e-5)
    assert np.isnan(silhouette(embedding, np.zeros(40))) and np.isnan(silhouette(embedding, np.arange(40)))


@pytest.mark.parametrize("sites_per_well", [2, 3])
def test_silhouette_and_purity_leave_out_the_same_sites(sites_per_well: int) -> None:
    random = np.random.default_rng(2)
    n = 42
    wells = np.arange(n) // sites_per_well
    labels = wells % 4
    labels[wells == wells.max()] = 9  # a class of one well: nothing is left of it
    own = random.normal(size=(wells.max() + 1, 8))
    embedding = (own[wells] + 0.1 * random.normal(size=(n, 8)) + np.eye(10, 8)[labels]).astype(np.float32)
    unit = embedding.astype(float) / np.linalg.norm(embedding.astype(float), axis=1, keepdims=True)
    values = []
    for i in range(n):
        others = [j for j in range(n) if wells[j] != wells[i]]
        mean = {c: np.mean([1 - unit[i] @ unit[j] for j in others if labels[j] == c])
                for c in set(labels[others])}  # fmt: skip
        if labels[i] not in mean:
            values.append(0.0)
            continue
        a, b = mean[labels[i]], min(value for c, value in mean.items() if c != labels[i])
        values.append((b - a) / max(a, b))
    assert silhouette(embedding, labels, apart=wells) == pytest.approx(np.mean(values), abs=1e-6)
    assert silhouette(embedding, labels) == pytest.approx(
        silhouette_score(unit, labels, metric="cosine"), abs=1e-5
    )  # each site for itself, as in scikit-learn
    # Sites of a well are near each other whatever their class is: counted, they pass for tight classes.
    assert silhouette(embedding, labels) > silhouette(embedding, labels, apart=wells) + 0.05


def test_classes_of_one_well_each_have_neither_silhouette_nor_class_mates() -> None:
    embedding, _ = clusters(12)
    wells = np.arange(12) // 2
    assert np.isnan(silhouette(embedding, wells, apart=wells))
    assert neighbour_purity(embedding, wells, apart=wells) == (0.0, 0.0)
    assert np.isnan(neighbour_purity(embedding[:2], wells[:2], apart=wells[:2])).all()  # no other well at all


def test_tightness_of_a_model_is_that_of_its_sites_of_known_class(tmp_path: Path) -> None:
    embedding, labels = clusters(80, noise=0.8)
    sites = pd.DataFrame(
        {
            "site_id": [f"s{i:02d}" for i in range(80)], "well_id": [f"w{i % 40}" for i in range(80)],
            "experiment": [f"E{i % 3}" for i in range(80)], "cell_type": np.where(np.arange(80) < 40, "A", "B"),
            "sirna": np.where(np.arange(80) % 8 == 7, -1, labels),
        }
    )  # fmt: skip
    files = []
    for cell_type, part in sites.groupby("cell_type"):
        files.append(tmp_path / f"{cell_type}.h5")
        write_predictions(files[-1], part["site_id"], np.zeros((40, 4)), embedding[part.index], ["test"] * 40)
    classes = pd.DataFrame({"sirna": range(4), "name": list("abcd")})
    found = class_tightness(files, sites, classes, n=1000, seed=0)
    known = sites["sirna"] >= 0
    own, label, well = embedding[known], sites.loc[known, "sirna"], sites.loc[known, "well_id"]
    assert (found["purity"], found["chance"]) == pytest.approx(neighbour_purity(own, label, apart=well))
    assert found["silhouette"] == pytest.approx(silhouette(own, label, apart=well))
    assert (found["sites"], found["wells"], found["experiments"]) == (70, 35, 3)
    # Another round of the same sites: the same sample, so that the two compare.
    first, vectors = sampled_embedding(files, sites, 30, seed=5)
    for path, (_, part) in zip(files, sites.groupby("cell_type"), strict=True):
        write_predictions(path, part["site_id"], np.zeros((40, 4)), 2 * embedding[part.index] + 1, ["test"] * 40)
    second, moved = sampled_embedding(files, sites, 30, seed=5)
    assert first.index.tolist() == second.index.tolist() and len(first) == 30
    assert moved == pytest.approx(2 * vectors + 1, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_rows_are_mapped_as_far_apart_as_they_are(n: int) -> None:
    rows = np.random.default_rng(3).normal(size=(n, 6)).astype(np.float32)
    found = embed_tsne(rows, 10, seed=0)
    assert found.points.shape == (n, 2) and np.isfinite(found.points).all()
    unit = unit_length(rows)
    apart = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    mapped = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    if n < 4:
        assert mapped == pytest.approx(apart, abs=1e-5)
    assert (mapped <= apart + 1e-5).all()
    assert np.isnan(found.trustworthiness) == (n < 3)


def test_rows_that_are_all_alike_are_mapped_onto_one_point() -> None:
    assert not embed_tsne(np.ones((20, 6), np.float32), 20, seed=0).points.round(5).any()


def test_tighter_clusters_have_a_larger_silhouette_and_purity() -> None:
    loose, labels = clusters(noise=1.5)
    tight, _ = clusters(noise=0.5)
    assert silhouette(tight, labels) > silhouette(loose, labels) + 0.2
    assert neighbour_purity(tight, labels)[0] > neighbour_purity(loose, labels)[0] + 0.1


def test_well_vectors_are_the_mean_directions_of_their_sites() -> None:
    embedding = np.array([[3, 0], [0, 5], [2, 0], [-1, 0]], np.float32)
    wells, vectors = well_vectors(embedding, ["b", "b", "a", "c"])
    assert wells.tolist() == ["a", "b", "c"]
    assert vectors == pytest.approx(np.array([[1, 0], [0.5**0.5, 0.5**0.5], [-1, 0]]))


def test_nearest_rows_are_of_other_groups_and_fewer_where_there_are_no_more() -> None:
    random = np.random.default_rng(1)
    vectors = unit_length(random.normal(size=(30, 5)))
    group = np.arange(30) % 3
    rows, cosines = nearest_rows(vectors, np.array([4, 7]), group, 25)
    for query, found, values in zip((4, 7), rows, cosines, strict=True):
        others = sorted(
            (j for j in range(30) if group[j] != group[query]), key=lambda j: -float(vectors[j] @ vectors[query])
        )
        assert found.tolist() == [*others, *[-1] * 5]
        assert (
            values[:20] == pytest.approx([vectors[j] @ vectors[query] for j in others], abs=1e-6)
            and np.isnan(values[20:]).all()
        )


def plates(shift: float, of_experiment: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Wells of 12 control classes and a treatment on 2 × 4 plates; each plate and experiment moved at random."""
    random = np.random.default_rng(0)
    classes = random.normal(size=(13, 24))
    rows, vectors = [], []
    for e in range(2):
        moved = of_experiment * random.normal(size=24)
        for p in range(4):
            offset = shift * random.normal(size=24) + moved
            for c in range(13):
                rows.append((f"E{e}_{p}", f"E{e}", "HUVEC", "treatment" if c == 12 else "positive_control", c))
                vectors.append(classes[c] + offset)
    table = pd.DataFrame(rows, columns=["plate_id", "experiment", "cell_type", "well_type", "sirna"])
    return unit_length(vectors), table


def test_plate_distances_are_those_of_a_loop_over_controls() -> None:
    vectors, wells = plates(0.3, 0.5)
    found = plate_distances(vectors, wells)
    assert len(found) == 8 * 7 // 2 and set(found["classes"]) == {12}  # the treatment does not count
    assert found["same_experiment"].sum() == 2 * 6
    of = {(r.plate_id, r.sirna): vectors[i] for i, r in enumerate(wells.itertuples())}
    between = [
        1 - of[plate, a] @ of[plate, b] for plate in wells["plate_id"].unique() for a in range(12) for b in range(a)
    ]
    for row in found.sample(5, random_state=0).itertuples():
        within = np.mean([1 - of[row.plate_a, c] @ of[row.plate_b, c] for c in range(12)])
        assert row.distance == pytest.approx(within / np.mean(between), rel=1e-4)


def test_plate_distances_grow_with_the_plate_and_with_the_experiment_effect() -> None:
    still = plate_distances(*plates(0.0, 0.0))["distance"]
    assert still.max() == pytest.approx(0, abs=1e-5)
    moved = plate_distances(*plates(0.3, 0.8)).groupby("same_experiment")["distance"].median()
    assert moved[False] > 2 * moved[True] > 0.05


def test_plate_distances_without_a_class_in_common_are_none() -> None:
    vectors, wells = plates(0.3, 0.5)
    lonely = wells.assign(sirna=np.arange(len(wells)))
    assert plate_distances(vectors, lonely).empty
    assert plate_distances(vectors, wells.assign(sirna=-1)).empty
