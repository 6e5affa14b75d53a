"""What several figures draw: a scale with its grid, and intervals with their marks on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.display import format_value
from harness.board.palette import LIGHT

from .canvas import PLAIN, SMALL, Canvas, Look, fit
from .readings import Reading

EDGE: Final = 8.0  #: px, from the drawing's edge to its scale
TICKS: Final = 16.0  #: px, for the numbers of a scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A horizontal scale: its ends in values and in pixels."""

    ends: tuple[float, float]
    left: float
    right: float
    unit: str = "%"

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.ends
        return self.left + (self.right - self.left) * (min(max(value, low), high) - low) / (high - low)

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """Places of its grid lines and their numbers; three on a short scale."""
        low, high = self.ends
        parts = 2 if self.right - self.left < 150 else 4
        values = [low + (high - low) * part / parts for part in range(parts + 1)]
        whole = self.unit == "%"
        return [(self.place(value), f"{value:.0f}" if whole else format_value(value, self.unit)) for value in values]

    def draw(self, canvas: Canvas, top: float, bottom: float, dash: str = "") -> None:
        """Grid lines, with their numbers below; `dash` leaves out where names stand."""
        for x, _ in self.ticks:
            canvas.line(x, top, x, bottom, LIGHT.line, dash=dash)
        last = len(self.ticks) - 1
        for place, (x, text) in enumerate(self.ticks):
            if self.right - self.left < 90 and 0 < place < last:
                continue
            anchor = "" if place == 0 else "end" if place == last else "middle"
            canvas.text(
                x - (3 if place == 0 else -3 if place == last else 0),
                bottom + 12,
                text,
                fill=LIGHT.quiet,
                anchor=anchor,
            )


def draw_head(canvas: Canvas, y: float, text: str) -> None:
    """The title of a scale, above it."""
    canvas.text(EDGE, y, fit(text, canvas.width - 2 * EDGE, PLAIN), size=PLAIN, fill=LIGHT.quiet)


def draw_interval(
    canvas: Canvas, scale: Scale, y: float, reading: Reading, look: Look, *, hollow: bool, size: float = 4.2
) -> None:
    """A line from end to end with the model's mark on it, and a tick for each run of a mean over seeds."""
    if reading.high > reading.low:
        canvas.line(scale.place(reading.low), y, scale.place(reading.high), y, look.colour, 1.6)
    for value in reading.runs:
        x = scale.place(value)
        canvas.line(x, y + 4.5, x, y + 8.5, LIGHT.ink)
    canvas.mark(scale.place(reading.value), y, look, hollow=hollow, size=size)


def draw_people(canvas: Canvas, scale: Scale, y: float, reading: Reading) -> None:
    """What people's labels say: a diamond on a dashed line."""
    canvas.line(scale.place(reading.low), y, scale.place(reading.high), y, LIGHT.people, 1.5, dash="3 2")
    canvas.shape(scale.place(reading.value), y, 3, LIGHT.people, size=3.6)


__all__ = ["EDGE", "SMALL", "TICKS", "Scale", "draw_head", "draw_interval", "draw_people"]
