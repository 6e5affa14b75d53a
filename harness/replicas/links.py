"""What a replica is reached by: the pipes of a child process, or a Ray actor that holds such a process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from harness.replicas.launch import build_command
from harness.replicas.placement import Placement
from harness.subprocesses import open_child


class Link(Protocol):
    """A running replica, or one that was; `harness.subprocesses.ChildProcess` is one.

    Attributes:
        close_seconds: how long it may take to end by itself when it is closed.
    """

    close_seconds: float

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or its launcher's; None while it runs, or if that is not known."""
        ...

    def send(self, *pieces: bytes) -> None:
        """Send bytes, together."""
        ...

    async def receive_exactly(self, size: int) -> bytes:
        """So many bytes that it sent. Raises PipeClosed."""
        ...

    async def receive_until(self, end: bytes, limit: int) -> bytes:
        """What it sent up to `end`, which is taken too. Raises PipeClosed, also after `limit` bytes without it."""
        ...

    async def wait_end(self) -> str:
        """How it ended; call it after PipeClosed."""
        ...

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its stderr."""
        ...


@asynccontextmanager
async def open_link(place: Placement, program: Sequence[str], variables: Mapping[str, str]) -> AsyncGenerator[Link]:
    """Start a replica's program at its place; it is gone when the block ends.

    Raises HarnessError if the launcher cannot be started.
    """
    if place.how == "ray":
        from harness.replicas.ray_link import open_actor

        async with open_actor(place, program) as actor:
            yield actor
        return
    remedy = "" if not place.elsewhere else f"--launch {place.how} needs it on this machine"
    async with open_child(build_command(place, program), variables=variables, remedy=remedy) as child:
        yield child


@asynccontextmanager
async def open_places(placements: Sequence[Placement]) -> AsyncGenerator[Sequence[Placement]]:
    """The placements; in Ray, those that its cluster has room for, while it is connected.

    Raises HarnessError if they do not fit, or Ray cannot be reached.
    """
    if any(place.how == "ray" for place in placements):
        from harness.replicas.ray_link import connect

        async with connect(placements[0]) as places:
            yield places
        return
    yield placements
