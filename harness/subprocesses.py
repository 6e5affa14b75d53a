"""A child process in a session of its own, which reads and writes pipes; it ends with all processes that it started.

Invariants:
- A terminal's Ctrl-C reaches this process alone, which then ends the child.
- When the child ends, the processes that it started are killed too: none may hold the accelerator, or the pipe. One
  that left the child's group may still hold a pipe; it is waited for GRACE seconds and no longer.
- A message goes out whole and in order, whoever is cancelled meanwhile; it is lost if the child is gone.
- Only the last lines of its stderr are kept, and of each only the beginning: a library may write without end.

The caller chooses the messages: lines of JSON, or frames of bytes. A child that should end with its parent, also when
that is killed, must end itself when its stdin closes.
"""

from __future__ import annotations

import json
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from harness import descriptors
from harness.errors import HarnessError, unwrap_groups
from harness.text import one_line
from harness.types import Json

#: seconds that a process, and what holds its pipes, is given to end by itself
GRACE: Final = 5.0
_LINES: Final = 40  # of stderr that are kept
_LONGEST: Final = 1 << 12  # characters of such a line
_CLOSED = (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)


class PipeClosed(Exception):
    """The child sends no more, or no valid message."""


class ChildProcess:
    """A process that is running, or was; made by `open_child`, or by `start_child` with `run` in a task.

    Attributes:
        close_seconds: how long it may take to end by itself when it is closed; then it is killed.
        stderr: its last lines, unchanged: they may hold keys and control characters.
    """

    def __init__(self, process: anyio.abc.Process, close_seconds: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._outgoing: deque[Sequence[bytes]] = deque()
        self._more = anyio.Event()
        self._stderr_ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self.close_seconds = close_seconds
        self.stderr: deque[str] = deque(maxlen=_LINES)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its stderr without control characters, each on one line."""
        return [one_line(line) for line in self.stderr][-count:]

    def send(self, *pieces: bytes) -> None:
        """Send bytes, together."""
        self._outgoing.append(pieces)
        self._more.set()

    def send_json(self, message: Mapping[str, Json]) -> None:
        """Send a line of JSON, in ASCII. Raises TypeError or ValueError if the message is not JSON."""
        self.send(json.dumps(message, allow_nan=False).encode("ascii") + b"\n")

    async def receive_exactly(self, size: int) -> bytes:
        """So many bytes of its stdout. Raises PipeClosed."""
        try:
            return await self._stdout.receive_exactly(size)
        except _CLOSED as error:
            raise PipeClosed from error

    async def receive_until(self, end: bytes, limit: int) -> bytes:
        """Its stdout up to `end`, which is taken too. Raises PipeClosed, also after `limit` bytes without it."""
        try:
            return await self._stdout.receive_until(end, limit)
        except (*_CLOSED, anyio.DelimiterNotFound) as error:
            raise PipeClosed from error

    async def receive_some(self) -> bytes:
        """The next bytes of its stdout, as they come. Raises PipeClosed."""
        try:
            return await self._stdout.receive()
        except _CLOSED as error:
            raise PipeClosed from error

    async def receive_json(self, limit: int) -> Json:
        """The next line as JSON. Raises PipeClosed, also if it is none or has more than `limit` bytes."""
        try:
            return json.loads(await self.receive_until(b"\n", limit))
        except (ValueError, RecursionError) as error:
            raise PipeClosed from error

    async def wait_end(self) -> str:
        """How it ended, such as `was killed by SIGKILL`; call it after PipeClosed."""
        code: int | None = None
        with anyio.move_on_after(GRACE):
            code = await self._process.wait()
        if code is None:
            self.kill()
            return "closed its pipe and did not end"
        with anyio.move_on_after(GRACE):
            await self._stderr_ended.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")

    async def run(self) -> None:
        """Write messages, keep the last lines of stderr, and kill what the child leaves running, until `close`."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._read_stderr)
                tasks.start_soon(self._watch)

    async def close(self) -> None:
        """End it, and those it started: they are gone when this returns."""
        with anyio.CancelScope(shield=True):
            with suppress(*_CLOSED):
                await self._stdin.aclose()
            with anyio.move_on_after(self.close_seconds):
                await self._process.wait()
            self.kill()
            await self._process.wait()
            await self._process.aclose()
        self._scope.cancel()

    def kill(self) -> None:
        """Kill the process and all it started."""
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    async def _write(self) -> None:
        with suppress(*_CLOSED):
            while True:
                while self._outgoing:
                    for piece in self._outgoing.popleft():
                        await self._stdin.send(piece)
                self._more = anyio.Event()
                await self._more.wait()

    async def _read_stderr(self) -> None:
        rest = ""
        try:
            with suppress(*_CLOSED):
                while self._process.stderr is not None:
                    piece = await self._process.stderr.receive()
                    *lines, rest = (rest + piece.decode(errors="replace")).replace("\r", "\n").split("\n")
                    self.stderr += [line[:_LONGEST] for line in lines if one_line(line)]
                    rest = rest[:_LONGEST]
            self.stderr += [rest] if one_line(rest) else []
        finally:
            self._stderr_ended.set()

    async def _watch(self) -> None:
        """When the process ends, kill its group, and close its stdout, which a process of another group may hold."""
        await self._process.wait()
        self.kill()
        await anyio.sleep(GRACE)
        assert self._process.stdout is not None
        await self._process.stdout.aclose()


async def start_child(
    command: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
    keep_stderr: bool = True,
    close_seconds: float = 0.0,
    remedy: str = "",
) -> ChildProcess:
    """Start a process; its `run` must run in a task until it is closed.

    Args:
        command: the program and its arguments.
        variables: over those of this process.
        keep_stderr: keep the last lines of its stderr; else it goes where this process's does.
        close_seconds: see ChildProcess.
        remedy: of the error.

    Raises:
        HarnessError: the program cannot be started.
    """
    import subprocess

    with anyio.CancelScope(shield=True):  # one that is half started could not be closed
        try:
            process = await anyio.open_process(
                command,
                stderr=subprocess.PIPE if keep_stderr else None,
                env={**os.environ, **(variables or {})},
                start_new_session=True,
            )
        except OSError as error:
            descriptors.check(error)
            raise HarnessError(f"{command[0]} does not start: {error.strerror}", remedy=remedy) from error
        return ChildProcess(process, close_seconds)
    raise AssertionError("a shielded scope is not cancelled")


@asynccontextmanager
async def open_child(
    command: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
    keep_stderr: bool = True,
    close_seconds: float = 0.0,
    remedy: str = "",
) -> AsyncGenerator[ChildProcess]:
    """Start a process that is gone when the block ends; the arguments are those of `start_child`."""
    child = await start_child(
        command, variables=variables, keep_stderr=keep_stderr, close_seconds=close_seconds, remedy=remedy
    )
    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.run)
            try:
                yield child
            finally:
                await child.close()
