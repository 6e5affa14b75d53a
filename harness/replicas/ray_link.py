"""Replicas in a Ray cluster: one actor for each, which holds the replica's process and passes its bytes on.

Ray chooses the node and the GPUs, and nothing else: an actor that dies is not started again and no call is repeated by
Ray, since the pool does both and knows which requests were answered. What the replica sends comes as one stream for all
of its life; what it is sent goes in one call at a time, with all that has come up meanwhile. So a request costs no
task of its own.

Only Ray's own processes that this process started are ended, never those of others (`ray stop` would).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.errors import HarnessError, unwrap_groups
from harness.extras import Untyped, require_module
from harness.replicas.launch import START, Node, share_out
from harness.replicas.placement import Machine, Placement
from harness.subprocesses import GRACE, ChildProcess, PipeClosed, start_child

#: seconds that GPUs may take to become free, such as those of a model that has just been closed
FREE: Final = 10.0
#: seconds for which answers are gathered into one piece, once one has been sent
GATHER: Final = 0.006
_MOST: Final = 8 << 20  # bytes of one call, unless a message has more


@dataclass(slots=True)
class _Connection:
    """The connection that this module made, which is one for the process.

    Attributes:
        users: open models that use it; it ends with the last.
        closing: undone after it.
    """

    users: int = 0
    closing: ExitStack = field(default_factory=ExitStack)
    lock: threading.Lock = field(default_factory=threading.Lock)


_connection = _Connection()


class Holder:
    """The actor: starts the replica's process on its node, and ends it."""

    def __init__(self) -> None:
        self._child: ChildProcess | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self, program: Sequence[str], python: str) -> str:
        """Start the program, with this node's Python unless another is given. Gives the node's name."""
        import platform
        import sys

        # one more process would hold the devices if this actor were killed: the end of its pipe ends it
        self._child = await start_child([python or sys.executable, *program[1:]], close_seconds=GRACE + 1)
        self._running = asyncio.ensure_future(self._child.run())
        return platform.node()

    async def write(self, data: bytes) -> None:
        """Send it bytes."""
        assert self._child is not None
        self._child.send(data)

    async def read(self) -> AsyncGenerator[bytes]:
        """All that it sends, as it comes; where much comes, in larger pieces, since each costs about a millisecond."""
        assert self._child is not None
        clock = asyncio.get_running_loop().time
        with suppress(PipeClosed):
            while True:
                begun = clock()
                yield await self._child.receive_some()
                await asyncio.sleep(max(0.0, begun + GATHER - clock()))

    async def wait_end(self) -> tuple[str, int | None]:
        """How it ended, and its exit code."""
        assert self._child is not None
        return await self._child.wait_end(), self._child.exit_code

    async def last_lines(self, count: int) -> list[str]:
        """The last lines of its stderr."""
        return [] if self._child is None else self._child.last_lines(count)

    async def close(self) -> None:
        """End it."""
        if self._child is not None:
            await self._child.close()


