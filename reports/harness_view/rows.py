"""The light row of each item, column by column: what a list shows and filters by.

Texts that repeat (outcomes, labels, categories) are numbers into one table of texts, so that 20,000 rows are small to
send and quick to filter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.runs.items import Item
from harness.terminal import one_line
from harness.types import Json

EXCERPT: Final = 90  #: characters of an answer in the list
_NUMBERS: Final = ("part", "epoch", "outcome", "label", "category", "flags", "disagree")


@dataclass(slots=True)
class Texts:
    """Texts by number; number 0 is the empty one."""

    known: list[str] = field(default_factory=lambda: [""])
    _numbers: dict[str, int] = field(default_factory=lambda: {"": 0})

    def number(self, text: str) -> int:
        """The number of a text, a new one where it was not known."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.known)
            self.known.append(text)
        return found


class Rows:
    """Columns of equal length, and a log of which row was written when.

    Args:
        excerpts: whether the beginning of an answer is in its row.
    """

    def __init__(self, *, excerpts: bool) -> None:
        self.texts = Texts()
        self.judges: list[str] = []
        self.log: list[int] = []
        self._excerpts = excerpts
        self._ids: list[str] = []
        self._seconds: list[float | None] = []
        self._excerpt: list[str] = []
        self._columns: dict[str, list[int]] = {name: [] for name in _NUMBERS}
        self._said: list[list[int]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, number: int, item: Item, part: int, judges: Sequence[str]) -> None:
        """Write the row of an item; a new one comes right behind the last."""
        while len(self._ids) <= number:
            self._add()
        asked, response = item.answer.asked, item.answer.response or {}
        self._ids[number] = str(asked["id"])
        self._seconds[number] = seconds_of(response)
        if self._excerpts:
            self._excerpt[number] = one_line(item.answer.text[: 4 * EXCERPT], EXCERPT)
        values = {
            "part": part,
            "epoch": int(asked["epoch"]),
            "outcome": self.texts.number(item.outcome),
            "label": self.texts.number(item.label),
            "category": self.texts.number(str(asked.get("category") or "")),
            "flags": self.texts.number(", ".join(map(str, item.flags))),
            "disagree": int(item.disagree),
        }
        for name, value in values.items():
            self._columns[name][number] = value
        for judge in judges:
            said = item.said.get(judge)
            self._judge(judge)[number] = self.texts.number(said.label or said.state if said else "")
        self.log.append(number)

    def since(self, position: int, texts: int, most: int) -> dict[str, Json]:
        """Rows written since a position of the log, each once, and the texts that are new since `texts` were known."""
        end = min(len(self.log), position + most)
        chosen = sorted(set(self.log[position:end]))
        columns = {name: [column[n] for n in chosen] for name, column in self._columns.items()}
        return {
            "position": end,
            "texts": self.texts.known[texts:],
            "judges": self.judges,
            "n": chosen,
            "id": [self._ids[n] for n in chosen],
            "seconds": [self._seconds[n] for n in chosen],
            "excerpt": [self._excerpt[n] for n in chosen] if self._excerpts else [],
            "said": [[column[n] for n in chosen] for column in self._said],
            **columns,
        }

    def _add(self) -> None:
        self._ids.append("")
        self._seconds.append(None)
        self._excerpt.append("")
        for column in (*self._columns.values(), *self._said):
            column.append(0)

    def _judge(self, judge: str) -> list[int]:
        if judge not in self.judges:
            self.judges.append(judge)
            self._said.append([0] * len(self._ids))
        return self._said[self.judges.index(judge)]


def seconds_of(response: Mapping[str, Any]) -> float | None:
    """How long an answer took; None where nobody said, or what was said is no time."""
    value: object = response.get("seconds")
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return round(float(value), 3)
