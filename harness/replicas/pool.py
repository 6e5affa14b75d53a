"""A Model over its replicas: each is a process that is started, asked, and started again when it dies.

Each request goes to the replica with the least to do. A replica is started again at most RESTARTS times with no answer
between: an answer earns all of them back, and a death over one request that was under way at a death before costs none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Final, Literal

import anyio

from harness.contracts import Model, ModelInfo
from harness.errors import Forbidden, HarnessError, PluginError, unwrap_groups
from harness.replicas import wire
from harness.replicas.child import BOOT
from harness.replicas.launch import START, advise, describe_end
from harness.replicas.links import Link, open_link, open_places
from harness.replicas.placement import Placement, format_placements
from harness.replicas.surroundings import PACKAGES, Surroundings
from harness.replicas.wire import FORM, MARK, Frame, ReplicaSpec, receive_frame
from harness.subprocesses import GRACE, PipeClosed
from harness.types import Failure, Json, Request, Response

#: times a replica that died is started again with no answer between
RESTARTS: Final = 2
#: lines of its stderr in an error
LINES: Final = 12
#: bytes that libraries may print before the first frame
NOISE: Final = 1 << 20
ReplicaState = Literal["starting", "live", "gone"]


@dataclass(slots=True)
class Death:
    """An unforeseen end, for the requests that may each have been its cause.

    Attributes:
        turn: theirs, one at a time.
        explained: one of them was the cause, so the others are not.
    """

    turn: anyio.Lock = field(default_factory=anyio.Lock)
    explained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A request got no answer, because its replica was lost.

    Attributes:
        why: how the replica ended.
        death: the death that the request may have caused; None if it was another one.
        culprit: it was under way at a death before, and alone now: it is the cause.
    """

    why: str
    death: Death | None
    culprit: bool


Reply = Response | Failure | Lost | Forbidden


