"""The same question asked by two at once is made once.

How a reply ends what was asked, where it is no use; nothing of the reply is in what is said of it.

What may be kept of what was read: the text rule over all texts of a value, or of each item of a list.

Calls that are made: each is counted when it returns, and what comes of it is read before anything keeps it.

Asking the models and the painter of a build; what was asked before is taken from the book.

A call is known by what can change its reply: step, request (images by their hash, without the random markers around
data), model, and the number of the draw. It is kept as what was read of the reply, after the text rule. A failure that
may pass is not kept; what nothing can be done about is raised, and raised again to all who ask after it, so that what
is on the wire comes home and is kept.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from harness import BadImage, Brush, Drawing, Drawn, Failure, HarnessError, Json, Model, Request, Response
from harness.http.status import as_list, as_mapping
from harness.images import inline_image, open_image
from harness.keys import asked as asked_json
from harness.keys import digest
from harness.phrases import REFUSALS, finder, read_phrases
from harness.rubric import repair_request
from harness.rubric.replies import json_alone
from harness.rubric.templates import unmarked
from harness.store.sound import sound
from harness.types import BLOCKED, add_usage
from harness_builder.calls.costs import CostTracker
from harness_builder.calls.images import SUFFIXES, ImageOpener, ImageStore
from harness_builder.calls.models import OpenModels, check_request, open_all
from harness_builder.calls.results import (
    PAINTER,
    CallResult,
    CallRole,
    CallUsage,
    DrawingReply,
    Halted,
    ModelQuery,
    ModelReply,
    StoredCall,
    Unreadable,
    blank,
)
from harness_builder.calls.store import CallStore
from harness_builder.plan import Plan, Role
from harness_builder.stops import Stop, stop_text
from harness_builder.values import Step


@dataclass(slots=True)
class InFlightCall:
    """A question that is being asked.

    Attributes:
        over: set when it is no longer.
        ended: how, where that is not kept; what is kept stands in the book.
    """

    over: anyio.Event = field(default_factory=anyio.Event)
    ended: Halted | None = None


class InFlightCalls:
    """Those that are being asked, by the digest of what is asked."""

    def __init__(self) -> None:
        self._flying: dict[str, InFlightCall] = {}

    def find(self, call: str) -> InFlightCall | None:
        """The one of this digest; None where nobody asks it."""
        return self._flying.get(call)

    @contextmanager
    def begin(self, call: str) -> Generator[InFlightCall]:
        """Ask it; whatever comes of it, those who wait go on."""
        flight = self._flying[call] = InFlightCall()
        try:
            yield flight
        finally:
            del self._flying[call]
            flight.over.set()


EMPTY: Final = "the reply is empty"
_LONGEST: Final = 120  # letters of a reason


def failed(failure: Failure, call: str) -> Halted:
    """A call that gave nothing; only a failure that may pass is worth another build."""
    if failure.outcome in BLOCKED:
        return Halted(end="refused", why="blocked", call=call)
    if failure.outcome == "bad_sample":
        return Halted(end="failed", why=f"not possible: {failure.reason}", call=call)
    return Halted(end="failed", why=f"error: {failure.reason}", call=call, again=True)


def flagged(reply: Response, call: str) -> Halted | None:
    """What the provider says of a reply: the model declined, or was cut off; None where there is something to read."""
    if "refusal" in reply.flags:
        return refused(call)
    return Halted(end="failed", why="cut off", call=call) if "truncated" in reply.flags else None


def refused(call: str) -> Halted:
    """The model itself declined."""
    return Halted(end="refused", why="refused", call=call)


def halt_for_stop(stop: Stop, call: str = "") -> Halted:
    """A hard stop."""
    return Halted(end="stopped", why=stop.kind, call=call)


def declines(text: str) -> bool:
    """Whether a reply that cannot be read is a refusal in prose, by the harness's own rule; what holds JSON is none."""
    return "{" not in text and bool(_refusal()(text))


def unread(asked: ModelQuery, text: str, error: Unreadable, call: str) -> Halted:
    """A reply that was asked for as often as may be and cannot be read."""
    return Halted(end="failed", why=_why(asked, text, str(error)), call=call)


def _why(asked: ModelQuery, text: str, error: str) -> str:
    if not text.strip():
        return EMPTY
    if not asked.prose and not _is_json(text):
        return "no JSON"
    said = error.partition(";")[0][:_LONGEST]
    # a step's words quote nothing of the reply; where they do, they are not kept
    return said if said and not stop_text(said) else "not of the form asked for"


def _is_json(text: str) -> bool:
    try:
        json_alone(text)
    except (ValueError, RecursionError):
        return False
    return True


@cache
def _refusal() -> Callable[[str], str]:
    return finder(read_phrases(REFUSALS))


def sieve(value: Json) -> Json | Stop:
    """The value, or the stop where its texts may not be kept; they are read as one, keys of objects among them."""
    return stop_text(*texts(value)) or value


