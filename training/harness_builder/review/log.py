"""The lines of a reviewer's file, see `harness.review.log`: decisions on candidates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from harness.review import Answer, LogFormat, read_text
from harness.review.log import LEFT_OUT, SKIPPED, UNDONE
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
    "combination_risky": (bool, type(None)),
    "reason": (str,),
    "seconds": (int, float),
    "at": (str,),
}


def parse_review(fields: Mapping[str, Any]) -> Review:
    """A review from plain JSON. Raises ValueError for a field that is unknown, missing or of another type."""
    for name, value in fields.items():
        kinds = _FIELDS.get(name)
        if kinds is None:
            raise ValueError(f"{name} is not a field of a review")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name} is {value!r}")
    for name in ("key", "reviewer", "decision"):
        if not fields.get(name):
            raise ValueError(f"{name} is missing")
    if fields["decision"] not in DECISIONS:
        raise ValueError(f"decision {fields['decision']!r} is not one of {', '.join(DECISIONS)}")
    return Review(**fields)


def _write(answer: Answer[Review]) -> dict[str, Json]:
    fields = dataclasses.asdict(answer.payload)
    if fields["combination_risky"] is None:  # lines of older versions lack it, and older versions pass it over
        del fields["combination_risky"]
    return {**fields, "at": answer.at, "shown": answer.shown}


def _read(line: Mapping[str, Any]) -> Answer[Review]:
    if line["decision"] not in DECISIONS:
        known = ", ".join((*DECISIONS, SKIPPED, UNDONE, LEFT_OUT))
        raise ValueError(f"decision {line['decision']!r} is none of {known}")
    review = parse_review({name: line[name] for name in _FIELDS if name in line})
    return Answer(key=review.key, payload=review, shown=read_text(line, "shown"), at=review.at)


FORMAT: Final[LogFormat[Review]] = LogFormat(
    prefix="reviews", noun="a review", key="key", reviewer="reviewer", act="decision", write=_write, read=_read
)
