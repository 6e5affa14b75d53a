"""Reading a run folder back: each asked item once, with its current answer and the verdicts given on that answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from .contracts import Decision
from .journal import Journal
from .judging import add_usage
from .keys import text_hash
from .metrics import Record
from .records import decision_of, record_of
from .store import TaskFolder
from .types import Usage, Verdict


@dataclass(slots=True)
class Spent:
    """Calls and tokens, summed over current lines, and the names the provider reported."""

    calls: int = 0
    usage: Usage = Usage()
    models: set[str] = field(default_factory=set[str])

    def add(self, usage: Mapping[str, int], models: Iterator[str] | list[str]) -> None:
        """Count one line."""
        self.calls += 1
        self.usage = add_usage(self.usage, Usage(**usage))
        self.models.update(name for name in models if name)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The current records of one task.

    Attributes:
        folder: of the task.
        judges: id of each judge -> translation of its labels.
        model: what answers took.
        judged: what each judge took.
    """

    folder: TaskFolder
    judges: Mapping[str, Mapping[str, str]]
    model: Spent = field(default_factory=Spent)
    judged: dict[str, Spent] = field(default_factory=dict[str, Spent])

    def rows(self, split: str) -> Iterator[tuple[Record, dict[str, Decision]]]:
        """Each record asked of a split, unlabelled, with the judges' decisions in the metrics' labels."""
        with ExitStack() as stack:
            responses = self.folder.responses(write=False)
            stack.callback(responses.close)
            verdicts = {judge: self.folder.verdicts(judge, write=False) for judge in self.judges}
            for journal in verdicts.values():
                stack.callback(journal.close)
            for asked in self.folder.asked(split):
                yield self._row(asked, responses, verdicts)

    def _row(
        self, asked: Mapping[str, Any], responses: Journal, verdicts: Mapping[str, Journal]
    ) -> tuple[Record, dict[str, Decision]]:
        where = (asked["split"], asked["id"], asked["epoch"], asked["key"])
        found = responses.find(*where)
        response = None if found is None else responses.read(found[0])
        record = record_of(self.folder.display, asked, response)
        if response is None:
            return record, {}
        self.model.add(response["usage"], [response["model"]])
        if response["outcome"] != "answered":
            return record, {}
        answer = text_hash(response["text"])
        return record, {
            judge: decision
            for judge, journal in verdicts.items()
            if (decision := self._decision(judge, journal, (*where, answer))) is not None
        }

    def _decision(self, judge: str, journal: Journal, where: tuple[object, ...]) -> Decision | None:
        found = journal.find(*where)
        if found is None:
            return None
        line = journal.read(found[0])
        self.judged.setdefault(judge, Spent()).add(line["usage"], line["models"])
        decision = decision_of(line)
        if isinstance(decision, Verdict):
            translation = self.judges[judge]
            return replace(decision, label=translation.get(decision.label, decision.label))
        return decision
