"""What a run did and found, as tables for a document."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fairlead_lab.chaos.checks import Finding, Violation
from fairlead_lab.chaos.model import Mode
from fairlead_lab.chaos.plan import Fault

_VARIES = re.compile(r"\b[0-9a-f]{12,64}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[hi]\d+-\d+-\d+\b|req-\S+")
_MESSAGES = 12


@dataclass
class Report:
    """Counts of one run; by `rounds` each has been checked. repeated: commands that were needed again after a fault.

    slowest: the most seconds from a round's end until all was as it should be.
    """

    seed: int
    modes: Sequence[Mode]
    rounds: int = 0
    seconds: float = 0.0
    faults: Counter[Fault] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    slowest: float = 0.0
    violations: Sequence[Violation] = ()

    def refused(self, command: str, message: str) -> None:
        """Count a command that failed; messages that differ in an id alone are one."""
        self.failed[command] += 1
        self.messages[_VARIES.sub("…", message)] += 1

    def markdown(self) -> str:
        """The tables, and what was found."""
        found = Counter(one.finding for one in self.violations)
        head = (
            f"Seed {self.seed}, modes {' and '.join(self.modes)}: {self.rounds} rounds in {self.seconds:.0f} s, "
            f"{sum(self.faults.values())} faults, {sum(self.commands.values())} commands, {self.pairs} pairs of "
            f"containers that talk. All was as it should be {self.slowest:.0f} s after a round at the latest."
        )
        parts = [
            head,
            _table(("found", "times"), ((finding, found[finding]) for finding in Finding)),
            _table(("fault", "times"), ((fault, self.faults[fault]) for fault in Fault)),
            _table(
                ("command", "times", "failed during faults", "needed again afterwards"),
                ((one, self.commands[one], self.failed[one], self.repeated[one]) for one in self._known()),
            ),
        ]
        if self.messages:
            told = ((f"`{message.replace('|', chr(92) + '|')}`", count) for message, count in self._told())
            parts.append(_table(("what Docker said of those that failed", "times"), told))
        parts += [f"**{one.finding}**: {one.text}" for one in self.violations]
        return "\n\n".join(parts) + "\n"

    def _known(self) -> list[str]:
        return sorted({*self.commands, *self.repeated})

    def _told(self) -> list[tuple[str, int]]:
        return self.messages.most_common(_MESSAGES)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
