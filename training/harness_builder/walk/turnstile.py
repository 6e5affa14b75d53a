"""A place that all pass one by one and in order, whatever overtakes what elsewhere.

What is decided there by what came before (does this nearly equal an earlier one?) is the same however fast each call
was answered, and the same in a build that was killed and went on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Shut(Exception):
    """The turnstile lets nobody through any more: the build is ending."""


class Turnstile:
    """Lets in number 0, then number 1, and so on; each number comes exactly once."""

    def __init__(self) -> None:
        self._next = 0
        self._shut = False
        self._waiting: dict[int, anyio.Event] = {}

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncGenerator[None]:
        """Hold the place while all before have left it and none after has come.

        Raises:
            Shut: before it was this one's turn.
        """
        if number != self._next and not self._shut:
            await self._wait(number)
        if self._shut:
            raise Shut
        try:
            yield
        finally:
            self._next += 1
            if following := self._waiting.get(self._next):
                following.set()

    async def _wait(self, number: int) -> None:
        came = self._waiting[number] = anyio.Event()
        try:
            await came.wait()
        finally:
            del self._waiting[number]

    def shut(self) -> None:
        """Let nobody through any more, and wake all who wait."""
        self._shut = True
        for waiting in self._waiting.values():
            waiting.set()
