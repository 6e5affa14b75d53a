"""Asks the models and the painter of a build. A repeated call is answered from the store.

The key of a call is all that can change its reply: step, request (images by their hash, without the random markers
around data), model, and the number of the draw. The parsed reply is stored, after the text rule. A failure that may
pass is not stored. A fatal error is raised, and raised again for all later questions; calls on the wire still return
and are stored. Two equal questions at once make one call.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from harness import BadImage, Drawing, Drawn, Failure, HarnessError, Json, Model, Request, Response
from harness.images import inline_image, open_image
from harness.keys import digest, request_to_json
from harness.phrases import REFUSALS, finder, read_phrases
from harness.rubric import repair_request
from harness.rubric.replies import parse_json_reply
from harness.rubric.templates import strip_markers
from harness.store.records import sanitize_numbers
from harness.types import BLOCKED, add_usage
from harness_builder.plan import Plan, Role
from harness_builder.stops import Stop, stop_text
from harness_builder.values import Step

from .costs import CostTracker
from .models import ImageOpener, OpenModels, check_request, open_models
from .results import (
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
)
from .store import SUFFIXES, CallStore, ImageStore

VERSION: Final = "c1"  #: raise this when the same request is read in another way
_READ: Final = "read"
_TEXT: Final = "text"  # unparsed, for a caller with its own reader
_USUAL: Final = 100  # calls at once, if neither the user nor the painter sets it
_EMPTY: Final = "the reply is empty"
_LONGEST: Final = 120  # letters of a reason
_R = TypeVar("_R", Response | Failure, Drawn | Failure)


@dataclass(slots=True)
class InFlightCall:
    """A call on the wire.

    Attributes:
        over: set when it ends.
        halted: its end, if that is not stored.
    """

    over: anyio.Event = field(default_factory=anyio.Event)
    halted: Halted | None = None


class BuildCallRunner:
    """A CallRunner; see the module.

    Attributes:
        costs: usage of the calls.
        fault: a fatal error; from then on all calls raise it.
        dropped: called with drawings before they are deleted, for others who store data about them.
    """

    def __init__(self, plan: Plan, store: CallStore, opener: ImageOpener, costs: CostTracker) -> None:
        self.costs = costs
        self.fault: HarnessError | None = None
        self.dropped: Callable[[Iterable[str]], None] = lambda _: None
        self._plan = plan
        self._store = store
        self._opener = opener
        self._images = ImageStore(store.folder)
        self._in_flight: dict[str, InFlightCall] = {}
        # a killed process loses drawings that returned and are not written yet; they are drawn again
        self._unwritten = anyio.Semaphore(2 * (plan.concurrency or _USUAL))
        self._models: OpenModels | None = None

    def use(self, models: OpenModels) -> None:
        """Ask these."""
        self._models = models

    def check(self) -> None:
        """Raise the fatal error, if there was one."""
        if self.fault is not None:
            raise self.fault

    @property
    def identities(self) -> dict[str, Json]:
        """Role, or `painter`, -> the identity of its model, as JSON."""
        return {role: dict(identity) for role, identity in self._opened.identities.items()}

    async def ask(self, query: ModelQuery) -> ModelReply | Halted:
        """See `CallRunner`."""
        return await self._ask(query, _READ)

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> ModelReply | Halted:
        """See `CallRunner`."""
        return await self._ask(ModelQuery(step=step, owner=owner, role=role, request=request, read=str), _TEXT)

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> DrawingReply | Halted:
        """See `CallRunner`. A drawing whose words the text rule stops is not made."""
        if stop := stop_text(drawing.prompt):
            return Halted.at_stop(stop)
        words = {name: getattr(drawing, name) for name in drawing.__dataclass_fields__}
        painter = self._opened.identities[PAINTER]
        call = digest({"version": VERSION, "step": step, "drawing": words, "painter": painter})
        found = await self._once(owner, call, partial(self._draw, step, drawing, call))
        assert not isinstance(found, ModelReply), "the store holds a reply in place of a drawing"
        return found

    def forget(self, owner: str) -> None:
        """See `CallRunner`."""
        self._delete_drawings(self._store.forget(owner))

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """See `CallRunner`."""
        self._store.redact(call, place, stop)

    def delete_unused_drawings(self) -> None:
        """Delete drawings that a killed build left without a call that names them."""
        self._delete_drawings(self._store.list_unused_drawings())

    # ---- once

    @property
    def _opened(self) -> OpenModels:
        assert self._models is not None, "no model is open yet"
        return self._models

    async def _ask(self, query: ModelQuery, stored_as: str) -> ModelReply | Halted:
        model = self._opened.models[query.role]
        try:
            hashed = await self._opener.hash_images(query.request)
        except BadImage as fault:
            return Halted(end="failed", why=f"image: {fault.reason}")
        asked: dict[str, Any] = {
            "version": VERSION,
            "step": query.step,
            "request": request_to_json(strip_markers(hashed)),
            "model": self._opened.identities[query.role],
            "draw": query.draw,
            "as": stored_as,
        }
        call = digest(asked)

        async def make() -> tuple[CallResult, CallUsage]:
            check_request(self._plan, query.role, model.info, query.request)
            return await self._reply(query, model, call, again=stored_as == _READ)

        found = await self._once(query.owner, call, make)
        assert not isinstance(found, DrawingReply), "the store holds a drawing in place of a reply"
        return found

    async def _once(
        self, owner: str, call: str, make: Callable[[], Awaitable[tuple[CallResult, CallUsage]]]
    ) -> CallResult:
        """The result of a call: from the store, from the task that is making it, or made now."""
        try:
            while True:
                self.check()
                stored = self._store.find(call, owner)
                # a drawing whose file is gone is drawn anew
                if stored is not None and not (
                    isinstance(stored.result, DrawingReply) and not self._images.find(stored.result.sha256)
                ):
                    if owner not in stored.owners:
                        self._store.share(call, owner)
                    return stored.result
                if (other := self._in_flight.get(call)) is None:
                    break
                await other.over.wait()
                if other.halted is not None:
                    return other.halted
            flight = self._in_flight[call] = InFlightCall()
            try:
                result, spent = await make()
                if isinstance(result, Halted) and result.again:
                    flight.halted = result
                    self._store.add_usage(spent)
                else:
                    with self._store.count_on_failure(spent):
                        self._store.put(StoredCall(call=call, owners=(owner,), result=result, spent=spent))
                return result
            finally:  # whatever its result, those who wait for the call continue
                del self._in_flight[call]
                flight.over.set()
        except HarnessError as error:
            self.fault = self.fault or error
            raise

    def _delete_drawings(self, drawings: tuple[str, ...]) -> None:
        """Delete the files of drawings, and then their names."""
        if not drawings:
            return
        self.dropped(drawings)
        try:
            self._images.drop(drawings)
        except OSError as error:
            where = str(error.filename or self._store.folder)
            remedy = "delete it, or fix its permissions, and run it again"
            raise HarnessError(f"a drawing cannot be deleted: {error.strerror}", where=where, remedy=remedy) from error
        self._store.forget_drawings(drawings)

    # ---- on the wire

    async def _reply(self, query: ModelQuery, model: Model, call: str, *, again: bool) -> tuple[CallResult, CallUsage]:
        """The parsed reply and its usage; with `again` an unreadable reply is asked for once more."""
        request = query.request
        reply, spent = await self._call(query.step, query.role, partial(model.generate, request))
        while True:
            with self._store.count_on_failure(spent):
                if isinstance(reply, Failure):
                    return _halt_for_failure(reply, call), spent
                if "refusal" in reply.flags:
                    return Halted(end="refused", why="refused", call=call), spent
                if "truncated" in reply.flags:
                    return Halted(end="failed", why="cut off", call=call), spent
                try:
                    if not reply.text.strip():
                        raise Unreadable(_EMPTY)
                    found = query.keep(_through_json(query.read(reply.text)))
                    if isinstance(found, Stop):
                        return Halted.at_stop(found, call), spent
                    return ModelReply(value=_through_json(found), call=call), spent
                except Unreadable as error:
                    # the harness's own rule decides if prose is a refusal; JSON is none
                    if not query.prose and "{" not in reply.text and _refusal_finder()(reply.text):
                        return Halted(end="refused", why="refused", call=call), spent
                    if not again:
                        return Halted(end="failed", why=_why_unreadable(query, reply.text, error), call=call), spent
                    request, again = repair_request(request, reply.text, str(error)), False
                reply, more = await self._call(query.step, query.role, partial(model.generate, request))
                spent = replace(
                    spent,
                    model=more.model or spent.model,
                    calls=spent.calls + more.calls,
                    usage=add_usage(spent.usage, more.usage),
                    seconds=spent.seconds + more.seconds,
                )

    async def _draw(self, step: Step, drawing: Drawing, call: str) -> tuple[CallResult, CallUsage]:
        """A drawing, written to its folder, and its usage."""
        async with self._unwritten:
            drawn, spent = await self._call(step, PAINTER, partial(self._opened.brush.draw, drawing))
            with self._store.count_on_failure(spent):
                if isinstance(drawn, Failure):
                    return _halt_for_failure(drawn, call), spent
                if stop := stop_text(drawn.prompt):
                    return Halted.at_stop(stop, call), spent
                image = await anyio.to_thread.run_sync(open_image, inline_image("drawn", drawn.data))
                content = image.opened
                if content.mime not in SUFFIXES:
                    return Halted(end="failed", why=f"not possible: {content.mime}", call=call), spent
                # again if the drawing was deleted meanwhile because another call to it was stopped
                while self._images.find(content.sha256) is None:
                    self._store.name_drawing(content.sha256)
                    await self._images.write(content)
                return DrawingReply(sha256=content.sha256, prompt=drawn.prompt, call=call), spent

    async def _call(self, step: Step, role: CallRole, send: Callable[[], Awaitable[_R]]) -> tuple[_R, CallUsage]:
        async with self.costs.call(step, role):
            self.check()
            reply = await send()
            seconds = 0.0 if isinstance(reply, Failure) else reply.seconds
            # what is not a number counts as 0
            told = sanitize_numbers(Response(text="", usage=reply.usage, seconds=seconds))
            spent = CallUsage(
                step=step,
                role=role,
                model=reply.model,
                usage=told.usage,
                images=int(isinstance(reply, Drawn)),
                seconds=told.seconds if isinstance(told, Response) else 0.0,
            )
            self.costs.add(spent)
        return reply, spent


@asynccontextmanager
async def open_call_runner(
    plan: Plan,
    store: CallStore,
    *,
    tell: Callable[[str], None],
    dropped: Callable[[Iterable[str]], None] = lambda _: None,
) -> AsyncGenerator[BuildCallRunner]:
    """Open all models of a plan and its painter, and ask them.

    Args:
        plan: names them, and sets how many calls run at once and how many are allowed.
        store: of this build; drawings go into the folder next to it.
        tell: gets notes about the models' servers for the user.
        dropped: called with drawings before they are deleted.

    Raises:
        HarnessError: a model cannot be opened or lacks an ability that its role needs, or a limit has no price.
    """
    opener = ImageOpener()
    runner = BuildCallRunner(plan, store, opener, CostTracker(plan, store.total_usage(), tell))
    runner.dropped = dropped
    runner.delete_unused_drawings()
    async with open_models(plan, opener, runner.check, tell, store.has_answers) as models:
        runner.use(models)
        yield runner


# ---- reading a reply -------------------------------------------------------------------------------------------------
# Reasons quote nothing of a reply.


def _halt_for_failure(failure: Failure, call: str) -> Halted:
    """Only a failure that may pass is tried again."""
    if failure.outcome in BLOCKED:
        return Halted(end="refused", why="blocked", call=call)
    if failure.outcome == "bad_sample":
        return Halted(end="failed", why=f"not possible: {failure.reason}", call=call)
    return Halted(end="failed", why=f"error: {failure.reason}", call=call, again=True)


def _through_json(value: Json) -> Json:
    """A value as the store returns it, so that the first use equals all later ones."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("it holds what JSON cannot hold") from None


@cache
def _refusal_finder() -> Callable[[str], str]:
    return finder(read_phrases(REFUSALS))


def _why_unreadable(query: ModelQuery, text: str, error: Unreadable) -> str:
    if not text.strip():
        return _EMPTY
    if not query.prose:
        try:
            parse_json_reply(text)
        except (ValueError, RecursionError):
            return "no JSON"
    said = str(error).partition(";")[0][:_LONGEST]
    # a step's words must quote nothing of the reply; if they do, they are not stored
    return said if said and not stop_text(said) else "not of the form asked for"
