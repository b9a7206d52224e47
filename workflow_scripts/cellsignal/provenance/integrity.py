"""Intact: every file has the bytes that the receipts say. Each is read once, in pieces, several at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cellsignal.files import sha256_file
from cellsignal.provenance.verdict import Answer
from cellsignal.provenance.walk import Ancestry

Progress = Callable[[str, int, int], None]
"""Called with what is read, how much of it is done, and how much there is (bytes, or raw files)."""
BATCH = 16  # files that a thread takes at once
MISSING = "missing"


class Claim(NamedTuple):
    """What a receipt says of a file: `size` is not known of raw files. RxRx1 has 754,000 of them."""

    name: str  # relative to the results, or to the raw data's root
    sha256: str
    size: int | None
    receipt: str


def check_bytes(
    ancestry: Ancestry,
    raw_root: Path | None,
    threads: int,
    quick: bool = False,
    progress: Progress = lambda what, done, total: None,
    digest: Callable[[str], str] = sha256_file,
) -> tuple[Answer, set[str]]:
    """Whether receipts, artefacts and raw files are what they were; and the names of those that are not.

    Args:
        raw_root: the folder that raw paths are relative to; None: not known, a problem if there are any.
        threads: files hashed at once.
        quick: look at presence and size only.
        digest: the SHA-256 of the file at a path.
    """
    problems = list(ancestry.problems)
    problems += _made_twice(ancestry)
    files = {f"{ancestry.results}/{claim.name}": claim for claim in _outputs(ancestry)}
    raw_count = sum(len(receipt.raw) for receipt in ancestry.receipts.values())
    raw: dict[str, Claim] = {}
    if raw_count and (raw_root is None or not raw_root.is_dir()):
        problems.append(
            f"{raw_count:,} raw files cannot be checked: the folder of raw data is "
            + (f"not there ({raw_root})" if raw_root else "not known")
        )
    elif raw_root is not None:
        raw, differ = _raw_claims(ancestry, raw_root.resolve(), files)
        problems += differ
    broken: set[str] = set()
    for what, claims in (("files", files), ("raw files", raw)):
        for name, problem in _check(claims, ancestry, what, threads, None if quick else digest, progress):
            broken.add(name)
            problems.append(problem)
    read = sum(claim.size or 0 for claim in files.values())
    evidence = [
        f"{len(ancestry.receipts):,} receipts agree with their checksums and name each other by hash",
        f"{len(files):,} files ({read / 1e6:,.1f} MB) have the {'size' if quick else 'SHA-256'} that receipts say",
        f"{raw_count:,} raw files " + ("are there" if quick else "have the SHA-256 that they were read with"),
    ]
    # What was altered before what is only not here: an archive without images misses hundreds of thousands.
    problems.sort(key=lambda problem: (f": {MISSING} (" in problem, problem))
    return Answer(problems, [] if problems else evidence), broken


def _outputs(ancestry: Ancestry) -> Iterator[Claim]:
    for receipt in ancestry.receipts.values():
        for name, artefact in receipt.outputs.items():
            yield Claim(name, artefact.sha256, artefact.bytes, receipt.path)


def _made_twice(ancestry: Ancestry) -> list[str]:
    """Every file has one maker: two receipts that list it cannot both be of this run."""
    makers: dict[str, str] = {}
    problems = []
    for claim in _outputs(ancestry):
        if claim.name in makers:
            problems.append(f"{claim.name}: listed by two receipts, {makers[claim.name]} and {claim.receipt}")
        makers[claim.name] = claim.receipt
    return problems


def _raw_claims(ancestry: Ancestry, root: Path, files: dict[str, Claim]) -> tuple[dict[str, Claim], list[str]]:
    """Raw files that are no artefacts as well, and problems of those that are (a simulated screen's)."""
    claims: dict[str, Claim] = {}
    problems = []
    for receipt in ancestry.receipts.values():
        for name, sha256 in receipt.raw.items():
            path = f"{root}/{name}"
            known = files.get(path) or claims.get(path)
            if known is None:
                claims[path] = Claim(name, sha256, None, receipt.path)
            elif known.sha256 != sha256:
                problems.append(
                    f"{name}: {ancestry.path_to(receipt.path)} read it with SHA-256 {sha256[:16]}…, "
                    f"but {known.receipt} says {known.sha256[:16]}…"
                )
    return claims, problems


def _check(
    claims: dict[str, Claim],
    ancestry: Ancestry,
    what: str,
    threads: int,
    digest: Callable[[str], str] | None,
    progress: Progress,
) -> Iterator[tuple[str, str]]:
    """Files that are not what was claimed, and why, from a few threads; only a few batches are ever waiting."""
    total = sum(1 if claim.size is None else claim.size for claim in claims.values())
    done = 0
    progress(what, 0, total)
    batches = _batches(claims.items())
    with ThreadPoolExecutor(threads) as pool:  # hashing releases the interpreter lock

        def submit(count: int) -> Iterator[tuple[list[tuple[str, Claim]], Future[list[tuple[str, str]]]]]:
            for batch in islice(batches, count):
                yield batch, pool.submit(_batch_problems, batch, ancestry, digest)

        waiting = deque(submit(2 * threads))
        while waiting:
            batch, future = waiting.popleft()
            yield from future.result()
            waiting.extend(submit(1))
            done += sum(1 if claim.size is None else claim.size for _, claim in batch)
            progress(what, done, total)


def _batches(items: Iterable[tuple[str, Claim]]) -> Iterator[list[tuple[str, Claim]]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _batch_problems(
    batch: list[tuple[str, Claim]], ancestry: Ancestry, digest: Callable[[str], str] | None
) -> list[tuple[str, str]]:
    return [
        (claim.name, f"{claim.name}: {fault} (needed by {ancestry.path_to(claim.receipt)})")
        for path, claim in batch
        if (fault := _fault(path, claim, digest))
    ]


def _fault(path: str, claim: Claim, digest: Callable[[str], str] | None) -> str | None:
    """What is wrong with a file, if anything; without `digest`, with its presence and size."""
    try:
        size = Path(path).stat().st_size
        if claim.size not in (None, size):
            return f"{size:,} bytes, its receipt says {claim.size:,}"
        found = digest(path) if digest else claim.sha256
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read, {error.strerror}"
    return None if found == claim.sha256 else f"SHA-256 {found[:16]}…, its receipt says {claim.sha256[:16]}…"
