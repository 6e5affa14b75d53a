"""What stands above the samples of a run: its main numbers, and, while it goes on, how far it is and how fast."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

from harness.board.display import format_interval, format_value
from harness.board.results import FILE, read_results
from harness.board.sections import list_sections, read_rows
from harness.board.words import UNDESCRIBED
from harness.errors import HarnessError
from harness.runs.items import Item
from harness.types import Json

_WINDOW: Final = 120.0  #: seconds over which a rate is measured
_LEAST: Final = 2  #: events that make a rate


def list_numbers(folder: Path) -> tuple[list[dict[str, Json]], str]:
    """The main number of each split as results.json has it, and why there is none."""
    if not (folder / FILE).is_file():
        return [], "this run has no results yet"
    found: list[dict[str, Json]] = []
    try:
        for section in list_sections(read_results(folder / FILE)):
            row = next(read_rows(section))
            measure = row.main
            if measure is None:
                continue
            found.append(
                {
                    "part": f"{section.task}:{section.split}",
                    "metric": measure.name,
                    "value": format_value(measure.value, measure.unit),
                    "unit": measure.unit,
                    "ci95": format_interval(measure.ci95, measure.unit) if measure.value is not None else "",
                    "better": measure.better,
                    "numerator": measure.numerator,
                    "denominator": measure.denominator,
                    "unresolved": measure.unresolved,
                    "n": int(section.body["records"]),
                    "what": measure.definition or UNDESCRIBED,
                    "judge": row.judge.rubric,
                    "complete": bool(section.body["complete"]),
                    "why": measure.why,
                }
            )
    except HarnessError as error:
        return [], error.what
    return found, "" if found else "the results hold no split"


class RateMeter:
    """Counts events by item, and measures their rate of late."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._late: deque[float] = deque(maxlen=4096)

    def __len__(self) -> int:
        return len(self._times)

    def put(self, number: int, at: str) -> None:
        """An item's event at a time, ISO 8601; again, it replaces the former."""
        moment = parse_time(at)
        if self._times.get(number) == moment:
            return
        self._times[number] = moment
        if moment:
            self._late.append(moment)

    def measure_rate(self, started: float, now: float) -> float | None:
        """Events per minute since the later of the start and two minutes ago; None if it cannot tell yet."""
        late = [each for each in self._late if each >= max(started, now - _WINDOW)]
        if len(late) < _LEAST:
            return None
        span = now - min(late)
        return 60 * len(late) / span if span > 0 else None

    @property
    def last(self) -> float:
        """The time of the last event; 0 if there is none."""
        return max(self._late, default=0.0)


class RunProgress:
    """How far a run is, from its items as they come and what run.json says is asked."""

    def __init__(self) -> None:
        self._answered: dict[str, RateMeter] = {}
        self._all = RateMeter()
        self._judged = RateMeter()
        self._judgeable = 0
        self._seen: set[int] = set()

    def put(self, number: int, item: Item, part: str, primary: str | None) -> None:
        """Count an item in its present state."""
        response = item.answer.response
        if response is None:
            return
        at = str(response.get("at", ""))
        self._answered.setdefault(part, RateMeter()).put(number, at)
        self._all.put(number, at)
        if item.outcome != "answered" or primary is None:
            return
        if number not in self._seen:
            self._seen.add(number)
            self._judgeable += 1
        if said := item.said.get(primary):
            self._judged.put(number, said.at)

    def describe(self, running: Mapping[str, Json], now: float) -> dict[str, Json] | None:
        """Counts, rate and remaining time; None if no invocation goes on."""
        splits = running.get("splits")
        if not isinstance(splits, Mapping) or not splits:
            return None
        totals = {str(part): int(total) for part, total in cast("Mapping[str, Any]", splits).items()}
        started = parse_time(str(running.get("started", "")))
        done = {part: min(total, len(self._answered.get(part, ()))) for part, total in totals.items()}
        total, answered = sum(totals.values()), sum(done.values())
        judging = answered >= total
        meter = self._judged if judging else self._all
        rate = meter.measure_rate(started, now)
        left = self._judgeable - len(self._judged) if judging else total - answered
        last = max(self._all.last, self._judged.last, started)
        return {
            "done": answered,
            "total": total,
            "judged": len(self._judged),
            "to_judge": self._judgeable,
            "rate": None if rate is None else round(rate, 1),
            "of": "verdicts" if judging else "answers",
            "seconds_left": math.ceil(60 * left / rate) if rate else None,
            "quiet": max(0, round(now - last)),
            "splits": [{"part": part, "done": done[part], "total": total} for part, total in totals.items()],
        }


def parse_time(text: str) -> float:
    """A Unix time of ISO 8601; 0 if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
