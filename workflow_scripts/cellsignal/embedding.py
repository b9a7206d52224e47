"""A model's embedding: a map of it, and numbers for how wells lie in it. No pixels, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from cellsignal.predictions import read_embedding

COUNTED = {"wells": "well_id", "experiments": "experiment"}  # key of a record → column of the site table
FEWEST_MAPPED = 5  # rows; of fewer, t-SNE has no perplexity above 1
NEIGHBOURS = 10  # of the purity and of the trustworthiness
FEWEST = 5  # sites of a map


@dataclass(frozen=True)
class EmbeddingMap:
    """`rows` int (m,): the sampled rows, ascending; `points` float32 (m, 2); `trustworthiness` 0–1, or NaN."""

    rows: np.ndarray
    points: np.ndarray
    trustworthiness: float


def embed_tsne(embedding: np.ndarray, n: int, seed: int, strata: Sequence[Any] | None = None) -> EmbeddingMap:
    """t-SNE (van der Maaten & Hinton 2008) of a sample of at most `n` rows, by cosine distance.

    `embedding`: float (sites, dim). Of fewer than 5 rows, which have no neighbourhoods to keep, and of rows that are
    all alike, the map is of the first two principal components; up to three rows are in it as far apart as they are.
    `strata`: one value per row (such as the experiment); each is represented by its share. The same arguments give the
    same map on one machine.
    """
    rows = stratified_sample(strata if strata is not None else np.zeros(len(embedding)), n, seed)
    sample = unit_length(embedding[rows])
    if len(rows) < FEWEST_MAPPED or not np.ptp(sample, axis=0).any():
        plane = _principal_plane(sample)
        return EmbeddingMap(rows, plane, _trustworthiness(sample, plane))
    # 50 components lose next to nothing and save most of the time of the neighbour search.
    reduced = PCA(50, random_state=seed).fit_transform(sample) if min(sample.shape) > 50 else sample
    perplexity = min(30.0, (len(rows) - 1) / 4)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    points = tsne.fit_transform(reduced).astype(np.float32)
    return EmbeddingMap(rows, points, _trustworthiness(sample, points))


def _principal_plane(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2): the first two principal components, 0 where there are fewer."""
    plane = np.zeros((len(rows), 2), dtype=np.float32)
    if not len(rows):
        return plane
    left, size, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    plane[:, : min(2, len(size))] = (left * size)[:, :2]
    return plane


