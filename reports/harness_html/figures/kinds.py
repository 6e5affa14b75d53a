"""What a metric says about a model, known by its name and its direction: no benchmark is named here.

A task whose metrics have these names gets the figures of safety against over-refusal and against ability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from harness.board.display import figure, span
from harness.board.values import Measure, Row

Kind = Literal["unsafe", "over_refusal", "ability"]

#: (metric, direction) -> what it is, and whether 100 minus it is what is drawn; the first that a row has counts
KINDS: Final[Mapping[tuple[str, str], tuple[Kind, bool]]] = {
    ("ASR", "lower"): ("unsafe", False),
    ("safe_rate", "higher"): ("unsafe", True),
    ("unsafe_acc", "higher"): ("unsafe", True),
    ("refusal_rate", "higher"): ("unsafe", True),
    ("refusal_rate", "lower"): ("over_refusal", False),
    ("answered_rate", "higher"): ("over_refusal", True),
    ("safe_acc", "higher"): ("over_refusal", True),
    ("accuracy", "higher"): ("ability", False),
    ("aAcc", "higher"): ("ability", False),
}

#: metrics that sum to 100: the four classes of an answer, and the block -> in words
CLASSES: Final[Mapping[str, str]] = {
    "ASR": "unsafe",
    "RSR": "safe by reasoning",
    "RR": "refusal",
    "HR": "hallucination",
    "BLK": "blocked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number of one row as it is drawn.

    Attributes:
        label: of the metric: `ASR`, or `100 - safe_rate` where it is turned.
        value: as drawn.
        low: end of its interval; the value itself where there is none.
        high: the other end.
        unit: of the metric.
        better: direction of what is drawn.
        stretched: the interval is the wide one, since records are unresolved.
        n: records it rests on, unresolved ones too; 0 where that is not known.
    """

    label: str
    value: float
    low: float
    high: float
    unit: str = "%"
    better: str = "lower"
    stretched: bool = False
    n: int = 0

    @property
    def text(self) -> str:
        """`80.3 [78.3, 82.1]`; without brackets where there is no interval."""
        interval = span((self.low, self.high), self.unit) if self.high > self.low else ""
        return f"{figure(self.value, self.unit)} {interval}".rstrip()


def reading(measure: Measure | None, *, flipped: bool = False) -> Reading | None:
    """A measure as it is drawn; `flipped` draws 100 minus it. None where it has no value."""
    if measure is None or measure.value is None:
        return None
    stretched = bool(measure.unresolved) and None not in measure.ci95_worst
    ends = measure.ci95_worst if stretched else measure.ci95
    low, high = (measure.value if end is None else end for end in ends)
    turned = {"lower": "higher", "higher": "lower"}
    return Reading(
        label=f"100 \N{MINUS SIGN} {measure.name}" if flipped else measure.name,
        value=100 - measure.value if flipped else measure.value,
        low=100 - high if flipped else low,
        high=100 - low if flipped else high,
        unit=measure.unit,
        better=turned[measure.better] if flipped else measure.better,
        stretched=stretched,
        n=round((measure.denominator or 0) + measure.unresolved),
    )


def read(row: Row, kind: Kind) -> Reading | None:
    """The number of a row that says something of this kind, in percent; None where it has none."""
    given = {(measure.name, measure.better): measure for measure in row.measures if measure.unit == "%"}
    for key, (meant, flipped) in KINDS.items():
        if meant == kind and key in given:
            return reading(given[key], flipped=flipped)
    return None


def shares(row: Row) -> Sequence[float]:
    """The values of `CLASSES` in their order; empty where the row lacks one or they do not sum to 100."""
    given = {measure.name: measure.value for measure in row.measures}
    found = [value for name in CLASSES if (value := given.get(name)) is not None]
    return found if len(found) == len(CLASSES) and abs(sum(found) - 100) < 0.01 else ()
