"""The hard stops, before anything is drawn and before anything that was drawn goes on. They fail closed.

The words' rule comes first and costs no call. Of the model's reply nothing but the kind of a stop is ever read. Only
three times no, in exactly the form, lets something through: prose, a refusal, a filter and a reply that was cut off
stop it as `unchecked`. Of a call that failed for a reason that may pass nothing was decided, so the next build asks
again. An image that cannot be read is shown to nobody, and ends as `failed`.
"""

from __future__ import annotations

from typing import Final

from harness import Image, Json, Request, Response
from harness_builder.calls.values import Asked, Ended, Passed, blank, stop_of
from harness_builder.stops import Kind, Stop, image_request, read_check, stop_text, text_request
from harness_builder.values import Step

from .workshop import Workshop

_CLEAR: Final = "clear"


async def check_texts(shop: Workshop, step: Step, owner: str, *texts: str) -> Passed[None] | Ended:
    """Whether the texts of one item may go on, read as one. By the rule, then by the model."""
    if stop := stop_text(*texts):
        return _stopped(stop.kind)
    return await _asked(shop, step, owner, text_request(*texts))


async def check_images(shop: Workshop, step: Step, owner: str, *images: Image) -> Passed[None] | Ended:
    """Whether images of one item may go on, shown together.

    Raises:
        ValueError: there is no image, and so nothing that could be said of it.
    """
    if not images:
        raise ValueError("no image to check")
    return await _asked(shop, step, owner, image_request(*images))


async def _asked(shop: Workshop, step: Step, owner: str, request: Request) -> Passed[None] | Ended:
    asked = Asked(step=step, owner=owner, role="checker", request=request, read=_read, sieve=_sieve)
    said = await shop.asker.ask(asked)
    if not isinstance(said, Ended):
        return Passed(value=None, calls=(said.call,))
    unasked = not said.call
    return said if said.end == "stopped" or said.again or unasked else _stopped("unchecked", said.call)


def _read(text: str) -> Json:
    """The kind of the stop: a reply of another form is not asked for again, since it was not checked."""
    stop = read_check(Response(text=text))
    return _CLEAR if stop is None else blank(stop)


def _sieve(said: Json) -> Json | Stop:
    return stop_of(said) or said


def _stopped(kind: Kind, call: str = "") -> Ended:
    return Ended(end="stopped", why=kind, call=call)
