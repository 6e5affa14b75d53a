"""All bad records of a data set, counted and the first of them named."""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness import BadData

from .draft import BadRecord

NAMED: Final = 10
REMEDY: Final = "mend them, or train without them: -S skip_bad=true"


class Faults:
    """Counts bad records by what is wrong with them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: list[tuple[str, str, str]] = []  # place, kind, what is wrong
        self._fields: set[str] = set()  # kinds that say of a field that it is missing or of another kind

    def add(self, fault: BadData, place: str) -> None:
        """One bad record, at its place where the fault does not say it."""
        kind = fault.kind if isinstance(fault, BadRecord) else fault.what
        self.counts[kind] += 1
        if not isinstance(fault, BadRecord):
            self._fields.add(kind)
        if len(self._first) < NAMED:
            self._first.append((fault.where or place, kind, fault.what))

    def error(self, found: int, remedy: str = REMEDY, *, looks: str = "") -> BadData:
        """Of a data set with so many records; `looks` is what one is like, for who brought data of another layout."""
        total = self.counts.total()
        if looks and 1 < total == found and {*self.counts} <= self._fields and len(self.counts) == 1:
            what = f"no record is of the layout that is expected here: {next(iter(self.counts))}, in all {found}"
            return BadData(what, where=self._first[0][0].partition(",")[0], remedy=looks)
        kinds = "; ".join(f"{kind} ({count})" for kind, count in self.counts.most_common())
        # Where one thing is wrong with all of them, and has been said, their places are enough.
        named = [place if {kind, what} == {*self.counts} else f"{place}: {what}" for place, kind, what in self._first]
        more = [f"and {total - len(self._first)} more"] if total > len(self._first) else []
        what = f"{total} of {found} records cannot be learnt from: {kinds}"
        return BadData(what, where="; ".join([*named, *more]), remedy=remedy)
