"""Reads replies strictly. What is wrong with one is raised as Unreadable, so that the model can be told.

A reply in JSON is one value, alone or in one code fence; fields that were not asked for are ignored. A reply in prose
has no headings, lists, tables, code or JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from harness import Json
from harness.rubric.replies import parse_json_reply
from harness_builder.calls.results import Unreadable

_LONGEST_REFUSAL: Final = 300  # letters; a longer one gives its reasons
_FORBIDDEN: Final[Mapping[str, re.Pattern[str]]] = {
    "code": re.compile(r"^\s*```", re.MULTILINE),
    "headings": re.compile(
        r"^\s*(?:#{1,6}\s|(\*\*|__)[^\n]*\1:?\s*$|[^\n.!?\u3002\uff01\uff1f]{1,60}[:\uff1a]\s*$)", re.MULTILINE
    ),
    "lists": re.compile(r"^\s*(?:[-*+•‣·]|\(?\d{1,2}[.)、])\s", re.MULTILINE),
    "tables": re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE),
}


def parse_fields(text: str) -> Mapping[str, Json]:
    """The fields of a reply that is one JSON object."""
    found = _parse_json(text)
    if not isinstance(found, dict):
        raise Unreadable("the reply is not a JSON object")
    return cast("dict[str, Json]", found)


def parse_items(text: str) -> Sequence[Mapping[str, Json]]:
    """The items of a reply that is one JSON list of objects."""
    found = _parse_json(text)
    if not isinstance(found, list):
        raise Unreadable("the reply is not a JSON list")
    listed = cast("Sequence[Json]", found)
    if strangers := [place for place, each in enumerate(listed, start=1) if not isinstance(each, dict)]:
        raise Unreadable(f"item {strangers[0]} of the list is not a JSON object")
    return listed


def get_flag(fields: Mapping[str, Json], name: str) -> bool:
    """A field that is true or false."""
    value = fields.get(name)
    if not isinstance(value, bool):
        raise Unreadable(f"field {name!r} must be true or false")
    return value


def get_text(fields: Mapping[str, Json], name: str) -> str:
    """A text in one line; empty if the field is missing."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise Unreadable(f"field {name!r} must be a text")
    whole = value.encode("utf-8", "replace").decode()  # a lone surrogate would break the file that it is written to
    return " ".join(whole.split())


def parse_prose(text: str) -> str:
    """An answer in paragraphs."""
    answer = text.strip()
    if not answer:
        raise Unreadable("it is empty")
    try:
        is_json = isinstance(json.loads(answer), dict | list)
    except (ValueError, RecursionError):
        is_json = answer.startswith("{")
    if is_json:
        raise Unreadable("it is JSON; write plain prose")
    for what, pattern in _FORBIDDEN.items():
        if pattern.search(answer):
            raise Unreadable(f"it holds {what}; write plain prose in whole sentences")
    return answer


def parse_refusal(text: str) -> str:
    """A refusal in prose that is too short to give a reason."""
    answer = parse_prose(text)
    if len(answer) > _LONGEST_REFUSAL:
        raise Unreadable(f"it is longer than {_LONGEST_REFUSAL} letters; decline in a sentence, without a reason")
    return answer


def _parse_json(text: str) -> Json:
    try:
        return parse_json_reply(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error) if isinstance(error, ValueError) else "it is nested too deep") from None
