"""The predictions file: what is written is read, and equal content is equal bytes."""

from pathlib import Path

import numpy as np
import pytest

from cellsignal.errors import BadInput
from cellsignal.predictions import iterate_logits, read_predictions, write_predictions

SITES = ["P_1_B03_2", "P_1_B03_1", "P_1_B02_1"]
ROLES = ["test", "test", "control"]


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)


def test_reads_what_was_written_sorted_by_site(tmp_path: Path, arrays: tuple) -> None:
    logits, embedding = arrays
    write_predictions(tmp_path / "p.h5", SITES, logits, embedding, ROLES)
    found = read_predictions(tmp_path / "p.h5")
    assert found.site_id.tolist() == sorted(SITES)
    assert found.role.tolist() == ["control", "test", "test"]
    np.testing.assert_array_equal(found.logits, logits[[2, 1, 0]])
    np.testing.assert_array_equal(found.embedding, embedding[[2, 1, 0]])
    assert found.logits.dtype == np.float32


def test_same_content_in_another_order_gives_same_bytes(tmp_path: Path, arrays: tuple) -> None:
    logits, embedding = arrays
    write_predictions(tmp_path / "a.h5", SITES, logits, embedding, ROLES)
    turned = [1, 2, 0]
    write_predictions(
        tmp_path / "b.h5",
        [SITES[i] for i in turned],
        logits[turned],
        embedding[turned],
        [ROLES[i] for i in turned],
    )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_pieces_cover_the_file(tmp_path: Path, arrays: tuple) -> None:
    write_predictions(tmp_path / "p.h5", SITES, *arrays, ROLES)
    pieces = list(iterate_logits(tmp_path / "p.h5", sites_at_once=2))
    assert [len(site) for site, _, _ in pieces] == [2, 1]
    np.testing.assert_array_equal(
        np.concatenate([logits for _, _, logits in pieces]), read_predictions(tmp_path / "p.h5").logits
    )


def test_no_sites_is_a_valid_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.h5", [], np.zeros((0, 4)), np.zeros((0, 2)), [])
    assert read_predictions(tmp_path / "p.h5").logits.shape == (0, 4)
    assert list(iterate_logits(tmp_path / "p.h5")) == []


def test_all_problems_at_once_and_no_file(tmp_path: Path, arrays: tuple) -> None:
    logits, embedding = arrays
    logits[1, 0] = np.nan
    with pytest.raises(BadInput) as caught:
        write_predictions(tmp_path / "p.h5", ["a", "a", "b"], logits, embedding[:2], ["test", "train", "control"])
    text = str(caught.value)
    for part in (
        "logits: not finite at a",
        "embedding: found shape (2, 2)",
        "found train",
        "more than once: a",
    ):
        assert part in text
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "p.h5").write_text("not HDF5")
    with pytest.raises(BadInput, match=r"p\.h5: not a readable HDF5 file"):
        read_predictions(tmp_path / "p.h5")
