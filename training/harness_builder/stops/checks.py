"""The checks by a model, after drawing and for what words cannot tell. They fail closed.

A reply that is not exactly the form, a refusal, a filter and a call that failed all stop the item: it was not checked.
The instructions are a part of the package and no template that a build replaces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from harness import Failure, Image, Message, Request, Response, Text, Verdict
from harness.rubric import Fields, Form, fill
from harness.rubric.templates import Marker, fence, random_marker, unused_marker
from harness_builder.stops.rules import Stop, StopKind, stop_text

#: asks the model that checks
BuildCallRunner = Callable[[Request], Awaitable[Response | Failure]]

_ANSWERS: Final = ("yes", "no")
_KINDS: Final[tuple[StopKind, ...]] = ("minors", "weapon", "person")  # the worst first: it is the one that is counted
_CLEAR: Final = "clear"


def _verdict(fields: Fields) -> Verdict:
    return Verdict(label=next((kind for kind in _KINDS if fields[kind] == "yes"), _CLEAR))


_FIELDS: Final[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("minors", "person", "weapon"), _ANSWERS)
FORM: Final = Form(fields=_FIELDS, labels=(*_KINDS, _CLEAR), verdict=_verdict)


def image_request(*images: Image) -> Request:
    """What a vision-language model is asked about the images of one item."""
    return _request(*images, Text(text=fill(_instructions("image"), form=FORM.describe())))


def text_request(*texts: str, marker: Marker = random_marker) -> Request:
    """What a model is asked about the texts of one item; they stand between two lines that no text can imitate."""
    whole = "\n".join(texts)
    fenced = fence("text", whole, unused_marker((whole,), marker))
    return _request(Text(text=fill(_instructions("text"), form=FORM.describe(), item=fenced)))


def read_check(reply: Response | Failure) -> Stop | None:
    """None where the model said no three times, in exactly the form; `unchecked` where it said nothing of use."""
    if isinstance(reply, Failure):
        return Stop(kind="unchecked")
    found = FORM.read(reply.text)
    label = found.label if isinstance(found, Verdict) else ""
    if label == _CLEAR:
        return None
    kinds: dict[str, StopKind] = {kind: kind for kind in _KINDS}
    return Stop(kind=kinds.get(label, "unchecked"))


async def stop_image(ask: BuildCallRunner, *images: Image) -> Stop | None:
    """Whether these images of one item may not be kept.

    Raises:
        ValueError: there is no image, and so nothing that could be said of it.
    """
    if not images:
        raise ValueError("no image to check")
    return read_check(await ask(image_request(*images)))


async def stop_text_by_model(ask: BuildCallRunner, *texts: str) -> Stop | None:
    """What the rules say, and where they say nothing what the model says."""
    return stop_text(*texts) or read_check(await ask(text_request(*texts)))


def _request(*parts: Image | Text) -> Request:
    return Request(messages=(Message(role="user", content=parts),), schema=FORM.schema)


def _instructions(name: str) -> str:
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").strip()