def _trustworthiness(rows: NDArray[np.float32], points: NDArray[np.float32]) -> float:
    """Venna & Kaski's measure of the neighbourhoods that a map keeps; NaN of fewer than three rows."""
    k = max(1, min(NEIGHBOURS, len(rows) // 2 - 1))
    return float(trustworthiness(rows, points, n_neighbors=k)) if len(rows) > 2 else float("nan")


def stratified_sample(strata: Sequence[Any] | np.ndarray, n: int, seed: int) -> np.ndarray:
    """Ascending row numbers of `n` rows (all, if there are fewer), each stratum by its share (± 1)."""
    _, stratum = np.unique(np.asarray(strata), return_inverse=True)
    total = len(stratum)
    n = min(n, total)
    random = np.random.default_rng(seed).permutation(total)
    by_stratum = random[np.argsort(stratum[random], kind="stable")]
    # Even steps through the rows sorted by stratum (systematic sampling).
    steps = ((np.arange(n) + 0.5) * total / n).astype(int) if n else np.zeros(0, dtype=int)
    rows: np.ndarray = np.sort(by_stratum[steps])
    return rows


def neighbour_purity(
    embedding: np.ndarray, labels: Sequence[Any], k: int = NEIGHBOURS, apart: Sequence[Any] | None = None
) -> tuple[float, float]:
    """(share of the `k` nearest neighbours by cosine that have the row's label, what chance would give).

    `embedding`: float (n, dim). Rows with the same value of `apart`, such as the two sites of a well, are
    never each other's neighbours. Chance is the share among all rows that could be. NaN where there is none.
    """
    unit = unit_length(embedding)
    _, label = np.unique(np.asarray(labels), return_inverse=True)
    unique = np.arange(len(unit)) if apart is None else np.unique(np.asarray(apart), return_inverse=True)[1]
    same, possible, hits, found = 0, 0, 0, 0
    for start in range(0, len(unit), 1024):  # bounds memory at 1,024 × n
        chunk = slice(start, start + 1024)
        allowed = unique[chunk, None] != unique[None, :]
        alike = (label[chunk, None] == label[None, :]) & allowed
        same, possible = same + int(alike.sum()), possible + int(allowed.sum())
        closeness = np.where(allowed, unit[chunk] @ unit.T, -np.inf)
        nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
        hits += int(np.take_along_axis(alike, nearest, 1).sum())
        found += int(np.take_along_axis(allowed, nearest, 1).sum())
    return (hits / found, same / possible) if found else (float("nan"), float("nan"))


def unit_length(embedding: ArrayLike) -> NDArray[np.float32]:
    """Rows of (n, dim) scaled to length 1: what is left is the angle, which is what ArcFace learns."""
    rows = np.asarray(embedding, dtype=np.float32)
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def silhouette(embedding: ArrayLike, labels: Sequence[Any], apart: Sequence[Any] | None = None) -> float:
    """Mean silhouette (Rousseeuw 1987) by cosine distance, −1 to 1: how much nearer rows lie to their own group.

    `embedding`: float (n, dim). Rows with the same value of `apart`, such as the two sites of a well, are left out of
    each other's mean distances, as in `neighbour_purity`. A row that has no other row of its group is 0, as in
    Rousseeuw's definition and in scikit-learn. NaN unless there are two groups, and a row with another of its group.
    """
    unit = unit_length(embedding).astype(np.float64)
    names, label = np.unique(np.asarray(labels), return_inverse=True)
    unique = np.arange(len(unit)) if apart is None else np.unique(np.asarray(apart), return_inverse=True)[1]
    if len(names) < 2:
        return float("nan")
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(len(names)))
    total, anyone = 0.0, False
    for start in range(0, len(unit), 1024):  # bounds memory at 1,024 × n
        chunk = np.arange(start, min(start + 1024, len(unit)))
        allowed = unique[chunk, None] != unique[order][None, :]
        distance = np.where(allowed, 1 - unit[chunk] @ unit[order].T, 0)
        count = np.add.reduceat(allowed, starts, axis=1, dtype=np.int64)
        mean = np.add.reduceat(distance, starts, axis=1) / np.maximum(count, 1)
        row, own = np.arange(len(chunk)), label[chunk]
        inside, defined = mean[row, own], count[row, own] > 0
        other = np.where(count > 0, mean, np.inf)
        other[row, own] = np.inf
        outside = other.min(axis=1)
        defined &= np.isfinite(outside)
        size = np.maximum(np.maximum(inside, outside), 1e-12)
        total += float(((outside - inside)[defined] / size[defined]).sum())
        anyone |= bool(defined.any())
    return total / len(unit) if anyone else float("nan")


@dataclass(frozen=True)
class Measure:
    """How well a grouping shows in an embedding: `purity` and its `chance` (`neighbour_purity`), `silhouette`
    (−1 to 1, NaN where there is none). Both leave out sites of the same well."""

    purity: float
    chance: float
    silhouette: float


def grouping_measures(
    vectors: ArrayLike, sites: pd.DataFrame, names: pd.Series
) -> tuple[dict[str, Measure], dict[str, pd.Series]]:
    """A `Measure` per grouping (`cell type`, `experiment`, `class`), and the group of each site (empty: not known).

    `vectors`: float (sites, dim). `sites`: rows as in `vectors`: `well_id`, `cell_type`, `experiment`, `sirna` (−1:
    withheld; such sites count for the other groupings only). `names`: class index → name.
    """
    groups = {
        "cell type": sites["cell_type"],
        "experiment": sites["experiment"],
        "class": sites["sirna"].map(names).fillna(""),
    }
    measures = {}
    vectors = np.asarray(vectors)
    for name, values in groups.items():
        known = (values != "").to_numpy()
        own, labels, wells = vectors[known], values[known].tolist(), sites.loc[known, "well_id"].tolist()
        measures[name] = Measure(*neighbour_purity(own, labels, apart=wells), silhouette(own, labels, apart=wells))
    return measures, groups


def sampled_embedding(
    files: Sequence[str | Path], sites: pd.DataFrame, n: int, seed: int
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """At most `n` of the sites that a model predicted, each experiment by its share, and their embedding (n, dim).

    `files`: the model's prediction files, one per cell type. `sites`: the site table. Files that hold the same sites,
    such as those of another round or arm, give the same sample with the same `seed`.
    """
    found = [read_embedding(path) for path in files]
    site_id = np.concatenate([file.site_id for file in found])
    seen = sites.set_index("site_id").loc[site_id]
    rows = stratified_sample(seen["experiment"].to_numpy(), n, seed)
    return seen.iloc[rows], np.concatenate([file.embedding for file in found])[rows]


def class_tightness(
    files: Sequence[str | Path], sites: pd.DataFrame, classes: pd.DataFrame, n: int, seed: int
) -> dict[str, Any]:
    """How tightly classes cluster in the embedding of one model (of one round or arm), as JSON values.

    Arguments as in `sampled_embedding`; `classes`: the class table. Returns `sites`, `wells` and `experiments` of known
    class in the sample, `purity`, `chance` and `silhouette` (null where there is none) of the grouping by class.
    """
    sample, vectors = sampled_embedding(files, sites, n, seed)
    known = (sample["sirna"] >= 0).to_numpy()
    names = classes.set_index("sirna")["name"]
    measure = grouping_measures(vectors[known], sample[known], names)[0]["class"]
    counts = {key: int(sample.loc[known, column].nunique()) for key, column in COUNTED.items()}
    found = {key: None if np.isnan(value) else value for key, value in vars(measure).items()}
    return {"sites": int(known.sum())} | counts | found


def well_vectors(embedding: ArrayLike, wells: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Wells, sorted, and their vectors (wells, dim) of length 1: the mean direction of each well's sites."""
    names, row = np.unique(np.asarray(wells, dtype=str), return_inverse=True)
    unit = unit_length(embedding)
    total = np.zeros((len(names), unit.shape[1]))
    np.add.at(total, row, unit)
    return names, unit_length(total)


def nearest_rows(
    vectors: NDArray[np.float32], queries: NDArray[np.int64], apart: ArrayLike, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `k` rows nearest to each of `queries` (row numbers) by cosine, and the cosines, both (queries, k).

    `vectors`: (n, dim) of length 1. `apart`: a value per row, such as the experiment; rows with the query's
    value are left out. Where fewer than `k` rows remain, the row is −1 and the cosine NaN.
    """
    _, group = np.unique(np.asarray(apart, dtype=str), return_inverse=True)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    cosines = np.full((len(queries), k), np.nan)
    for i, query in enumerate(queries):
        others = np.flatnonzero(group != group[query])
        cosine = vectors[others] @ vectors[query]
        best = np.argsort(-cosine, kind="stable")[:k]
        found[i, : len(best)] = others[best]
        cosines[i, : len(best)] = cosine[best]
    return found, cosines


def plate_distances(vectors: NDArray[np.float32], wells: pd.DataFrame) -> pd.DataFrame:
    """How far plates lie apart in an embedding, as a share of what tells perturbations apart.

    For each pair of plates of a cell type: the mean cosine distance between wells of the same class on both,
    divided by the mean cosine distance between wells of different classes on one plate. 0: a perturbation
    looks the same on both plates; 1: another plate changes it as much as another perturbation would.

    Args:
        vectors: (wells, dim) of length 1, of `well_vectors`.
        wells: rows as in `vectors`: `plate_id`, `experiment`, `cell_type`, `well_type`, `sirna` (−1: unknown).

    Returns:
        `cell_type`, `experiment_a`, `plate_a`, `experiment_b`, `plate_b`, `same_experiment` bool, `classes` (in
        common) and `distance`; pairs without a class in common are left out. Of a screen with controls, only
        those count: they are on every plate, so that each pair compares the same classes.
    """
    known = (wells["sirna"] >= 0).to_numpy()
    control = (wells["well_type"] != "treatment").to_numpy()
    used = known & control if (known & control).any() else known
    rows = []
    for cell_type, part in wells.assign(row=np.arange(len(wells)))[used].groupby("cell_type", sort=True):
        plates = {
            str(plate): _class_means(vectors[of_plate["row"]], of_plate["sirna"].to_numpy())
            for plate, of_plate in part.groupby("plate_id", sort=True)
        }
        scale = _between_classes(list(plates.values()))
        experiment = part.drop_duplicates("plate_id").set_index("plate_id")["experiment"]
        names = list(plates)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                common = sorted(plates[a].keys() & plates[b].keys())
                if not common or not scale > 0:
                    continue
                distance = float(np.mean([1 - plates[a][c] @ plates[b][c] for c in common]))
                pair = (cell_type, experiment[a], a, experiment[b], b, experiment[a] == experiment[b])
                rows.append((*pair, len(common), distance / scale))
    columns = ["cell_type", "experiment_a", "plate_a", "experiment_b", "plate_b", "same_experiment", "classes"]
    return pd.DataFrame(rows, columns=[*columns, "distance"])


def _class_means(vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    """Class → mean direction of its wells on one plate."""
    return {int(c): unit_length(vectors[classes == c].mean(axis=0, keepdims=True))[0] for c in np.unique(classes)}


def _between_classes(plates: list[dict[int, NDArray[np.float32]]]) -> float:
    """Mean cosine distance between different classes of one plate, over all plates; NaN where there is no pair."""
    distances = []
    for of_class in plates:
        if len(of_class) > 1:
            matrix = np.stack(list(of_class.values()))
            distances.append((1 - matrix @ matrix.T)[np.triu_indices(len(matrix), 1)])
    return float(np.concatenate(distances).mean()) if distances else float("nan")