@dataclass(slots=True)
class _Call:
    """A request under way; a suspect was under way at a death before."""

    request: Request
    suspect: bool
    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply = field(default_factory=lambda: Lost(why="", death=None, culprit=False))

    def settle(self, reply: Reply) -> None:
        self.reply = reply
        self.settled.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a life ended.

    Attributes:
        why: in words, such as `was killed by SIGKILL`.
        error: what its model raised; else one that says why.
        over: the request that it was raised over; None if each one under way may have been the cause.
        final: another life would end so too.
    """

    why: str
    error: Exception
    over: int | None
    final: bool


class Replica:
    """A replica over its lives.

    Attributes:
        name: `replica 2 (device 1)`.
        state: what it is doing.
        info: of its model, the latest; None before it was ever open.
        fault: why it is gone.
        accelerator: what its process runs on, as run.json has it.
        versions: of its Python and of packages whose answers could differ.
    """

    def __init__(
        self,
        spec: ReplicaSpec,
        place: Placement,
        number: int,
        variables: Mapping[str, str],
        on_change: Callable[[Replica, str], None],
    ) -> None:
        self.name = f"replica {number} ({place})"
        self.state: ReplicaState = "starting"
        self.info: ModelInfo | None = None
        self.fault: Exception | None = None
        self.accelerator: Mapping[str, Json] = {}
        self.versions: Mapping[str, str] = {}
        self._spec = spec
        self._place = place
        # it imports as this process does: PYTHONPATH would reach the child's own children too
        path = [] if place.python else [str(Path(entry).absolute()) for entry in sys.path]
        label = f"{spec.ref} {self.name}"  # for `ps`
        self._program = [place.python or sys.executable, "-c", BOOT, json.dumps(path), label]
        self._variables = variables
        self._shared = place.shared
        self._on_change = on_change
        self._numbers = count()
        self._calls: dict[int, _Call] = {}
        self._child: Link | None = None
        self._answered = False

    @property
    def load(self) -> int:
        """Requests it has under way."""
        return len(self._calls)

    @property
    def free(self) -> bool:
        """Whether it may be asked now."""
        most = None if self.info is None else self.info.concurrency
        return self.state == "live" and (most is None or self.load < most)

    async def ask(self, request: Request, *, suspect: bool = False) -> Reply:
        """Ask it, while it is free. Raises ValueError if an image of the request was not opened.

        Args:
            request: what to ask.
            suspect: it was under way when a replica died.
        """
        assert self._child is not None
        child, number, call = self._child, next(self._numbers), _Call(request, suspect)
        frame = self._pack(number, request)
        self._calls[number] = call
        child.send(*frame)
        try:
            await call.settled.wait()
        finally:
            self._calls.pop(number, None)
            if not call.settled.is_set():
                child.send(*Frame(kind="drop", number=number).pack())
            self._on_change(self, "")
        return call.reply

    def _pack(self, number: int, request: Request) -> list[bytes]:
        body, blobs = wire.request_to_json(request, shared=self._shared)
        return Frame(kind="ask", number=number, body=body, blobs=blobs).pack()

    async def run(self) -> None:
        """Live, and live again after an unforeseen end."""
        used = 0
        while self.state != "gone":
            async with AsyncExitStack() as closing:
                self._answered = False
                try:
                    child = await closing.enter_async_context(open_link(self._place, self._program, self._variables))
                except HarnessError as error:
                    end = _end_by_error(error, final=True)
                else:
                    end = await self._open(child) or await self._read_answers(child)
                used = 0 if self._answered else used
                waiting = {number: call for number, call in self._calls.items() if not call.settled.is_set()}
                # a suspect is the cause if no other request can have been; else the cause is not known
                blamed = [number for number in waiting if end.over in (None, number)]
                culprit = blamed[0] if len(blamed) == 1 and waiting[blamed[0]].suspect else None
                again = not end.final and (culprit is not None or used < RESTARTS)
                used += culprit is None
                self.state = "starting" if again else "gone"
                self.fault = end.error
                death = Death()
                for number, call in waiting.items():
                    own = death if number in blamed else None
                    call.settle(Lost(why=end.why, death=own, culprit=number == culprit))
                self._calls.clear()
                tries = f" ({used} of {RESTARTS})" if culprit is None else ""
                then = f"it is started again{tries}" if again else "it is gone for good"
                if culprit is not None:
                    then = f"the request that was under way at a death before is given up, and {then}"
                elif waiting:
                    had = "its request is" if len(waiting) == 1 else f"its {len(waiting)} requests are"
                    then = f"{had} asked again, and {then}"
                self._on_change(self, f"{self.name} {end.why}: {then}")

    async def _open(self, child: Link) -> _End | None:
        """Wait until the model is open; None when it is."""
        body = {"spec": self._spec.to_json(), "around": Surroundings.of(self._place).to_json()}
        child.send(*Frame(kind="open", body=body).pack())
        frame: Frame | None = None
        greeted, form = False, b""
        with suppress(PipeClosed):
            with anyio.move_on_after(START if self._place.elsewhere else None) as waiting:
                await child.receive_until(MARK, NOISE)
                form = await child.receive_until(b"\n", NOISE)
                greeted = True
            if waiting.cancelled_caught:
                said = child.last_lines(LINES)
                remedy = [f"is there enough memory for it?{' Its last lines:' if said else ''}", *said]
                what = f"{self._spec.ref}: {self.name} did not start within {START} s"
                return _end_by_error(HarnessError(what, remedy="\n  ".join(remedy)), final=True)
            if form != FORM:  # it would not understand what it is asked
                error = HarnessError(
                    f"{self.name} is of another version of the harness than this one",
                    remedy="install the same version there, or name another Python: -M remote_python=PATH",
                )
                return _end_by_error(error, final=True)
            frame = await _receive(child)
        if frame is None:
            return await self._find_end(child, greeted=greeted)
        if frame.kind == "failed":
            return _end_by_error(_read_error(frame.body, self.name, self._place.machine), final=True)
        try:
            info, versions, accelerator = _read_ready(frame)
        except ValueError as error:
            return _end_by_odd_frame(self.name, error, final=True)
        if self.info is not None and info.fingerprint != self.info.fingerprint:
            return _end_by_error(_other_files_error(self.name), final=True)
        self.info, self._child, self.versions, self.accelerator = info, child, versions, accelerator
        self.state = "live"
        child.close_seconds = GRACE + 1  # for its model to be closed
        self._on_change(self, "")
        return None

    async def _read_answers(self, child: Link) -> _End:
        while (frame := await _receive(child)) is not None:
            if frame.kind == "failed":
                error = _read_error(frame.body, self.name, self._place.machine)
                return _end_by_error(error, final=not self._answered)
            try:
                if frame.kind != "answer" or not _is_object(frame.body):
                    raise ValueError("no answer")
                if "not_shared" in frame.body:
                    self._send_bytes(child, frame)
                    continue
                if "info" in frame.body:
                    self.info = wire.info_from_json(frame.body["info"])
                    self._on_change(self, "")
                answer = wire.answer_from_json(frame.body)
            except ValueError as error:
                return _end_by_odd_frame(self.name, error, over=frame.number)
            call = self._calls.get(frame.number)
            if isinstance(answer, HarnessError) and not isinstance(answer, Forbidden):
                return _end_by_error(answer, over=frame.number, final=not self._answered)
            self._answered = True
            if call is not None:
                call.settle(answer)
        return await self._find_end(child)

    def _send_bytes(self, child: Link, frame: Frame) -> None:
        """A file is not the same there: this request is sent with the bytes, and so are all that follow."""
        if self._shared:
            self._shared = False
            self._on_change(self, f"shared=true: {self.name}: {frame.body['not_shared']}: it is sent the bytes instead")
        call = self._calls.get(frame.number)
        if call is not None:
            child.send(*self._pack(frame.number, call.request))

    async def _find_end(self, child: Link, *, greeted: bool = True) -> _End:
        """How the process ended; one that was never open would not open another time either."""
        self.state = "starting"  # it is not asked while its last words are read
        why = await child.wait_end()
        why = describe_end(self._place, child.exit_code, why)
        said = child.last_lines(LINES)
        remedy = ["it said last:", *said] if said else []
        if self._place.elsewhere and not greeted:
            remedy.append(advise(self._place, child.exit_code))
        error = HarnessError(f"{self._spec.ref}: {self.name} {why}", remedy="\n  ".join(remedy))
        return _End(why=why, error=error, over=None, final=self.info is None)


async def _receive(child: Link) -> Frame | None:
    """The next frame; None when the process is gone, or sends no frames any more."""
    with suppress(PipeClosed, ValueError):
        return await receive_frame(child.receive_exactly)
    return None


def _other_files_error(name: str) -> HarnessError:
    """Replicas would answer as different models."""
    return HarnessError(
        f"{name} opened other files than the replicas before it", remedy="see that nothing writes to the model's folder"
    )


def _end_by_odd_frame(name: str, error: ValueError, *, over: int | None = None, final: bool = False) -> _End:
    why = f"sent an unexpected message ({str(error)[:200]})"
    return _End(why=why, error=_odd_frame_error(name, why), over=over, final=final)


def _odd_frame_error(name: str, why: str) -> HarnessError:
    """It runs, and what it sends means nothing."""
    remedy = "install the same version of the harness there, and see that nothing else writes to its standard output"
    return HarnessError(f"{name} {why}", remedy=remedy)


def _end_by_error(error: Exception, *, final: bool, over: int | None = None) -> _End:
    if isinstance(error, PluginError):
        what = error.said
    else:
        what = error.what if isinstance(error, HarnessError) else str(error).strip().rpartition("\n")[2]
    return _End(why=f"says: {what}", error=error, over=over, final=final)


def _read_ready(frame: Frame) -> tuple[ModelInfo, Mapping[str, str], Mapping[str, Json]]:
    """What a replica says of its model, its packages, and what it runs on. Raises ValueError for anything else."""
    if frame.kind != "ready" or not _is_object(frame.body):
        raise ValueError("no description of a model")
    info, versions, accelerator = (frame.body.get(name) for name in ("info", "versions", "accelerator"))
    if not (_is_object(info) and _is_object(versions) and _is_object(accelerator)):
        raise ValueError("no description of a model")
    json.dumps(frame.body, allow_nan=False)  # run.json will hold it
    return wire.info_from_json(info), versions, accelerator


def _is_object(value: Json) -> bool:
    return isinstance(value, Mapping)


def _read_error(body: Json, name: str, machine: str) -> Exception:
    """The error that ended a replica; its place names the machine, if that is another one."""
    if _is_object(body) and "bug" in body:
        return RuntimeError(f"{name} failed: {body['bug']}")
    error: object = None
    with suppress(ValueError):
        error = wire.answer_from_json(body if _is_object(body) else {})
    if not isinstance(error, HarnessError):
        return _odd_frame_error(name, "sent an unexpected message (no error)")
    if machine and machine not in error.what:
        error.where = ", ".join(filter(None, (error.where, machine)))
    return error


class Pool:
    """The replicas of one model.

    What was under way in a replica that died is asked again, one request at a time in a replica that answers nothing
    else meanwhile, until one of them ends that too: it is the cause, ends as the Failure `replica_died`, and the others
    go on as before. So one request takes down two replicas and no more, and no other is blamed for it.
    """

    def __init__(self, spec: ReplicaSpec, placements: Sequence[Placement]) -> None:
        self._spec = spec
        self._notes: list[str] = []
        self._moved = anyio.Event()
        self._endpoint = f"{spec.ref} in {format_placements(placements)}"
        self._info: ModelInfo | None = None
        self._last: Exception | None = None
        self._reserved: set[Replica] = set()
        self.replicas = [
            Replica(spec, each, number, each.variables(len(placements)), self._note_change)
            for number, each in enumerate(placements, 1)
        ]

    @property
    def info(self) -> ModelInfo:
        """All replicas as one: their concurrency together, what any of them notes or drops."""
        if self._info is None:
            infos = [replica.info for replica in self.replicas if replica.info is not None]
            limits = [info.max_images for info in infos if info.max_images is not None]
            at_once = [info.concurrency for info in infos]
            self._info = replace(
                infos[0],
                ref=self._spec.ref,
                endpoint=self._endpoint,
                max_images=min(limits, default=None),
                concurrency=None if None in at_once else sum(filter(None, at_once)),
                can=infos[0].can.intersection(*(info.can for info in infos)),
                thinking_tokens=max(info.thinking_tokens for info in infos),
                single_turn=any(info.single_turn for info in infos),
                dropped=infos[0].dropped.union(*(info.dropped for info in infos)),
                notes=tuple(dict.fromkeys([*(note for info in infos for note in info.notes), *self._notes])),
            )
        return self._info

    @property
    def accelerator(self) -> Mapping[str, Json]:
        """What the first replica runs on; read by whoever writes down the environment of a run."""
        return self.replicas[0].accelerator

    async def generate(self, request: Request) -> Response | Failure:
        """Let a replica answer. Raises HarnessError when none is left."""
        ends: list[Lost] = []
        reply = await (await self._find_free()).ask(request)
        while isinstance(reply, Lost):
            ends += [reply] if reply.death is not None else []
            if reply.culprit:
                self._check_left()
                why = "; ".join(dict.fromkeys(lost.why for lost in ends))
                said = f"replicas ended while they worked on this request, the last one on it alone: {why}"
                return Failure(outcome="error", reason="replica_died", message=said)
            reply = await self._retry(request, reply, suspect=bool(ends))
        if isinstance(reply, Forbidden):
            raise reply
        return reply

    async def _retry(self, request: Request, lost: Lost, *, suspect: bool) -> Reply:
        """Ask once more: alone, while it may be what the replica died of."""
        if lost.death is not None:
            async with lost.death.turn:
                if not lost.death.explained:
                    async with self._hold_idle() as replica:
                        reply = await replica.ask(request, suspect=True)
                    lost.death.explained = isinstance(reply, Lost) and reply.culprit
                    return reply
        return await (await self._find_free()).ask(request, suspect=suspect)

    async def wait_ready(self) -> None:
        """Wait until all are open. Raises what the first that cannot be raises."""
        while any(replica.state == "starting" for replica in self.replicas):
            self._check_start()
            await self._moved.wait()
        self._check_start()
        first = self.replicas[0]
        for replica in self.replicas[1:]:
            if (
                first.info is not None
                and replica.info is not None
                and replica.info.fingerprint != first.info.fingerprint
            ):
                raise _other_files_error(replica.name)
            for name in PACKAGES:
                one, other = first.versions.get(name, "none"), replica.versions.get(name, "none")
                if one != other:
                    raise HarnessError(
                        f"{replica.name} has {name} {other}, and {first.name} has {one}",
                        remedy="install the same version on all: their answers could differ",
                    )
        self._notes.clear()

    def _check_start(self) -> None:
        for replica in self.replicas:
            if replica.fault is not None:
                raise replica.fault

    async def _find_free(self) -> Replica:
        """The replica with the least to do, once one may be asked."""
        while True:
            free = [replica for replica in self.replicas if replica.free and replica not in self._reserved]
            if free:
                return min(free, key=lambda replica: replica.load)
            self._check_left()
            await self._moved.wait()

    @asynccontextmanager
    async def _hold_idle(self) -> AsyncGenerator[Replica]:
        """A replica that answers nothing else meanwhile: an idle one, else one that starts, else the least busy.

        Waits while each is kept for another request. Raises why none is left.
        """
        replica: Replica | None = None
        try:
            while replica is None or not (replica.free and replica.load == 0):
                if replica is None or replica.state == "gone":
                    self._release(replica)
                    self._check_left()
                    left = [each for each in self.replicas if each.state != "gone" and each not in self._reserved]
                    replica = min(left, key=lambda each: (each.load, each.state != "live"), default=None)
                    self._reserved |= set() if replica is None else {replica}
                if replica is None or not replica.free or replica.load:
                    await self._moved.wait()
            yield replica
        finally:
            self._release(replica)

    def _release(self, replica: Replica | None) -> None:
        if replica in self._reserved:
            self._reserved.remove(replica)
            self._wake()

    def _check_left(self) -> None:
        """Raise why the last replica ended, if none is left."""
        if self._last is not None and all(replica.state == "gone" for replica in self.replicas):
            raise _copy_error(self._last)

    def _note_change(self, replica: Replica, note: str) -> None:
        if note:
            self._notes.append(note)
        if replica.fault is not None:
            self._last = replica.fault
        self._info = None
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


def _copy_error(error: Exception) -> HarnessError:
    """A copy of the error for another request: each must raise its own."""
    if isinstance(error, PluginError):  # as one of its calls it would end a sample, where nothing answers any more
        copy = HarnessError(error.what, where=error.where, remedy=error.remedy)
        copy.__cause__ = error  # which has the traceback
        return copy
    if isinstance(error, HarnessError):
        return type(error)(error.what, where=error.where, remedy=error.remedy)
    return HarnessError(str(error).strip().rpartition("\n")[2], remedy=f"a bug of the provider's: {error}")


@asynccontextmanager
async def open_replicas(spec: ReplicaSpec, placements: Sequence[Placement]) -> AsyncGenerator[Model]:
    """Open the model in one process for each placement, all at once; at the end all of them are gone.

    Raises HarnessError as the provider does, if one of them cannot be opened.
    """
    with unwrap_groups():
        async with open_places(placements) as places, anyio.create_task_group() as tasks:
            pool = Pool(spec, places)
            for replica in pool.replicas:
                tasks.start_soon(replica.run)
            try:
                await pool.wait_ready()
                yield pool
            finally:
                tasks.cancel_scope.cancel()
