"""How a reply ends what was asked, where it is no use; nothing of the reply is in what is said of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from harness import Failure, Response
from harness.phrases import REFUSALS, finder, read_phrases
from harness.rubric.replies import json_alone
from harness.types import BLOCKED
from harness_builder.stops import Stop, stop_text

from .values import Asked, Ended, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY: Final = "the reply is empty"
_LONGEST: Final = 120  # letters of a reason


def failed(failure: Failure, call: str) -> Ended:
    """A call that gave nothing; only a failure that may pass is worth another build."""
    if failure.outcome in BLOCKED:
        return Ended(end="refused", why="blocked", call=call)
    if failure.outcome == "bad_sample":
        return Ended(end="failed", why=f"not possible: {failure.reason}", call=call)
    return Ended(end="failed", why=f"error: {failure.reason}", call=call, again=True)


def flagged(reply: Response, call: str) -> Ended | None:
    """What the provider says of a reply: the model declined, or was cut off; None where there is something to read."""
    if "refusal" in reply.flags:
        return refused(call)
    return Ended(end="failed", why="cut off", call=call) if "truncated" in reply.flags else None


def refused(call: str) -> Ended:
    """The model itself declined."""
    return Ended(end="refused", why="refused", call=call)


def stopped(stop: Stop, call: str = "") -> Ended:
    """A hard stop."""
    return Ended(end="stopped", why=stop.kind, call=call)


def declines(text: str) -> bool:
    """Whether a reply that cannot be read is a refusal in prose, by the harness's own rule; what holds JSON is none."""
    return "{" not in text and bool(_refusal()(text))


def unread(asked: Asked, text: str, error: Unreadable, call: str) -> Ended:
    """A reply that was asked for as often as may be and cannot be read."""
    return Ended(end="failed", why=_why(asked, text, str(error)), call=call)


def _why(asked: Asked, text: str, error: str) -> str:
    if not text.strip():
        return EMPTY
    if not asked.prose and not _is_json(text):
        return "no JSON"
    said = error.partition(";")[0][:_LONGEST]
    # a step's words quote nothing of the reply; where they do, they are not kept
    return said if said and not stop_text(said) else "not of the form asked for"


def _is_json(text: str) -> bool:
    try:
        json_alone(text)
    except (ValueError, RecursionError):
        return False
    return True


@cache
def _refusal() -> Callable[[str], str]:
    return finder(read_phrases(REFUSALS))
