"""Calls of one element side by side, and which of their ends is the element's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import anyio

from harness import HarnessError
from harness_builder.calls.values import Ended

_A = TypeVar("_A")
_T = TypeVar("_T")


async def abreast(call: Callable[[_A], Awaitable[_T]], each: Iterable[_A]) -> list[_T]:
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


def end_of(results: Sequence[object]) -> Ended | None:
    """The end of all that these are of: a hard stop before all else, then what is decided; None where none ended."""
    ends = [each for each in results if isinstance(each, Ended)]
    return min(ends, key=lambda end: (end.end != "stopped", end.again), default=None)
