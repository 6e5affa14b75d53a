"""Answers in prose: without headings, lists, code and JSON, as an assistant speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from harness_builder.calls.values import Unreadable

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
