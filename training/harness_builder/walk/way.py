"""One element's way through the steps: what was made of it so far, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from harness_builder.calls.values import Ended, Passed
from harness_builder.quality import Probed
from harness_builder.values import Element, Label, Opinion, Pair, Question, Sorted, Step, before

from .lines import Line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Way:
    """See the module.

    Attributes:
        key: of the element.
        place: among those of its seed.
        lists: the call that listed them.
        element, question, pair, opinion, sorted, probed, label: what each step made, as far as it came.
        calls: that it took, in order.
        lines: of its steps, in order.
        ended: how; None while it goes on.
        counted: steps that it went on from, in which it is counted as kept, once its seed is through.
    """

    key: str
    place: int
    lists: str = ""
    element: Element | None = None
    question: Question | None = None
    pair: Pair | None = None
    opinion: Opinion | None = None
    sorted: Sorted | None = None
    probed: tuple[Probed, ...] = ()
    label: Label | None = None
    calls: list[str] = field(default_factory=list[str])
    lines: list[Line] = field(default_factory=list[Line])
    ended: tuple[Step, Ended] | None = None
    counted: tuple[Step, ...] = ()

    def took(self, step: Step, passed: Passed[T] | Ended) -> T | None:
        """What a step made, noted; None where it ended here."""
        if isinstance(passed, Ended):
            self.end(step, passed)
            return None
        self.calls += passed.calls
        made = plain(passed.value)
        self.lines.append(Line(step=step, key=self.key, end="kept", made=made, calls=passed.calls, notes=passed.notes))
        return passed.value

    def add(self, calls: tuple[str, ...]) -> None:
        """More calls of the step that it took last."""
        self.calls += calls
        self.lines[-1] = replace(self.lines[-1], calls=(*self.lines[-1].calls, *calls))

    def end(self, step: Step, ended: Ended) -> None:
        """It goes no further. What had been made in the step gives way, its calls stay; of a stop nothing but the kind
        does."""
        self.ended = (step, ended)
        calls = (*(call for each in self.lines if each.step == step for call in each.calls), *ended.calls)
        line = Line(step=step, key=self.key, end=ended.end, why=ended.why, calls=calls, notes=_noted(ended))
        if ended.end == "stopped":
            self.lines, self.calls = [Line(step=each.step, key=each.key, end="stopped") for each in self.lines], []
            line = Line(step=step, key=self.key, end="stopped", why=ended.why)
        self.lines = [each for each in self.lines if each.step != step]
        self.lines.append(line)

    def close(self) -> None:
        """Its lines are written down: what ended needs no more in memory than its place and how it ended."""
        if self.ended is None:
            self.counted = tuple(each.step for each in self.lines)
        else:
            self.counted = before(self.ended[0])  # its lines say no more where it was stopped
            self.element = self.question = self.pair = self.opinion = self.sorted = self.label = None
            self.lines, self.calls = [replace(each, made={}, calls=(), notes=()) for each in self.lines], []


def plain(value: object) -> dict[str, Any]:
    """What a step made as plain JSON, without its key, which the line has."""
    if isinstance(value, tuple):
        return {"probes": [plain(each) for each in cast("tuple[object, ...]", value)]}
    found = asdict(cast("DataclassInstance", value))
    found.pop("key", None)
    return found


def _noted(ended: Ended) -> tuple[str, ...]:
    return (ended.note,) if ended.note else ()