def sieve_items(value: Json) -> Json | Stop:
    """A list with a stop in the place of each item that may not be kept; what is no list is one item."""
    if not isinstance(value, list):
        return sieve(value)
    items = [(item, sieve(item)) for item in as_list(value)]
    return [blank(sieved) if isinstance(sieved, Stop) else item for item, sieved in items]


def texts(value: Json) -> Iterator[str]:
    """All texts in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in as_mapping(value).items():
            yield name
            yield from texts(each)
    elif isinstance(value, list):
        for each in as_list(value):
            yield from texts(each)


_R = TypeVar("_R", Response | Failure, Drawn | Failure)


class CallMaker:
    """Makes calls.

    Args:
        book: that names drawings before they are there.
        ledger: that says whether one more is allowed.
        drawings: where those go that are made.
        at_once: drawings on the wire at once; as many more may have come home and be written.
        check: raises where nothing new is to begin, which may have come while a call waited.
    """

    def __init__(
        self, book: CallStore, ledger: CostTracker, drawings: ImageStore, at_once: int, check: Callable[[], None]
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._drawings = drawings
        self._check = check
        # a drawing that is not written yet is lost with the process, and would be asked for again
        self._unwritten = anyio.Semaphore(2 * at_once)

    async def reply(self, asked: ModelQuery, model: Model, call: str, *, again: bool) -> tuple[CallResult, CallUsage]:
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

    async def drawing(self, step: Step, drawing: Drawing, brush: Brush, call: str) -> tuple[CallResult, CallUsage]:
        """A drawing that lies in its place, and what it took."""
        async with self._unwritten:
            drawn, spent = await self._call(step, PAINTER, partial(brush.draw, drawing))
            with self._book.counting(spent):
                return (failed(drawn, call) if isinstance(drawn, Failure) else await self._placed(drawn, call)), spent

    async def _placed(self, drawn: Drawn, call: str) -> DrawingReply | Halted:
        if stop := stop_text(drawn.prompt):
            return halt_for_stop(stop, call)
        image = await anyio.to_thread.run_sync(open_image, inline_image("drawn", drawn.data))
        content = image.opened
        if content.mime not in SUFFIXES:
            return Halted(end="failed", why=f"not possible: {content.mime}", call=call)
        # again where the same one was deleted meanwhile, since its call was stopped elsewhere
        while self._drawings.find(content.sha256) is None:
            self._book.draws(content.sha256)
            await self._drawings.write(content)
        return DrawingReply(sha256=content.sha256, prompt=drawn.prompt, call=call)

    async def _call(self, step: Step, role: CallRole, send: Callable[[], Awaitable[_R]]) -> tuple[_R, CallUsage]:
        async with self._ledger.call(step, role):
            self._check()
            reply = await send()
            spent = _spent(step, role, reply)
            self._ledger.spent(spent)
        return reply, spent


def _value(asked: ModelQuery, text: str, call: str) -> ModelReply | Halted:
    """What is read of a text, as it is kept. Raises Unreadable."""
    if not text.strip():
        raise Unreadable(EMPTY)
    read = _plain(asked.read(text))
    sieved = (asked.sieve or sieve)(read)
    return halt_for_stop(sieved, call) if isinstance(sieved, Stop) else ModelReply(value=_plain(sieved), call=call)


def _plain(value: Json) -> Json:
    """A value as it comes back from the book, so that the first time and all later ones are alike."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("it holds what JSON cannot hold") from None


def _spent(step: Step, role: CallRole, reply: Response | Drawn | Failure) -> CallUsage:
    """What a call took; numbers that are none are 0."""
    seconds = 0.0 if isinstance(reply, Failure) else reply.seconds
    told = sound(Response(text="", usage=reply.usage, seconds=seconds))
    seconds = told.seconds if isinstance(told, Response) else 0.0
    images = int(isinstance(reply, Drawn))
    return CallUsage(step=step, role=role, model=reply.model, usage=told.usage, images=images, seconds=seconds)


def _sum(one: CallUsage, other: CallUsage) -> CallUsage:
    return replace(
        one,
        model=other.model or one.model,
        calls=one.calls + other.calls,
        usage=add_usage(one.usage, other.usage),
        seconds=one.seconds + other.seconds,
    )


VERSION: Final = "c1"  #: raised when the same request would be read otherwise
_READ: Final = "read"
_USUAL: Final = 100  # calls at once, where neither the user nor the painter says
_SENT: Final = "text"  # as it stands, for who reads it otherwise
Make = Callable[[], Awaitable[tuple[CallResult, CallUsage]]]


