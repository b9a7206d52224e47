"""Kill -9 at 20 random moments: the resumed training ends in the bits of one that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 20


@pytest.mark.parametrize("kind", ["supervised", "teacher"])
def test_killed_at_twenty_random_moments_a_training_ends_in_the_same_bits(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("kill_drill.py"), tmp_path, kind, str(KILLS), "0"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kills"] == KILLS and told["half_written"] == []
    assert told["identical"] and all(told["identical"])
    assert len(set(told["resumed_at"])) >= 4  # killed here and there, not always at the same step
    assert any(step % 6 for step in told["resumed_at"])  # within an epoch, too
