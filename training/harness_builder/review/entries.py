"""A line of a reviewer's file as a value and back: an answer, a candidate passed over, one taken back, an opt-out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.types import Json
from harness_builder.values import Review

DECISIONS: Final = ("keep", "drop", "fix")
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "key": (str,),
    "reviewer": (str,),
    "decision": (str,),
    "category": (str,),
    "question": (str,),
    "text_unsafe": (bool, type(None)),
    "image_harmful": (bool, type(None)),
    "reason": (str,),
    "seconds": (int, float),
    "at": (str,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A decision; `shown` is the hash of what was decided on, see `Queue.shown`."""

    review: Review
    shown: str

    @property
    def key(self) -> str:
        """Of the candidate."""
        return self.review.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A candidate that the reviewer would rather not decide."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was said of this candidate is taken back."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The categories that the reviewer does not want to see, from here on: all of them, not only new ones."""

    categories: tuple[str, ...]
    at: str


Entry = Answered | Skipped | Undone | LeftOut


def line(entry: Entry, reviewer: str) -> dict[str, Json]:
    """An entry as JSON."""
    match entry:
        case Answered():
            return {**dataclasses.asdict(entry.review), "reviewer": reviewer, "shown": entry.shown}
        case LeftOut():
            return {"reviewer": reviewer, "decision": "left_out", "categories": list(entry.categories), "at": entry.at}
        case Skipped():
            return {"key": entry.key, "reviewer": reviewer, "decision": "skipped", "at": entry.at}
        case Undone():
            return {"key": entry.key, "reviewer": reviewer, "decision": "undone", "at": entry.at}


def entry(read: Json, reviewer: str) -> Entry:
    """What a line says. Raises ValueError for what none of ours does."""
    found: Mapping[str, Any] = cast("Mapping[str, Any]", read) if isinstance(read, dict) else {}
    decision = _text(found, "decision")
    if found.get("reviewer") != reviewer:
        raise ValueError(f"it is of reviewer {found.get('reviewer')!r}")
    if decision in DECISIONS:
        return Answered(
            review=review({name: found[name] for name in _FIELDS if name in found}), shown=_text(found, "shown")
        )
    if decision == "left_out":
        return LeftOut(categories=_texts(found, "categories"), at=_text(found, "at"))
    if decision == "skipped":
        return Skipped(key=_text(found, "key"), at=_text(found, "at"))
    if decision == "undone":
        return Undone(key=_text(found, "key"), at=_text(found, "at"))
    raise ValueError(f"decision {decision!r} is none of {', '.join(DECISIONS)}, skipped, undone, left_out")


def review(fields: Mapping[str, Any]) -> Review:
    """A review from plain JSON. Raises ValueError for a field that is unknown, missing or of another type."""
    for name, value in fields.items():
        kinds = _FIELDS.get(name)
        if kinds is None:
            raise ValueError(f"{name} is no field of a review")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name} is {value!r}")
    for name in ("key", "reviewer", "decision"):
        if not fields.get(name):
            raise ValueError(f"{name} is missing")
    if fields["decision"] not in DECISIONS:
        raise ValueError(f"decision {fields['decision']!r} is none of {', '.join(DECISIONS)}")
    return Review(**fields)


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is {value!r}")


def _texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = found.get(name)
    if isinstance(value, list):
        every = cast("Sequence[Any]", value)
        if all(isinstance(each, str) for each in every):
            return tuple(every)
    raise ValueError(f"{name} is {value!r}")