class ActorLink:
    """A replica in an actor; a `harness.replicas.links.Link`."""

    def __init__(self, ray: Untyped, actor: Untyped) -> None:
        self.close_seconds = 0.0
        self.exit_code: int | None = None
        self._ray = ray
        self._actor = actor
        self._outgoing: deque[bytes] = deque()
        self._more = anyio.Event()
        self._incoming = BufferedByteReceiveStream(_Stream(actor.read.options(num_returns="streaming").remote(), ray))
        self._said: list[str] = []

    def send(self, *pieces: bytes) -> None:
        """Send bytes, together."""
        self._outgoing.extend(pieces)
        self._more.set()

    async def receive_exactly(self, size: int) -> bytes:
        """So many bytes that it sent. Raises PipeClosed."""
        try:
            return await self._incoming.receive_exactly(size)
        except (anyio.EndOfStream, anyio.IncompleteRead) as error:
            raise PipeClosed from error

    async def receive_until(self, end: bytes, limit: int) -> bytes:
        """What it sent up to `end`. Raises PipeClosed."""
        try:
            return await self._incoming.receive_until(end, limit)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound) as error:
            raise PipeClosed from error

    async def wait_end(self) -> str:
        """How it ended."""
        try:
            with anyio.fail_after(2 * GRACE + 5):
                why, self.exit_code = await self._actor.wait_end.remote()
                self._said = await self._actor.last_lines.remote(100)
        except TimeoutError:
            return "does not answer any more"
        except self._ray.exceptions.RayError as error:
            said = str(error).lower()
            with_node = "node" in said and "died" in said and "actor's node" in said
            return f"was lost with its {'node' if with_node else 'Ray actor'}"
        return str(why)

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its stderr, once it has ended."""
        return self._said[-count:]

    async def run(self) -> None:
        """Send what is to be sent, until this is cancelled or the actor is gone."""
        with suppress(self._ray.exceptions.RayError):
            while True:
                while self._outgoing:
                    pieces = [self._outgoing.popleft()]
                    size = len(pieces[0])
                    while self._outgoing and size + len(self._outgoing[0]) <= _MOST:
                        pieces.append(self._outgoing.popleft())
                        size += len(pieces[-1])
                    await self._actor.write.remote(b"".join(pieces))
                self._more = anyio.Event()
                await self._more.wait()


class _Stream(anyio.abc.ByteReceiveStream):
    """What an actor's generator yields, as a stream of bytes."""

    def __init__(self, generator: Untyped, ray: Untyped) -> None:
        self._generator = generator
        self._ray = ray

    async def receive(self, max_bytes: int = 65536) -> bytes:  # noqa: ARG002 - the buffer takes what comes
        try:
            return bytes(await (await anext(self._generator)))
        except (StopAsyncIteration, self._ray.exceptions.RayError):
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def open_actor(place: Placement, program: Sequence[str]) -> AsyncGenerator[ActorLink]:
    """Start a replica's program in an actor; both are gone when the block ends.

    Raises HarnessError if Ray does not start the actor within START seconds, or cannot.
    """
    ray = _import_ray()
    options: dict[str, Any] = {"num_gpus": place.gpus or 0, "num_cpus": place.cpus, "scheduling_strategy": "SPREAD"}
    kind = ray.remote(max_restarts=0, max_task_retries=0, **options)(Holder)
    actor = kind.remote()
    try:
        try:
            with anyio.fail_after(START):
                await actor.start.remote(list(program), place.python)
        except TimeoutError:
            raise HarnessError(
                f"Ray has not started a replica with {place.what} within {START} s",
                remedy="are they in use by others? See `ray status`",
            ) from None
        except ray.exceptions.RayError as error:
            raise HarnessError(
                f"Ray cannot start a replica with {place.what}: {_last_line(error)}",
                remedy="the harness and Ray must be installed on its nodes as here",
            ) from error
        link = ActorLink(ray, actor)
        with unwrap_groups():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(link.run)
                try:
                    yield link
                finally:
                    with anyio.move_on_after(2 * GRACE + 5, shield=True), suppress(ray.exceptions.RayError):
                        await actor.close.remote()
                    tasks.cancel_scope.cancel()
    finally:
        with suppress(Exception):  # the cluster may be gone
            ray.kill(actor)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


@asynccontextmanager
async def connect(place: Placement) -> AsyncGenerator[tuple[Placement, ...]]:
    """Connect to the cluster of a placement, or start one on this machine; gives the placements of its replicas.

    Raises HarnessError if it cannot be reached, or they do not fit into it.
    """
    async with join_cluster(place.host) as (ray, nodes):
        gpus, counts = share_out(nodes, place.wanted, place.gpus, fractions=True, who="the Ray cluster")
        number, there = sum(counts), sum(node.cpus for node in nodes)
        cpus = 0 if gpus else 1
        if not gpus and number > there:
            raise HarnessError(
                f"{number} replicas on the CPU do not fit: the Ray cluster has {there} CPUs",
                remedy="ask for fewer with -M replicas=N",
            )
        needed = {"GPU": number * gpus, "CPU": float(number * cpus)}
        await _wait_free(ray, {name: amount for name, amount in needed.items() if amount})
        yield tuple(replace(place, gpus=gpus, cpus=cpus, wanted=1) for _ in range(number))


