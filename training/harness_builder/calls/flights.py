"""The same question asked by two at once is made once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from .values import Ended


@dataclass(slots=True)
class Flight:
    """A question that is being asked.

    Attributes:
        over: set when it is no longer.
        ended: how, where that is not kept; what is kept stands in the book.
    """

    over: anyio.Event = field(default_factory=anyio.Event)
    ended: Ended | None = None


class Flights:
    """Those that are being asked, by the digest of what is asked."""

    def __init__(self) -> None:
        self._flying: dict[str, Flight] = {}

    def find(self, call: str) -> Flight | None:
        """The one of this digest; None where nobody asks it."""
        return self._flying.get(call)

    @contextmanager
    def begin(self, call: str) -> Generator[Flight]:
        """Ask it; whatever comes of it, those who wait go on."""
        flight = self._flying[call] = Flight()
        try:
            yield flight
        finally:
            del self._flying[call]
            flight.over.set()
