"""How lm-eval's samples ended: it has no word for one that failed, so we keep the count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness import Failure, Response
from harness.cli.table import table

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A sample without an answer."""

    task: str
    document: str
    failure: Failure


@dataclass(slots=True, kw_only=True)
class Tally:
    """Outcomes by name, and the samples without an answer."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, task: str, document: str, result: Response | Failure) -> None:
        """One sample ended."""
        if isinstance(result, Failure):
            self.outcomes[result.outcome] += 1
            self.faults.append(Fault(task=task, document=document, failure=result))
        else:
            self.outcomes["answered" if result.text.strip() or result.choices else "empty"] += 1

    @property
    def text(self) -> str:
        """For a person: how many ended how, and the first that failed."""
        counts = table(["OUTCOME", "SAMPLES"], [[name, str(count)] for name, count in self.outcomes.most_common()])
        if not self.faults:
            return counts
        rows = [[f.task, f.document, f.failure.outcome, f.failure.reason, f.failure.message] for f in self.faults]
        more = f"\n… and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"{counts}\n\n{table(['TASK', 'DOC', 'OUTCOME', 'REASON', 'MESSAGE'], rows[:_SHOWN])}{more}"
