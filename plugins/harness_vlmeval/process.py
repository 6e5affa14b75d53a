"""VLMEvalKit's process: started, asked by JSON lines, ended with all it started.

It leads a session of its own, so Ctrl-C reaches this process alone, which then ends it; when this process is killed, it
sees its stdin close and ends itself.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from harness import HarnessError, Json
from harness.http import reading
from harness.http.status import as_mapping

from .child.secrets import redact

SCRIPT = Path(__file__).with_name("child")
VARIABLE = "HARNESS_VLMEVAL_PYTHON"
_LONGEST_LINE = 64 << 20
_KEPT_LINES = 40
_LAST_WORDS = 8
_GRACE = 2.0
_NOISE = "Did not detect the .env file"  # said at each start


class Died(Exception):
    """The process ended before it answered.

    Attributes:
        how: its exit status or signal.
        words: last lines it wrote to stderr, without keys.
    """

    def __init__(self, how: str, words: tuple[str, ...]) -> None:
        super().__init__(f"VLMEvalKit's process died ({how})" + (f": {' | '.join(words[-3:])}" if words else ""))
        self.how = how
        self.words = words


class Refused(Exception):
    """The process answered that it cannot: `kind` is a stable code, `facts` all it said."""

    def __init__(self, facts: Mapping[str, Json]) -> None:
        super().__init__(" ".join(redact(str(facts.get("message", ""))).split()))
        self.kind = str(facts.get("kind"))
        self.facts = facts


class _Ticket:
    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.reply: Mapping[str, Json] = {}


class Child:
    """A running process; `listen` must run while it is asked."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._waiting: dict[int, _Ticket] = {}
        self._numbers = itertools.count(1)
        self._sending = anyio.Lock()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.dead = False

    async def ask(self, op: str, **fields: Json) -> Mapping[str, Json]:
        """The reply to one operation. Raises Refused, or Died where the process ends first."""
        if self.dead:
            raise self._death()
        number, ticket = next(self._numbers), _Ticket()
        self._waiting[number] = ticket
        try:
            await self._send({"id": number, "op": op, **fields})
            await ticket.answered.wait()
        finally:
            self._waiting.pop(number, None)
        if "error" in ticket.reply:
            raise Refused(as_mapping(ticket.reply["error"]))
        if "ok" not in ticket.reply:
            raise self._death()
        return as_mapping(ticket.reply["ok"])

    async def listen(self) -> None:
        """Hand out replies and keep the last lines of stderr, until the process ends."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._overhear)
            await self._hear()
            with anyio.move_on_after(_GRACE):
                await self._process.wait()
            self._kill()
            await self._process.wait()
            tasks.cancel_scope.deadline = anyio.current_time() + _GRACE  # a grandchild may hold stderr open
        self.dead = True
        for ticket in self._waiting.values():
            ticket.answered.set()

    async def close(self) -> None:
        """End the process and those it started; it is gone when this returns."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_GRACE), suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._send({"op": "close"})
                await self._process.wait()
            self._kill()
            await self._process.wait()
            await self._process.aclose()

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines of stderr, without keys."""
        return tuple(redact(line) for line in list(self._lines)[-_LAST_WORDS:])

    async def _send(self, message: Mapping[str, Json]) -> None:
        assert self._process.stdin is not None
        line = json.dumps(message, allow_nan=False).encode("ascii") + b"\n"
        async with self._sending:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):  # `listen` tells of the end
                await self._process.stdin.send(line)

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        stream = BufferedByteReceiveStream(self._process.stdout)
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                line = await stream.receive_until(b"\n", _LONGEST_LINE)
                reply = as_mapping(json.loads(line))
                ticket = self._waiting.get(int(reply.get("id") or 0))
                if ticket is not None:
                    ticket.reply = reply
                    ticket.answered.set()

    async def _overhear(self) -> None:
        assert self._process.stderr is not None
        rest = ""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                text = rest + (await self._process.stderr.receive()).decode("utf-8", "replace")
                *lines, rest = re.split(r"[\r\n]+", text)
                self._lines.extend(line[:500] for line in lines if line.strip() and _NOISE not in line)
                rest = rest[-500:]

    def _death(self) -> Died:
        return Died(_how(self._process.returncode), self.last_words)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit status {code}"


def interpreter(given: str) -> str:
    """The Python that has VLMEvalKit: as given, else of the environment, else this one."""
    return given or os.environ.get(VARIABLE, "") or sys.executable


async def start(python: str, *, data: Path) -> Child:
    """Start the child; `data` is a folder for VLMEvalKit's own files. Raises HarnessError where Python is not there."""
    # without LMUData naming a folder that is there, importing VLMEvalKit makes one in the user's home
    environment = {**os.environ, "LMUData": str(data)}
    try:
        process = await anyio.open_process(
            [python, str(SCRIPT), reading.__file__], env=environment, start_new_session=True
        )
    except OSError as error:
        raise HarnessError(
            f"the interpreter {python} does not start: {error.strerror}",
            remedy=f"-M python=PYTHON or {VARIABLE} names the Python that has VLMEvalKit",
        ) from error
    return Child(process)
