"""Each job has a seed of its own, the same on every machine."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

from cellsignal.seeds import derive_seed

LIBRARY = Path(__file__).resolve().parents[2] / "workflow_scripts"


def test_the_seed_is_the_hash_of_its_names() -> None:
    by_hand = int(hashlib.sha256(b"7/train_model/xception/3").hexdigest()[:8], 16) // 2
    assert derive_seed(7, "train_model", "xception", 3) == by_hand


def test_a_seed_never_changes_between_versions() -> None:
    assert derive_seed(0) == 0x5FECEB66 >> 1  # SHA-256 of "0" is 5feceb66…
    assert derive_seed(0, "train_model", "xception", 0) == 483475590


def test_jobs_have_different_seeds_in_the_range_of_every_generator() -> None:
    names = itertools.product(range(5), ("train_model", "predict"), ("xception", "xception_wide"), range(5))
    seeds = [derive_seed(seed, *rest) for seed, *rest in names]
    assert len(set(seeds)) == len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_order_of_names_matters_and_python_s_hash_seed_does_not() -> None:
    assert derive_seed(0, "a", "b") != derive_seed(0, "b", "a")
    code = "from cellsignal.seeds import derive_seed; print(derive_seed(3, 'x', 1))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(LIBRARY)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert found == {str(derive_seed(3, "x", 1))}