class BuildCallRunner:
    """An Asker; see the module.

    Attributes:
        ledger: what calls took.
        stopped: what nothing can be done about, once it has come; all calls raise it from then on.
        dropped: told of drawings before they are deleted: who else keeps something of them.
    """

    def __init__(self, plan: Plan, book: CallStore, opener: ImageOpener, ledger: CostTracker) -> None:
        self.ledger = ledger
        self.stopped: HarnessError | None = None
        self.dropped: Callable[[Iterable[str]], None] = _nothing
        self._plan = plan
        self._book = book
        self._opener = opener
        self._flights = InFlightCalls()
        self._drawings = ImageStore(book.folder)
        self._caller = CallMaker(book, ledger, self._drawings, plan.concurrency or _USUAL, self.check)
        self._opened: OpenModels | None = None

    def use(self, opened: OpenModels) -> None:
        """Ask these."""
        self._opened = opened

    def check(self) -> None:
        """Raise what nothing can be done about, where it has come."""
        if self.stopped is not None:
            raise self.stopped

    def sweep(self) -> None:
        """Delete drawings that a build left which was killed before a call named them, or after it was deleted."""
        self._drop(self._book.unnamed())

    async def ask(self, asked: ModelQuery) -> ModelReply | Halted:
        """See `Asker`."""
        return _spoken(await self._asked(asked, _READ))

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> ModelReply | Halted:
        """See `Asker`."""
        asked = ModelQuery(step=step, owner=owner, role=role, request=request, read=str)
        return _spoken(await self._asked(asked, _SENT))

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> DrawingReply | Halted:
        """See `Asker`. A drawing whose words the text rule stops is not made."""
        if stop := stop_text(drawing.prompt):
            return halt_for_stop(stop)
        hand = self._all.hand
        words = {name: getattr(drawing, name) for name in drawing.__dataclass_fields__}
        call = _digest(step, {"drawing": words, "painter": hand.identity})
        make = partial(self._caller.drawing, step, drawing, hand.brush, call)
        found = await self._once(step, owner, PAINTER, call, make)
        assert not isinstance(found, ModelReply), "the book holds a reply where a drawing was made"
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
    def _all(self) -> OpenModels:
        assert self._opened is not None, "nothing is opened yet"
        return self._opened

    async def _asked(self, asked: ModelQuery, kept_as: str) -> CallResult:
        voice = self._all.voices[asked.role]
        try:
            hashed = await self._opener.hashed(asked.request)
        except BadImage as fault:
            return Halted(end="failed", why=f"image: {fault.reason}")
        said = {"request": asked_json(unmarked(hashed)), "model": voice.identity, "draw": asked.draw, "as": kept_as}
        call = _digest(asked.step, said)

        async def make() -> tuple[CallResult, CallUsage]:
            check_request(self._plan, asked.role, voice.model.info, asked.request)
            return await self._caller.reply(asked, voice.model, call, again=kept_as == _READ)

        return await self._once(asked.step, asked.owner, asked.role, call, make)

    async def _once(self, step: Step, owner: str, role: CallRole, call: str, make: Make) -> CallResult:
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

    def _known(self, call: str, owner: str) -> CallResult | None:
        kept = self._book.find(call, owner)
        if kept is None or (isinstance(kept.result, DrawingReply) and not self._drawings.find(kept.result.sha256)):
            return None
        if owner not in kept.owners:
            self._book.share(call, owner)
        return kept.result

    async def _anew(self, owner: str, call: str, make: Make) -> CallResult:
        with self._flights.begin(call) as flight:
            result, spent = await make()
            if isinstance(result, Halted) and result.again:
                flight.ended = result
                self._book.spend(spent)
            else:
                with self._book.counting(spent):
                    self._book.keep(StoredCall(call=call, owners=(owner,), result=result, spent=spent))
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
async def open_call_runner(
    plan: Plan, book: CallStore, *, tell: Callable[[str], None], dropped: Callable[[Iterable[str]], None] | None = None
) -> AsyncGenerator[BuildCallRunner]:
    """Open all models of a plan and its painter, and ask them.

    Args:
        plan: names them; it also says how many calls are on the wire at once, and how many are allowed.
        book: of this build; drawings go into the folder beside it.
        tell: given what a person should know of the models' servers.
        dropped: told of drawings before they are deleted.

    Raises:
        HarnessError: a model cannot be opened or cannot do what its role takes, or a limit has no price to count by.
    """
    opener = ImageOpener()
    asking = BuildCallRunner(plan, book, opener, CostTracker(plan, book.spent(), tell))
    asking.dropped = dropped or _nothing
    asking.sweep()
    async with open_all(plan, opener, asking.check, tell, book.has_answers) as opened:
        asking.use(opened)
        yield asking


def _nothing(_: Iterable[str]) -> None:
    """Nobody else keeps anything of them."""


def _digest(step: Step, said: Mapping[str, Json]) -> str:
    return digest({"version": VERSION, "step": step, **said})


def _spoken(result: CallResult) -> ModelReply | Halted:
    assert not isinstance(result, DrawingReply), "the book holds a drawing where a reply was read"
    return result
