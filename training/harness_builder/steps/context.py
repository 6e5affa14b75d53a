"""Shared by all steps: the context of a build, parallel calls, and the hard stops by a model.

The hard stops come before anything is drawn, and before a drawing is used; they fail closed. The rule on words comes
first and costs no call. Only the kind of a stop is read from the model's reply. An item passes only if the reply is
three times no, in exactly the form: prose, a refusal, a filter and a reply that was cut off stop it as `unchecked`. A
call that failed for a reason that may pass decides nothing, so the next build asks again. An image that cannot be read
is shown to no model, and ends as `failed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio

from harness import HarnessError, Image, Json, Request, Response
from harness_builder.calls.results import CallRunner, Halted, ModelQuery, StepResult, stop_of, stop_to_json
from harness_builder.plan import Plan
from harness_builder.prompts import Prompts
from harness_builder.stops import Stop, image_request, read_check, stop_text, text_request
from harness_builder.values import Step

_A = TypeVar("_A")
_T = TypeVar("_T")
_CLEAR: Final = "clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """The tools of every step.

    Attributes:
        plan: of the build.
        prompts: its templates.
        calls: asks the models and the painter.
        image: sha256 -> the image in the build's folder, not opened.
    """

    plan: Plan
    prompts: Prompts
    calls: CallRunner
    image: Callable[[str], Image]


async def gather(call: Callable[[_A], Awaitable[_T]], each: Iterable[_A]) -> list[_T]:
    """Await all calls at the same time, and return the results in order. Raises the HarnessError of one of them, once
    all have ended: calls on the wire are paid for, and must be stored."""
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


def find_halt(results: Sequence[object]) -> Halted | None:
    """The end that counts for all of these together: first a hard stop, then a final end."""
    halted = [each for each in results if isinstance(each, Halted)]
    return min(halted, key=lambda each: (each.end != "stopped", each.again), default=None)


async def check_texts(context: BuildContext, step: Step, owner: str, *texts: str) -> StepResult[None] | Halted:
    """Check whether the texts of one item, read as one, may pass: by the rule on words, then by the model."""
    if stop := stop_text(*texts):
        return Halted.at_stop(stop)
    return await _check(context, step, owner, text_request(*texts))


async def check_images(context: BuildContext, step: Step, owner: str, *images: Image) -> StepResult[None] | Halted:
    """Check whether images of one item, shown together, may pass. Raises ValueError if there is no image."""
    if not images:
        raise ValueError("no image to check")
    return await _check(context, step, owner, image_request(*images))


async def _check(context: BuildContext, step: Step, owner: str, request: Request) -> StepResult[None] | Halted:
    def read(text: str) -> Json:  # a reply of another form is not asked for again: the item is unchecked
        stop = read_check(Response(text=text))
        return _CLEAR if stop is None else stop_to_json(stop)

    query = ModelQuery(
        step=step, owner=owner, role="checker", request=request, read=read, keep=lambda said: stop_of(said) or said
    )
    said = await context.calls.ask(query)
    if not isinstance(said, Halted):
        return StepResult(value=None, calls=(said.call,))
    if said.end == "stopped" or said.again or not said.call:
        return said
    return Halted.at_stop(Stop(kind="unchecked"), said.call)
