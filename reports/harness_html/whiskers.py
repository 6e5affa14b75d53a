"""An interval as a small line in a table cell, on the scale of its column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.board.values import Measure

WIDTH = 100.0  #: of the drawing, in its own units
_LEAST = 1.5  #: of a line, so that a point is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """Where its parts lie between 0 and `WIDTH`."""

    low: float
    high: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a column's drawings have in common: the values at their left and right ends."""

    left: float
    right: float

    @classmethod
    def of(cls, measures: Iterable[Measure]) -> Scale:
        """Percent and shares have their whole range; anything else what the column holds."""
        given = [measure for measure in measures if measure.value is not None]
        units = {measure.unit for measure in given}
        if units <= {"%", "0-1"}:
            return cls(left=0.0, right=100.0 if units == {"%"} else 1.0)
        ends = [end for measure in given for end in (*measure.ci95, measure.value) if end is not None]
        return cls(left=min(ends), right=max(ends))

    def whisker(self, measure: Measure) -> Whisker | None:
        """A measure's drawing: the interval ranks use; None where there is no number."""
        if measure.value is None:
            return None
        low, high = (measure.value if end is None else end for end in measure.ci95_worst)
        drawn = Whisker(low=self._at(low), high=self._at(high), value=self._at(measure.value))
        if drawn.high - drawn.low >= _LEAST:
            return drawn
        return Whisker(low=max(0.0, drawn.value - _LEAST / 2), high=drawn.value + _LEAST / 2, value=drawn.value)

    def _at(self, value: float) -> float:
        width = self.right - self.left
        return round(WIDTH * min(1.0, max(0.0, (value - self.left) / width)) if width else WIDTH / 2, 1)
