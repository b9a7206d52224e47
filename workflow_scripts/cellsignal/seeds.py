"""Seeds of single jobs, from the one seed of the configuration."""

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed (0 to 2³¹ − 1) for the job that `names` name: independent of every other job's."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
