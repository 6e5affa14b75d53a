"""Asking the models and the painter of a build; what was asked before is taken from the book.

A call is known by what can change its reply: step, request (images by their hash, without the random markers around
data), model, and the number of the draw. It is kept as what was read of the reply, after the text rule. A failure that
may pass is not kept; what nothing can be done about is raised, and raised again to all who ask after it, so that what
is on the wire comes home and is kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from harness import BadImage, Drawing, HarnessError, Json, Request
from harness.keys import asked as asked_json
from harness.keys import digest
from harness.rubric.templates import unmarked
from harness_builder.config.plan import Plan, Role
from harness_builder.stops import Stop, stop_text
from harness_builder.values import Step

from .book import CallBook
from .calling import Caller
from .ends import stopped
from .flights import Flights
from .images import Drawings, Opener
from .kept import PAINTER, Kept, Outcome, Spent, Who
from .ledger import Ledger
from .opening import Opened, check_request, open_all
from .values import Asked, Ended, Painted, Told

VERSION: Final = "c1"  #: raised when the same request would be read otherwise
_READ: Final = "read"
_USUAL: Final = 100  # calls at once, where neither the user nor the painter says
_SENT: Final = "text"  # as it stands, for who reads it otherwise
Make = Callable[[], Awaitable[tuple[Outcome, Spent]]]


class Asking:
    """An Asker; see the module.

    Attributes:
        ledger: what calls took.
        stopped: what nothing can be done about, once it has come; all calls raise it from then on.
        dropped: told of drawings before they are deleted: who else keeps something of them.
    """

    def __init__(self, plan: Plan, book: CallBook, opener: Opener, ledger: Ledger) -> None:
        self.ledger = ledger
        self.stopped: HarnessError | None = None
        self.dropped: Callable[[Iterable[str]], None] = _nothing
        self._plan = plan
        self._book = book
        self._opener = opener
        self._flights = Flights()
        self._drawings = Drawings(book.folder)
        self._caller = Caller(book, ledger, self._drawings, plan.concurrency or _USUAL, self.check)
        self._opened: Opened | None = None

    def use(self, opened: Opened) -> None:
        """Ask these."""
        self._opened = opened

    def check(self) -> None:
        """Raise what nothing can be done about, where it has come."""
        if self.stopped is not None:
            raise self.stopped

    def sweep(self) -> None:
        """Delete drawings that a build left which was killed before a call named them, or after it was deleted."""
        self._drop(self._book.unnamed())

    async def ask(self, asked: Asked) -> Told | Ended:
        """See `Asker`."""
        return _spoken(await self._asked(asked, _READ))

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> Told | Ended:
        """See `Asker`."""
        asked = Asked(step=step, owner=owner, role=role, request=request, read=str)
        return _spoken(await self._asked(asked, _SENT))

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> Painted | Ended:
        """See `Asker`. A drawing whose words the text rule stops is not made."""
        if stop := stop_text(drawing.prompt):
            return stopped(stop)
        hand = self._all.hand
        words = {name: getattr(drawing, name) for name in drawing.__dataclass_fields__}
        call = _digest(step, {"drawing": words, "painter": hand.identity})
        make = partial(self._caller.drawing, step, drawing, hand.brush, call)
        found = await self._once(step, owner, PAINTER, call, make)
        assert not isinstance(found, Told), "the book holds a reply where a drawing was made"
        return found

    def forget(self, owner: str) -> None:
        """See `Asker`."""
        self._drop(self._book.forget(owner))

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """See `Asker`."""
        self._book.redact(call, place, stop)

    @property
    def identities(self) -> dict[str, Json]:
        """Role, or `painter`, -> what was requested of its model, as JSON."""
        voices: dict[str, Json] = {role: dict(voice.identity) for role, voice in self._all.voices.items()}
        return {**voices, PAINTER: dict(self._all.hand.identity)}

    @property
    def _all(self) -> Opened:
        assert self._opened is not None, "nothing is opened yet"
        return self._opened

    async def _asked(self, asked: Asked, kept_as: str) -> Outcome:
        voice = self._all.voices[asked.role]
        try:
            hashed = await self._opener.hashed(asked.request)
        except BadImage as fault:
            return Ended(end="failed", why=f"image: {fault.reason}")
        said = {"request": asked_json(unmarked(hashed)), "model": voice.identity, "draw": asked.draw, "as": kept_as}
        call = _digest(asked.step, said)

        async def make() -> tuple[Outcome, Spent]:
            check_request(self._plan, asked.role, voice.model.info, asked.request)
            return await self._caller.reply(asked, voice.model, call, again=kept_as == _READ)

        return await self._once(asked.step, asked.owner, asked.role, call, make)

    async def _once(self, step: Step, owner: str, role: Who, call: str, make: Make) -> Outcome:
        """What came of a call: from the book, from whoever is asking it, or anew."""
        try:
            while True:
                self.check()
                if (known := self._known(call, owner)) is not None:
                    self.ledger.taken(step, role)
                    return known
                if (flight := self._flights.find(call)) is None:
                    return await self._anew(owner, call, make)
                await flight.over.wait()
                if flight.ended is not None:
                    return flight.ended
        except HarnessError as error:
            self.stopped = self.stopped or error
            raise

    def _known(self, call: str, owner: str) -> Outcome | None:
        kept = self._book.find(call, owner)
        if kept is None or (isinstance(kept.result, Painted) and not self._drawings.find(kept.result.sha256)):
            return None
        if owner not in kept.owners:
            self._book.share(call, owner)
        return kept.result

    async def _anew(self, owner: str, call: str, make: Make) -> Outcome:
        with self._flights.begin(call) as flight:
            result, spent = await make()
            if isinstance(result, Ended) and result.again:
                flight.ended = result
                self._book.spend(spent)
            else:
                with self._book.counting(spent):
                    self._book.keep(Kept(call=call, owners=(owner,), result=result, spent=spent))
            return result

    def _drop(self, drawings: tuple[str, ...]) -> None:
        """Delete the files of drawings, and then their names."""
        if not drawings:
            return
        self.dropped(drawings)
        try:
            self._drawings.drop(drawings)
        except OSError as error:
            where = str(error.filename or self._book.folder)
            remedy = "delete it, or mend what forbids it, and run it again"
            raise HarnessError(f"a drawing cannot be deleted: {error.strerror}", where=where, remedy=remedy) from error
        self._book.gone(drawings)


@asynccontextmanager
async def open_asker(
    plan: Plan, book: CallBook, *, tell: Callable[[str], None], dropped: Callable[[Iterable[str]], None] | None = None
) -> AsyncGenerator[Asking]:
    """Open all models of a plan and its painter, and ask them.

    Args:
        plan: names them; it also says how many calls are on the wire at once, and how many are allowed.
        book: of this build; drawings go into the folder beside it.
        tell: given what a person should know of the models' servers.
        dropped: told of drawings before they are deleted.

    Raises:
        HarnessError: a model cannot be opened or cannot do what its role takes, or a limit has no price to count by.
    """
    opener = Opener()
    asking = Asking(plan, book, opener, Ledger(plan, book.spent(), tell))
    asking.dropped = dropped or _nothing
    asking.sweep()
    async with open_all(plan, opener, asking.check, tell, book.has_answers) as opened:
        asking.use(opened)
        yield asking


def _nothing(_: Iterable[str]) -> None:
    """Nobody else keeps anything of them."""


def _digest(step: Step, said: Mapping[str, Json]) -> str:
    return digest({"version": VERSION, "step": step, **said})


def _spoken(result: Outcome) -> Told | Ended:
    assert not isinstance(result, Painted), "the book holds a drawing where a reply was read"
    return result
