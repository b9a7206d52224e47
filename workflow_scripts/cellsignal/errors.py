"""Errors that a biologist can act on: all problems of a stage at once, each a sentence."""

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
