"""What a model is asked about texts and images that may have to be stopped, and how its reply is read. It fails closed.

A reply that is not exactly the form, a refusal, a filter and a call that failed all stop the item: it was not checked.
The instructions are a part of the package and no template that a build replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness import Failure, Image, Message, Request, Response, Text, Verdict
from harness.rubric import ReplySchema, fill
from harness.rubric.templates import Marker, fence, random_marker, unused_marker

from .rules import Stop, StopKind

#: the worst first: it is the one that is counted
_ASKED: Final[Mapping[str, StopKind]] = {"minors": "minors", "weapon": "weapon", "person": "person"}
_CLEAR: Final = "clear"
FORM: Final = ReplySchema(
    fields=dict.fromkeys(("minors", "person", "weapon"), ("yes", "no")),
    labels=(*_ASKED, _CLEAR),
    verdict=lambda fields: Verdict(label=next((kind for kind in _ASKED if fields[kind] == "yes"), _CLEAR)),
)


def image_request(*images: Image) -> Request:
    """What a vision-language model is asked about the images of one item."""
    return _build_request(*images, Text(text=fill(_read_instructions("image"), form=FORM.describe())))


def text_request(*texts: str, marker: Marker = random_marker) -> Request:
    """What a model is asked about the texts of one item; they stand between two lines that no text can imitate."""
    whole = "\n".join(texts)
    fenced = fence("text", whole, unused_marker((whole,), marker))
    return _build_request(Text(text=fill(_read_instructions("text"), form=FORM.describe(), item=fenced)))


def read_check(reply: Response | Failure) -> Stop | None:
    """None if the model said no three times, in exactly the form; `unchecked` if it said nothing of use."""
    found = None if isinstance(reply, Failure) else FORM.read(reply.text)
    label = found.label if isinstance(found, Verdict) else ""
    return None if label == _CLEAR else Stop(kind=_ASKED.get(label, "unchecked"))


def _build_request(*parts: Image | Text) -> Request:
    return Request(messages=(Message(role="user", content=parts),), schema=FORM.schema)


def _read_instructions(name: str) -> str:
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").strip()
