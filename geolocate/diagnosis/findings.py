"""Findings as records: what was looked at, how it stands, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: "problem": something that was asked for cannot work; "warning": it works, but something is not as it should
#: be; "info": neither good nor bad.
State = Literal["ok", "info", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: its name, the same in every report.
        text: what was found, for people.
        fix: what mends or improves it: a command, or a sentence; None where there is nothing to do.
        facts: the same for programs, plain values.
    """

    subject: str
    state: State
    text: str
    fix: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """Findings about one part."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings.

    Attributes:
        device: what the model runs on; None where it does not run.
    """

    sections: tuple[Section, ...]
    device: str | None

    def of(self, *states: State) -> list[Finding]:
        """The findings in these states, in order."""
        return [
            finding for section in self.sections for finding in section.findings if finding.state in states
        ]

    @property
    def works(self) -> bool:
        """Whether everything that was asked for works."""
        return not self.of("problem")
