"""What an audit answers, for people and for programs."""

from dataclasses import dataclass, field
from typing import Any

QUESTIONS = ("intact", "current", "clean")
SHOWN = 20  # problems of one answer that the text lists; the JSON has all


@dataclass
class Answer:
    """One answer: no problems is a yes. `evidence` says what was looked at to give it."""

    problems: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """Three answers, each with its problems (none is a yes) and its evidence."""

    artefact: str
    receipt_sha256: str
    checked: dict[str, int]  # what was counted: receipts, files, raw files
    intact: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)
    evidence: dict[str, list[str]] = field(default_factory=dict)
    priors: dict[str, Any] = field(default_factory=dict)
    missing_sites: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # what was done, or could not be, and is no fault
    quick: bool = False  # contents were not read: receipts and sizes only

    @property
    def passed(self) -> bool:
        """Whether all three hold."""
        return not (self.intact or self.current or self.clean)

    def as_json(self) -> dict[str, Any]:
        """For `audit.json`."""
        return {**vars(self), "passed": self.passed}

    def as_text(self) -> str:
        """For people."""
        lines = [f"Audit of {self.artefact}: {'PASSED' if self.passed else 'FAILED'}{' (quick)' if self.quick else ''}"]
        if self.quick:
            lines.append("  quick: receipts and sizes were checked, no file's content was read")
        counted = ", ".join(f"{number:,} {name}" for name, number in self.checked.items())
        lines.append(f"  checked {counted}; receipt {self.receipt_sha256[:16]}…")
        for question in QUESTIONS:
            problems = getattr(self, question)
            lines.append(f"  {question}: {'yes' if not problems else 'NO'}")
            lines += [f"    - {problem}" for problem in problems[:SHOWN]]
            if len(problems) > SHOWN:
                lines.append(f"    - and {len(problems) - SHOWN:,} more")
            lines += [f"    · {sentence}" for sentence in self.evidence.get(question, [])]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        if self.missing_sites:
            lines.append(f"  {len(self.missing_sites)} sites were left out for unreadable images:")
            lines += [f"    - {site['site_id']}: {site['image']}: {site['problem']}" for site in self.missing_sites]
        return "\n".join(lines)
