"""Errors that a biologist can act on: all problems of a stage at once, each a sentence."""

import re
from collections.abc import Sequence


class BadInput(ValueError):
    """Input that cannot be used, with every problem found in it.

    Each problem is one sentence naming the file, the row or key, what was found and what was expected.
    """

    def __init__(self, problems: str | Sequence[str], subject: str = "") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        self.subject = subject
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.problems) == 1 and not self.subject:
            return self.problems[0]
        head = f"{self.subject}: " if self.subject else ""
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        return "\n".join([f"{head}{count}", *(f"  - {p}" for p in self.problems)])


def raise_all(problems: Sequence[str], subject: str = "") -> None:
    """Raise one `BadInput` with all `problems`, or return if there are none."""
    if problems:
        raise BadInput(problems, subject)


class Fault(RuntimeError):
    """What the machine did, or a training that diverged: a sentence that says what to do about it."""


def out_of_memory(error: BaseException) -> str | None:
    """What could not be had, where `error` says that memory ran out (Python, NumPy, PyTorch on CPU or GPU); else None.

    PyTorch says so in a RuntimeError, and in an OutOfMemoryError of its own for a GPU.
    """
    text = str(error)
    gpu = "CUDA" in text or "HIP" in text
    if not (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text))
    ):
        return None
    asked = re.search(r"allocate (\d[\d.]* (?:bytes|[KMGTPE]iB))", text)
    return f"out of {'GPU ' if gpu else ''}memory{f': {asked[1]} more could not be had' if asked else ''}"
