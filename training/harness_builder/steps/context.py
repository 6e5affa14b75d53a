"""What every step works with.

Calls of one element side by side, and which of their ends is the element's.

The hard stops, before anything is drawn and before anything that was drawn goes on. They fail closed.

The words' rule comes first and costs no call. Of the model's reply nothing but the kind of a stop is ever read. Only
three times no, in exactly the form, lets something through: prose, a refusal, a filter and a reply that was cut off
stop it as `unchecked`. Of a call that failed for a reason that may pass nothing was decided, so the next build asks
again. An image that cannot be read is shown to nobody, and ends as `failed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio

from harness import HarnessError, Image, Json, Request, Response
from harness_builder.calls.results import CallRunner, Halted, ModelQuery, StepResult, blank, stop_of
from harness_builder.plan import Plan
from harness_builder.prompts.templates import Prompts
from harness_builder.stops import Stop, StopKind, image_request, read_check, stop_text, text_request
from harness_builder.values import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What every step works with.

    Attributes:
        plan: of the build.
        prompts: its templates.
        asker: asks models and painter.
        image: sha256 -> the image of the build's folder, not opened.
    """

    plan: Plan
    prompts: Prompts
    asker: CallRunner
    image: Callable[[str], Image]


_A = TypeVar("_A")
_T = TypeVar("_T")


async def gather(call: Callable[[_A], Awaitable[_T]], each: Iterable[_A]) -> list[_T]:
    """What a call gives for each, in order.

    Raises:
        HarnessError: of one of them, once all have ended: what is under way is paid for, and is to be kept.
    """
    wanted = list(each)
    found: dict[int, _T] = {}
    faults: list[HarnessError] = []

    async def one(place: int, about: _A) -> None:
        try:
            found[place] = await call(about)
        except HarnessError as fault:
            faults.append(fault)

    async with anyio.create_task_group() as group:
        for place, about in enumerate(wanted):
            group.start_soon(one, place, about)
    if faults:
        raise faults[0]
    return [found[place] for place in range(len(wanted))]


def end_of(results: Sequence[object]) -> Halted | None:
    """The end of all that these are of: a hard stop before all else, then what is decided; None where none ended."""
    ends = [each for each in results if isinstance(each, Halted)]
    return min(ends, key=lambda end: (end.end != "stopped", end.again), default=None)


_CLEAR: Final = "clear"


async def check_texts(shop: BuildContext, step: Step, owner: str, *texts: str) -> StepResult[None] | Halted:
    """Whether the texts of one item may go on, read as one. By the rule, then by the model."""
    if stop := stop_text(*texts):
        return _stopped(stop.kind)
    return await _asked(shop, step, owner, text_request(*texts))


async def check_images(shop: BuildContext, step: Step, owner: str, *images: Image) -> StepResult[None] | Halted:
    """Whether images of one item may go on, shown together.

    Raises:
        ValueError: there is no image, and so nothing that could be said of it.
    """
    if not images:
        raise ValueError("no image to check")
    return await _asked(shop, step, owner, image_request(*images))


async def _asked(shop: BuildContext, step: Step, owner: str, request: Request) -> StepResult[None] | Halted:
    asked = ModelQuery(step=step, owner=owner, role="checker", request=request, read=_read, sieve=_sieve)
    said = await shop.asker.ask(asked)
    if not isinstance(said, Halted):
        return StepResult(value=None, calls=(said.call,))
    unasked = not said.call
    return said if said.end == "stopped" or said.again or unasked else _stopped("unchecked", said.call)


def _read(text: str) -> Json:
    """The kind of the stop: a reply of another form is not asked for again, since it was not checked."""
    stop = read_check(Response(text=text))
    return _CLEAR if stop is None else blank(stop)


def _sieve(said: Json) -> Json | Stop:
    return stop_of(said) or said


def _stopped(kind: StopKind, call: str = "") -> Halted:
    return Halted(end="stopped", why=kind, call=call)
