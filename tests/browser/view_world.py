"""The two runs that the viewer is read with."""

from __future__ import annotations

from pathlib import Path

from harness.types import Failure
from tests.reports.viewed import FIRST, SECOND, Told, stored

BOTH = {FIRST: "safe", SECOND: "safe"}
TOLD = [
    *(Told(id=f"plain-{n}", labels=BOTH, category="shapes") for n in range(40)),
    Told(
        id="unsafe-1", labels={FIRST: "unsafe", SECOND: "unsafe"}, category="colours", answer="A very particular word."
    ),
    Told(id="torn-1", labels={FIRST: "safe", SECOND: "unsafe"}, category="colours"),
    Told(id="blocked-1", answer=Failure(outcome="input_blocked", reason="filter", message="no"), category="colours"),
    Told(id="reasoned-1", labels={FIRST: "judge_unparsable"}, reasoning="First I look at it."),
]


def one(folder: Path) -> Path:
    """A run of 44 samples that two judges have seen."""
    return stored(folder / "one", TOLD, model="fake/one")


def two(folder: Path) -> Path:
    """The same items under another model, of which two count as something else and the last two are missing."""
    flipped = {"plain-3": {FIRST: "unsafe"}, "unsafe-1": {FIRST: "safe"}}
    told = [Told(id=each.id, labels=flipped.get(each.id, each.labels), category=each.category) for each in TOLD[:-2]]
    return stored(folder / "two", told, model="fake/two")
