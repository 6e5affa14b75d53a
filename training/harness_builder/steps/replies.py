"""Replies in JSON, read strictly: what is wrong with one is said, so that the model can be told.

A reply is one JSON value, alone or in one code fence. Fields that nobody asked for are ignored.

Answers in prose: without headings, lists, code and JSON, as an assistant speaks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from harness import Json
from harness.rubric.replies import json_alone
from harness_builder.calls.results import Unreadable


def alone(text: str) -> Json:
    """The JSON of a reply. Raises Unreadable unless it is JSON and nothing else."""
    try:
        return json_alone(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error) if isinstance(error, ValueError) else "it is nested too deep") from None


def fields(text: str) -> Mapping[str, Json]:
    """The fields of a reply. Raises Unreadable unless it is one JSON object and nothing else."""
    found = alone(text)
    if not isinstance(found, dict):
        raise Unreadable("the reply is not a JSON object")
    return cast("dict[str, Json]", found)


def items(text: str) -> Sequence[Mapping[str, Json]]:
    """The items of a reply, each with its fields. Raises Unreadable unless it is one JSON list of objects."""
    found = alone(text)
    if not isinstance(found, list):
        raise Unreadable("the reply is not a JSON list")
    listed = cast("Sequence[Json]", found)
    if strangers := [place for place, each in enumerate(listed, start=1) if not isinstance(each, dict)]:
        raise Unreadable(f"item {strangers[0]} of the list is not a JSON object")
    return listed


def flag(found: Mapping[str, Json], name: str) -> bool:
    """A field that is true or false. Raises Unreadable."""
    value = found.get(name)
    if not isinstance(value, bool):
        raise Unreadable(f"field {name!r} must be true or false")
    return value


def words(found: Mapping[str, Json], name: str) -> str:
    """A text in one line, empty where the field is missing. Raises Unreadable for what is no text."""
    value = found.get(name, "")
    if not isinstance(value, str):
        raise Unreadable(f"field {name!r} must be a text")
    whole = value.encode("utf-8", "replace").decode()  # a lone surrogate would break the file that it is written to
    return " ".join(whole.split())


_LONGEST_REFUSAL: Final = 300  # letters; a longer one gives its reasons
_FORBIDDEN: Final[Mapping[str, re.Pattern[str]]] = {
    "code": re.compile(r"^\s*```", re.MULTILINE),
    "headings": re.compile(
        r"^\s*(?:#{1,6}\s|(\*\*|__)[^\n]*\1:?\s*$|[^\n.!?\u3002\uff01\uff1f]{1,60}[:\uff1a]\s*$)", re.MULTILINE
    ),
    "lists": re.compile(r"^\s*(?:[-*+•‣·]|\(?\d{1,2}[.)、])\s", re.MULTILINE),
    "tables": re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE),
}


def prose(text: str) -> str:
    """The answer. Raises Unreadable for one that is empty or has another form than paragraphs."""
    answer = text.strip()
    if not answer:
        raise Unreadable("it is empty")
    if _is_json(answer):
        raise Unreadable("it is JSON; write plain prose")
    for what, pattern in _FORBIDDEN.items():
        if pattern.search(answer):
            raise Unreadable(f"it holds {what}; write plain prose in whole sentences")
    return answer


def short_prose(text: str) -> str:
    """A refusal that gives no reason. Raises Unreadable, as `prose`, and for one that is long."""
    answer = prose(text)
    if len(answer) > _LONGEST_REFUSAL:
        raise Unreadable(f"it is longer than {_LONGEST_REFUSAL} letters; decline in a sentence, without a reason")
    return answer


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return text.startswith("{")
