"""The types of questions to models, of results of calls and steps, and of stored calls; and the readers of replies.

Replies are read strictly. A fault is raised as Unreadable, and its text is sent to the model. A reply in JSON is one
value, alone or in one code fence; other fields than those asked for are ignored. A reply in prose has no headings,
lists, tables, code or JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast

from harness import Drawing, Json, Request, Usage
from harness.http.status import as_list
from harness.rubric.replies import parse_json_reply
from harness_builder.plan import Role
from harness_builder.stops import KINDS, Stop, StopKind, stop_text
from harness_builder.values import End, Step

T = TypeVar("T")
CallRole = Role | Literal["painter"]
PAINTER: Final[CallRole] = "painter"
_STOPPED: Final = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """A usable reply.

    Attributes:
        value: the parsed reply: plain JSON, with a hard stop in place of each stopped item.
        call: digest of the request, by which the call is stored.
    """

    value: Json
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingReply:
    """A finished drawing in the build's folder.

    Attributes:
        sha256: of its bytes.
        prompt: the provider's own prompt, if it changed the given one; else empty.
        call: digest of the request.
    """

    sha256: str
    prompt: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """The end of a seed, element or candidate.

    Attributes:
        end: how it ended; never `kept`.
        why: the reason in a few words, the same for all with this reason; for a stop its kind alone.
        call: digest of the call that ended it; empty if none did.
        again: the reason may pass: the next build tries it again.
        note: details of this one, for its story; empty for a stop.
        before: digests of the earlier successful calls of the same step, in order.
    """

    end: End
    why: str
    call: str = ""
    again: bool = False
    note: str = ""
    before: tuple[str, ...] = ()

    @classmethod
    def at_stop(cls, stop: Stop, call: str = "") -> Halted:
        """The end by a hard stop."""
        return cls(end="stopped", why=stop.kind, call=call)

    @property
    def calls(self) -> tuple[str, ...]:
        """Digests of all calls of the step until it ended, in order."""
        return (*self.before, *((self.call,) if self.call else ()))

    def after(self, calls: Iterable[str]) -> Halted:
        """The same end, after these calls of the same step; a stop keeps its kind alone."""
        if self.end == "stopped":
            return self
        return replace(self, before=tuple(dict.fromkeys((*calls, *self.before))))


CallResult = ModelReply | DrawingReply | Halted


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult(Generic[T]):
    """The result of a step that succeeded.

    Attributes:
        value: what the step made.
        calls: digests of its calls, in order.
        notes: for the story.
    """

    value: T
    calls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """The usage of calls.

    Attributes:
        step: of the calls.
        role: that was asked.
        model: its provider's name for it; empty if unknown.
        calls: on the wire. Tries that failed for a passing reason belong to their call.
        usage: tokens.
        images: drawn images.
        seconds: from request to reply.
    """

    step: Step
    role: CallRole
    model: str = ""
    calls: int = 1
    usage: Usage = Usage()
    images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """One question and its result.

    Attributes:
        call: digest of the request.
        owners: keys of the seeds and elements that asked it; after a look-up for one owner, that one alone.
        result: the reply, the drawing or the end.
        spent: its usage, with the second try after an unreadable reply.
    """

    call: str
    owners: tuple[str, ...]
    result: CallResult
    spent: CallUsage


# ---- asking ----------------------------------------------------------------------------------------------------------


class Unreadable(Exception):
    """A reply is not what was asked for; the text says what is wrong, for the model.

    If the second reply is unreadable too, the text up to a semicolon is stored as the reason. It is the same for all
    replies with this fault, and quotes nothing of them.
    """


#: text of a reply -> plain JSON; raises Unreadable
ReplyReader = Callable[[str], Json]
#: parsed reply -> the same, with a hard stop in place of what may not be stored; a Stop for all of it
ReplyFilter = Callable[[Json], "Json | Stop"]


def filter_reply(value: Json) -> Json | Stop:
    """The value, or a stop if its texts and keys, read as one text, may not be stored."""
    return stop_text(*list_texts(value)) or value


def filter_items(value: Json) -> Json | Stop:
    """The list with a stop in place of each item that may not be stored; any other value counts as one item."""
    if not isinstance(value, list):
        return filter_reply(value)
    items = [(item, filter_reply(item)) for item in as_list(value)]
    return [stop_to_json(found) if isinstance(found, Stop) else item for item, found in items]


def list_texts(value: Json) -> Iterator[str]:
    """All texts in a JSON value, in order, keys of objects among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in cast("Mapping[str, Json]", value).items():
            yield key
            yield from list_texts(each)
    elif isinstance(value, list | tuple):
        for each in cast("Iterable[Json]", value):
            yield from list_texts(each)


def stop_to_json(stop: Stop) -> Json:
    """The stored form of a stopped item: the kind alone."""
    return {_STOPPED: stop.kind}


def stop_of(item: Json) -> Stop | None:
    """The stop that an item of a stored reply holds; None for any other item."""
    if not isinstance(item, dict):
        return None
    found = cast("dict[str, Any]", item)
    kind: StopKind | None = next((kind for kind in KINDS if found == {_STOPPED: kind}), None)
    return None if kind is None else Stop(kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """One question to a model.

    Attributes:
        step: that asks.
        owner: key of the seed or element that it is about. If the owner is stopped, its calls are deleted.
        role: that is asked.
        request: its images need not be open.
        read: reads the reply. An unreadable one is asked for once more, with its fault named.
        keep: returns the part of the value that may be stored.
        draw: another number asks for another reply to the same question.
        prose: the reply is prose and not JSON, so words of declining in it do not make it a refusal.
    """

    step: Step
    owner: str
    role: Role
    request: Request
    read: ReplyReader
    keep: ReplyFilter = filter_reply
    draw: int = 0
    prose: bool = False


class CallRunner(Protocol):
    """Asks the models and the painter of a build. Every call is stored, and never made twice."""

    async def ask(self, query: ModelQuery) -> ModelReply | Halted:
        """The parsed reply; from the store if the same was asked before.

        A refusal of the model and a block of its provider's filter end as `refused`. Two unreadable replies, a reply
        that was cut off, and a failed call end as `failed`. A reply that may not be stored ends as `stopped`, and
        nothing of it is stored.

        Raises:
            HarnessError: no call can succeed (no such model, a wrong key), or a limit of the plan is reached.
        """
        ...

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> DrawingReply | Halted:
        """The drawing; otherwise like `ask`."""
        ...

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> ModelReply | Halted:
        """The unparsed text of the reply, for a caller with its own reader."""
        ...

    def forget(self, owner: str) -> None:
        """Delete the stored calls of a stopped element, and drawings that no other element uses."""

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """Replace one item of a reply that holds a list with a stop."""


# ---- reading replies -------------------------------------------------------------------------------------------------

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
