"""What the page is sent and what it may send. What the model thinks of a candidate goes out once it is answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from harness import HarnessError
from harness.types import Json
from harness_builder.values import Candidate, Review

from . import entries
from .desk import Desk
from .entries import Answered, Skipped
from .queue import Queue

BODY_LIMIT: Final = 1 << 18  #: bytes of what the page sends
_LONGEST: Final = 20_000  # characters of a reason or a question
_DAY: Final = 86_400.0  # seconds; a page that was open for longer was not being read


def state(queue: Queue, desk: Desk, draft: Review | None = None) -> dict[str, Json]:
    """All that the page shows: how far the reviewer is, the candidate in front of them, and what they said last."""
    standing = desk.standing()
    key = next(iter(standing.open), "")
    return {
        "reviewer": desk.reviewer,
        "total": len(queue.candidates),
        "decided": len(standing.decided),
        "skipped": len(standing.skipped),
        "left_out": len(standing.left_out),
        "open": len(standing.open),
        "categories": list(queue.categories),
        "out": list(standing.categories),
        "candidate": _candidate(queue, queue.candidates[key]) if key else None,
        "draft": None if draft is None else _plain(draft),
        "last": None if standing.last is None else _last(queue, standing.last),
        "then": queue.then,
    }


def _candidate(queue: Queue, candidate: Candidate) -> dict[str, Json]:
    pictures = queue.pictures.of(candidate)
    return {
        "key": candidate.key,
        "category": candidate.category,
        "question": candidate.question,
        "source": candidate.source,
        "images": [
            {"object": shows, "sha256": picture.sha256, "why": picture.why}
            for shows, picture in zip(candidate.objects, pictures, strict=True)
        ],
    }


def _last(queue: Queue, last: Answered | Skipped) -> dict[str, Json]:
    candidate = queue.candidates[last.key]
    said: dict[str, Json] = {"key": last.key, "question": candidate.question}
    if isinstance(last, Answered):
        return {**said, "decision": last.review.decision, "opinion": dict(candidate.opinion)}
    return {**said, "decision": "skip", "opinion": {}}


def _plain(review: Review) -> dict[str, Json]:
    names = ("decision", "category", "question", "text_unsafe", "image_harmful", "reason")
    return {name: getattr(review, name) for name in names}


def sent(body: bytes, needed: Mapping[str, type]) -> dict[str, Any]:
    """The object that a page sent, with at least these fields of these types. Raises HarnessError for another."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise HarnessError("this is no JSON object")
    fields = cast("dict[str, Any]", found)
    for name, kind in needed.items():
        if not isinstance(fields.get(name), kind):
            raise HarnessError(f"{name} is missing or of another type")
    return fields


def review(fields: Mapping[str, Any]) -> Review:
    """The decision that a page sent. Raises HarnessError for a field that is unknown, too long or of another type."""
    cut = {name: value.strip() if name in ("reason", "question") else value for name, value in _texts(fields).items()}
    try:
        made = entries.review({**fields, **cut})
    except ValueError as error:
        raise HarnessError(str(error)) from None
    if max(map(len, cut.values())) > _LONGEST:
        raise HarnessError(f"a text is longer than {_LONGEST} characters")
    if made.at or not (math.isfinite(made.seconds) and made.seconds >= 0):
        raise HarnessError("when, and how long it took, cannot be that")
    return made if made.seconds <= _DAY else _without_time(made)


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _without_time(made: Review) -> Review:
    return replace(made, seconds=0.0)
