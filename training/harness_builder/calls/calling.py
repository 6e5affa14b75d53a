"""Calls that are made: each is counted when it returns, and what comes of it is read before anything keeps it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from harness import Brush, Drawing, Drawn, Failure, Json, Model, Response
from harness.images import inline_image, open_image
from harness.rubric import repair_request
from harness.store.sound import sound
from harness.types import add_usage
from harness_builder.stops import Stop, stop_text
from harness_builder.values import Step

from .book import CallBook
from .ends import EMPTY, declines, failed, flagged, refused, stopped, unread
from .images import SUFFIXES, Drawings
from .kept import PAINTER, Outcome, Spent, Who
from .ledger import Ledger
from .sieving import sieve
from .values import Asked, Ended, Painted, Told, Unreadable

_R = TypeVar("_R", Response | Failure, Drawn | Failure)


class Caller:
    """Makes calls.

    Args:
        book: that names drawings before they are there.
        ledger: that says whether one more is allowed.
        drawings: where those go that are made.
        at_once: drawings on the wire at once; as many more may have come home and be written.
        check: raises where nothing new is to begin, which may have come while a call waited.
    """

    def __init__(
        self, book: CallBook, ledger: Ledger, drawings: Drawings, at_once: int, check: Callable[[], None]
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._drawings = drawings
        self._check = check
        # a drawing that is not written yet is lost with the process, and would be asked for again
        self._unwritten = anyio.Semaphore(2 * at_once)

    async def reply(self, asked: Asked, model: Model, call: str, *, again: bool) -> tuple[Outcome, Spent]:
        """What is read of a reply, and what it took.

        Args:
            asked: the question.
            model: that is asked.
            call: digest of the question.
            again: ask once more where the reply cannot be read.
        """
        request = asked.request
        reply, spent = await self._call(asked.step, asked.role, partial(model.generate, request))
        while True:
            with self._book.counting(spent):
                if isinstance(reply, Failure):
                    return failed(reply, call), spent
                if (ended := flagged(reply, call)) is not None:
                    return ended, spent
                try:
                    return _value(asked, reply.text, call), spent
                except Unreadable as error:
                    if not asked.prose and declines(reply.text):
                        return refused(call), spent
                    if not again:
                        return unread(asked, reply.text, error, call), spent
                    request, again = repair_request(request, reply.text, str(error)), False
                reply, more = await self._call(asked.step, asked.role, partial(model.generate, request))
                spent = _sum(spent, more)

    async def drawing(self, step: Step, drawing: Drawing, brush: Brush, call: str) -> tuple[Outcome, Spent]:
        """A drawing that lies in its place, and what it took."""
        async with self._unwritten:
            drawn, spent = await self._call(step, PAINTER, partial(brush.draw, drawing))
            with self._book.counting(spent):
                return (failed(drawn, call) if isinstance(drawn, Failure) else await self._placed(drawn, call)), spent

    async def _placed(self, drawn: Drawn, call: str) -> Painted | Ended:
        if stop := stop_text(drawn.prompt):
            return stopped(stop, call)
        image = await anyio.to_thread.run_sync(open_image, inline_image("drawn", drawn.data))
        content = image.opened
        if content.mime not in SUFFIXES:
            return Ended(end="failed", why=f"not possible: {content.mime}", call=call)
        # again where the same one was deleted meanwhile, since its call was stopped elsewhere
        while self._drawings.find(content.sha256) is None:
            self._book.draws(content.sha256)
            await self._drawings.write(content)
        return Painted(sha256=content.sha256, prompt=drawn.prompt, call=call)

    async def _call(self, step: Step, role: Who, send: Callable[[], Awaitable[_R]]) -> tuple[_R, Spent]:
        async with self._ledger.call(step, role):
            self._check()
            reply = await send()
            spent = _spent(step, role, reply)
            self._ledger.spent(spent)
        return reply, spent


def _value(asked: Asked, text: str, call: str) -> Told | Ended:
    """What is read of a text, as it is kept. Raises Unreadable."""
    if not text.strip():
        raise Unreadable(EMPTY)
    read = _plain(asked.read(text))
    sieved = (asked.sieve or sieve)(read)
    return stopped(sieved, call) if isinstance(sieved, Stop) else Told(value=_plain(sieved), call=call)


def _plain(value: Json) -> Json:
    """A value as it comes back from the book, so that the first time and all later ones are alike."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("it holds what JSON cannot hold") from None


def _spent(step: Step, role: Who, reply: Response | Drawn | Failure) -> Spent:
    """What a call took; numbers that are none are 0."""
    seconds = 0.0 if isinstance(reply, Failure) else reply.seconds
    told = sound(Response(text="", usage=reply.usage, seconds=seconds))
    seconds = told.seconds if isinstance(told, Response) else 0.0
    images = int(isinstance(reply, Drawn))
    return Spent(step=step, role=role, model=reply.model, usage=told.usage, images=images, seconds=seconds)


def _sum(one: Spent, other: Spent) -> Spent:
    return replace(
        one,
        model=other.model or one.model,
        calls=one.calls + other.calls,
        usage=add_usage(one.usage, other.usage),
        seconds=one.seconds + other.seconds,
    )
