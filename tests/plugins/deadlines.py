"""A reply that never ends, and a client's limit that passes once the call has come, however slow the machine is.

A short limit would pass on a busy machine before the call is on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.testing.faults import Reply

_BEGUN = 0.05  # seconds, in which a reply that trickles begins
_BEYOND = 3600.0  # seconds, more than any client waits


def never_ending(reply: Reply) -> Callable[[object], Reply]:
    """Plays a reply that only the client's limit ends: soon after the call has come, the loop's clock jumps past it."""

    def play(_: object) -> Reply:
        loop = asyncio.get_running_loop()
        read_clock = loop.time

        def jump() -> None:
            loop.time = lambda: read_clock() + _BEYOND  # type: ignore[method-assign]

        loop.call_later(_BEGUN, jump)
        return reply

    return play
