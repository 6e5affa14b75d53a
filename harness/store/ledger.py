"""Reading a run folder back: each asked item once, with its current answer and the verdicts given on that answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from harness.stats.summary import JudgedItem, UsageSum
from harness.store.folder import TaskFolder
from harness.store.journal import Journal
from harness.store.records import calls_of, decision_of, record_of, stored_hash
from harness.store.together import Present
from harness.types import Usage


@dataclass(slots=True)
class Spent:
    """Calls and tokens, summed over current lines, and the names the provider reported.

    A call that was tried again is one call.
    """

    spend: UsageSum = field(default_factory=UsageSum)
    models: set[str] = field(default_factory=set[str])

    def add(self, calls: int, tokens: Mapping[str, int], models: Iterable[str]) -> None:
        """Count one line."""
        self.spend.add(Usage(**tokens), calls)
        self.models.update(name for name in models if name)

    def merge(self, other: Spent) -> None:
        """Count all that another counted."""
        self.spend.merge(other.spend)
        self.models |= other.models


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The current records of one task.

    Attributes:
        folder: of the task.
        judges: ids of the judges whose verdicts are read.
        model: what answers took.
        judged: what each judge took.
    """

    folder: TaskFolder
    judges: tuple[str, ...]
    model: Spent = field(default_factory=Spent)
    judged: dict[str, Spent] = field(default_factory=dict[str, Spent])

    def rows(self, split: str) -> Iterator[JudgedItem]:
        """Each record asked of a split, with the decisions of the judges on its current answer."""
        with ExitStack() as stack:
            responses = self.folder.responses(write=False)
            stack.callback(responses.close)
            verdicts = {judge: self.folder.verdicts(judge, write=False) for judge in self.judges}
            for journal in verdicts.values():
                stack.callback(journal.close)
            present = Present(lambda: self.folder.asked(split), responses)
            for asked in self.folder.asked(split):
                yield self._row(asked, responses, verdicts, present)

    def _row(
        self, asked: Mapping[str, Any], responses: Journal, verdicts: Mapping[str, Journal], present: Present
    ) -> JudgedItem:
        where = (asked["split"], asked["id"], asked["epoch"], asked["key"])
        found = responses.find(*where)
        response = None if found is None else responses.read(found[0])
        record = record_of(self.folder.display, asked, response)
        if response is None:
            return JudgedItem(record=record)
        if response["outcome"] != "bad_sample":  # nobody was called
            self.model.add(calls_of(response), response["usage"], [response["model"]])
        if response["outcome"] != "answered":
            return JudgedItem(record=record)
        answer = stored_hash(response)
        place = (*where, answer)
        lines = {judge: self._line(judge, journal, place, present) for judge, journal in verdicts.items()}
        said = {judge: line for judge, line in lines.items() if line is not None}
        return JudgedItem(
            record=record,
            verdicts={judge: decision_of(line) for judge, line in said.items()},
            flags={judge: frozenset(line["flags"]) for judge, line in said.items() if line.get("flags")},
        )

    def _line(
        self, judge: str, journal: Journal, where: tuple[object, ...], present: Present
    ) -> Mapping[str, Any] | None:
        found = journal.find(*where)
        line = None if found is None else journal.read(found[0])
        if line is None or not present.counts(line):
            return None
        if calls := calls_of(line):  # a rule calls nobody
            self.judged.setdefault(judge, Spent()).add(calls, line["usage"], line["models"])
        return line
