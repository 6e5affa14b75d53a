"""One item, whole, as a page reads it: what was asked in order, the answer, what each judge said, time and tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from harness.runs.items import Item, Said
from harness.runs.parts import Part
from harness.types import Json

from .rows import seconds_of

#: texts of an answer or of a failure, beside `text`
_TEXTS = ("reasoning", "message", "notes", "steps")


def detail(item: Item, part: Part, *, redacted: bool) -> dict[str, Json]:
    """All of an item; redacted, no text and no image of it: names, labels, counts and numbers."""
    asked, response = item.answer.asked, item.answer.response or {}
    prompt: Sequence[Mapping[str, Any]] = response.get("prompt", ())
    images = sum("image" in each for each in prompt)
    found: dict[str, Json] = {
        "item": item.item,
        "part": part.title,
        "task": part.display,
        "sample": str(asked["id"]),
        "epoch": int(asked["epoch"]),
        "category": str(asked.get("category") or ""),
        "outcome": item.outcome,
        "label": item.label,
        "flags": list(item.flags),
        "reason": str(response.get("reason", "") if response else "no answer yet"),
        "seconds": seconds_of(response),
        "at": str(response.get("at", "")),
        "model": str(response.get("model", "")),
        "usage": response.get("usage", {}),
        "images": images,
        "texts": len(prompt) - images,
        "judges": [_said(said, part, redacted=redacted) for said in item.said.values()],
    }
    return found if redacted else {**found, **_words(item, part, prompt, response)}


def tags(item: Item) -> dict[str, Json]:
    """The tags of an item."""
    return dict(item.answer.asked.get("tags") or {})


def grouping(part: Part) -> tuple[str, ...]:
    """The tags by which results break a split's numbers down: names, as categories are."""
    return () if part.words.split is None else part.words.split.by


def is_text(value: object) -> bool:
    """Whether a tag or a score is a text of several words, which may be harmful, and no name."""
    return len(str(value).split()) > 1


def _words(item: Item, part: Part, prompt: Sequence[Mapping[str, Any]], response: Mapping[str, Any]) -> dict[str, Json]:
    asked = item.answer.asked
    return {
        "prompt": [dict(each) for each in prompt],
        "answer": item.answer.text,
        "tags": tags(item),
        "folded": [name for name, value in tags(item).items() if is_text(value) and name not in grouping(part)],
        "target": asked.get("target"),
        **{name: response[name] for name in _TEXTS if response.get(name)},
    }


def _said(said: Said, part: Part, *, redacted: bool) -> dict[str, Json]:
    axes = {name: value for name, value in said.axes.items() if not redacted or isinstance(value, int | float)}
    found: dict[str, Json] = {
        "judge": said.judge,
        "primary": said.judge == part.words.primary,
        "state": said.state,
        "label": said.label,
        "axes": axes,
        "models": list(said.models),
        "usage": dict(said.usage),
        "at": said.at,
    }
    return found if redacted else {**found, "reason": said.reason, "raw": list(said.raw)}


def haystack(item: Item, *, redacted: bool) -> str:
    """What a search looks through, in one case."""
    asked = item.answer.asked
    names = [item.item, str(asked.get("category") or ""), item.outcome, item.label]
    return "\n".join([*names, *(() if redacted else _all_texts(item))]).casefold()


def _all_texts(item: Item) -> Iterator[str]:
    response = item.answer.response or {}
    yield item.answer.question
    yield item.answer.text
    yield str(response.get("reasoning", ""))
    yield str(response.get("message", ""))
    for said in item.said.values():
        yield said.reason
        yield from said.raw


def encoded(value: Json) -> bytes:
    """A value as JSON that any browser reads: in ASCII, and a number that is none is null."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_sound(value), separators=(",", ":")).encode()


def _sound(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _sound(each) for name, each in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_sound(each) for each in cast("Sequence[Any]", value)]
    return value
