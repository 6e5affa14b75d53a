"""One child process as the run sees it: frames to it, frames from it, and the last lines it said."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.replicas.child import BOOT, GRACE
from harness.replicas.frames import GREETING, Frame, receive
from harness.terminal import one_line

#: lines of stderr that are kept
KEPT: Final = 12
#: characters of a line of it: a library may write without end and never end the line
LONGEST: Final = 1 << 12
#: bytes that libraries may print before the first frame
NOISE: Final = 1 << 20
_GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError)


class Child:
    """A process that is running, or was.

    Attributes:
        said: its last lines on stderr, without control characters.
        opened: its model is open, so that it gets the time to close it.
    """

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._stream = BufferedByteReceiveStream(process.stdout)
        self._greeted = False
        self._silent = anyio.Event()
        self._waiting: deque[list[bytes]] = deque()
        self._more = anyio.Event()
        self.opened = False
        self.said: deque[str] = deque(maxlen=KEPT)

    def send(self, frame: Frame) -> None:
        """Put a frame on its way; it is lost where the process is. Raises TypeError where its body is no JSON."""
        self._waiting.append(frame.packed())
        self._more.set()

    async def receive(self) -> Frame | None:
        """What it sends next; None when it is gone, or sends no frames any more."""
        with suppress(*_GONE, anyio.DelimiterNotFound, ValueError):
            if not self._greeted:
                await self._stream.receive_until(GREETING, NOISE)
                self._greeted = True
            return await receive(self._stream.receive_exactly)
        return None

    async def ended(self) -> str:
        """Its end, once nothing more comes from it; how it ended, such as `was killed by SIGKILL`."""
        code: int | None = None
        with anyio.move_on_after(GRACE):
            code = await self._process.wait()
        if code is None:
            self.kill()
            return "closed its pipe and did not end"
        with anyio.move_on_after(GRACE):
            await self._silent.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")

    async def write(self) -> None:
        """Write what is sent, frame by frame and each one whole."""
        assert self._process.stdin is not None
        with suppress(*_GONE):
            while True:
                while self._waiting:
                    for piece in self._waiting.popleft():
                        await self._process.stdin.send(piece)
                self._more = anyio.Event()
                await self._more.wait()

    async def hear(self) -> None:
        """Keep the last lines of its stderr."""
        assert self._process.stderr is not None
        rest = ""
        with suppress(*_GONE):
            async for piece in self._process.stderr:
                *lines, rest = (rest + piece.decode(errors="replace")).replace("\r", "\n").split("\n")
                self.said += filter(None, map(one_line, lines))
                rest = rest[:LONGEST]
        self.said += filter(None, [one_line(rest)])
        self._silent.set()

    async def watch(self) -> None:
        """When it ends, end what it started too: nothing may hold the accelerator, or the pipe.

        What left its group may hold the pipe all the same, and is not waited for.
        """
        await self._process.wait()
        self.kill()
        await anyio.sleep(GRACE)
        assert self._process.stdout is not None
        await self._process.stdout.aclose()

    async def close(self) -> None:
        """End it: it may close its model, and is killed where that takes too long."""
        assert self._process.stdin is not None
        with suppress(*_GONE):
            await self._process.stdin.aclose()
        with anyio.move_on_after(GRACE + 1 if self.opened else 0):
            await self._process.wait()
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Kill the process and all it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def started(label: str, extra: Mapping[str, str]) -> AsyncGenerator[Child]:
    """Start a replica's process, in a session of its own: a terminal's Ctrl-C is the run's to hear.

    Args:
        label: shown by `ps` behind the command.
        extra: variables over those of this process.
    """
    process = await anyio.open_process(
        [sys.executable, "-c", BOOT, json.dumps(_path()), label],
        env={**os.environ, **extra},
        start_new_session=True,
    )
    child = Child(process)
    async with anyio.create_task_group() as tasks:
        for work in (child.write, child.hear, child.watch):
            tasks.start_soon(work)
        try:
            yield child
        finally:
            with anyio.CancelScope(shield=True):
                await child.close()
                await process.aclose()
            tasks.cancel_scope.cancel()


def _path() -> list[str]:
    """Where this process imports from, for its child: PYTHONPATH would reach the child's own children too."""
    return [str(Path(entry).absolute()) for entry in sys.path]