@asynccontextmanager
async def join_cluster(address: str) -> AsyncGenerator[tuple[Untyped, tuple[Node, ...]]]:
    """Connect to a cluster, or start Ray on this machine if there is no address; gives Ray and the cluster's nodes.

    Raises HarnessError if it cannot be reached.
    """
    ray = _import_ray()
    async with AsyncExitStack() as closing:
        if _connection.users or not ray.is_initialized():  # a notebook that is connected already stays so
            await closing.enter_async_context(_join(ray, address))
        found: list[Mapping[str, Any]] = await anyio.to_thread.run_sync(ray.nodes)
        yield (
            ray,
            tuple(
                Node(
                    name=str(node["NodeManagerHostname"]),
                    gpus=node["Resources"].get("GPU", 0),
                    cpus=int(node["Resources"].get("CPU", 0)),
                )
                for node in found
                if node["Alive"]
            ),
        )


@asynccontextmanager
async def _join(ray: Untyped, address: str) -> AsyncGenerator[None]:
    """Use the connection of this process; its last user ends it."""

    def join() -> None:
        with _connection.lock:
            if not _connection.users:
                _start(ray, address)
            _connection.users += 1

    def leave() -> None:
        with _connection.lock:
            _connection.users -= 1
            if not _connection.users:
                ray.shutdown()
                _connection.closing.close()

    await anyio.to_thread.run_sync(join)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(leave)


def _import_ray() -> Untyped:
    # before the import, which reads them
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return require_module("ray", "ray", by="--launch ray")


@contextmanager
def _quiet() -> Generator[None]:
    """Keep Ray from printing to our stdout what befalls its workers: the pool says it, with the requests it cost."""
    try:
        worker: Untyped = importlib.import_module("ray._private.worker")
        usual = worker.print_to_stdstream
    except (ImportError, AttributeError):  # another version of Ray prints another way
        yield
        return
    worker.print_to_stdstream = _print_nothing
    try:
        yield
    finally:
        worker.print_to_stdstream = usual


def _print_nothing(*_: object, **__: object) -> None:
    pass


def _start(ray: Untyped, address: str) -> None:
    """Connect this process to Ray. Raises HarnessError; the process is then as it was before."""
    host, colon, port = address.rpartition(":")
    if colon:  # where nobody answers, Ray would wait a minute, and then end this process
        try:
            if not port.isdecimal():
                raise OSError("the port is not a number")
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise HarnessError(
                f"no Ray cluster can be reached: {error}",
                where=address,
                remedy="--ray-address is HOST:6379 of its head node, or auto on one of its nodes",
            ) from error
    options: dict[str, Any] = {}
    if not address:
        # never the cluster that a stale file of an earlier one names
        machine = Machine.here()
        gpus = None if machine.visible is None else len(machine.visible)
        options = {"include_dashboard": False, "num_gpus": gpus}
    with ExitStack() as undoing:
        undoing.enter_context(_quiet())
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                configure_logging=True,
                logging_level=logging.CRITICAL,
                **options,
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            what = f"Ray cannot be {'reached' if address else 'started'}: {_last_line(error)}"
            remedy = "the same Python and Ray must be on all nodes; --ray-address is HOST:6379, or auto on one of them"
            raise HarnessError(what, where=address, remedy=remedy) from error
        _connection.closing = undoing.pop_all()


async def _wait_free(ray: Untyped, needed: Mapping[str, float]) -> None:
    """Raise HarnessError if others use what is needed; what a closed model leaves becomes free within seconds."""
    free: Mapping[str, float] = {}
    with anyio.move_on_after(FREE):
        while True:
            free = await anyio.to_thread.run_sync(ray.available_resources)
            if all(free.get(name, 0) + 1e-6 >= amount for name, amount in needed.items()):
                return
            await anyio.sleep(0.2)
    name, amount = next((name, amount) for name, amount in needed.items() if free.get(name, 0) + 1e-6 < amount)
    raise HarnessError(
        f"the replicas need {amount:g} {name}s, and {free.get(name, 0):g} of the Ray cluster's are free",
        remedy="wait until others are done (`ray status`), or ask for fewer with -M replicas=N",
    )
