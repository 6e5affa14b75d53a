"""VLMEvalKit's process: started, asked by lines of JSON, started again when it dies.

`child` is its own end of the pipe. When this process is killed, the child sees its stdin close and ends itself.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal

from harness import HarnessError, Json, UnknownName
from harness.errors import unwrap_groups
from harness.http import reading
from harness.http.status import as_list, as_mapping
from harness.subprocesses import ChildProcess, PipeClosed, start_child
from harness.text import one_line

from .child.protocol import redact

INSTALL = "pip install 'vlm-safety-harness[vlmeval]'"
VARIABLE = "HARNESS_VLMEVAL_PYTHON"
PROTOCOL = 1
_SCRIPT = Path(__file__).with_name("child")
_LONGEST_LINE = 64 << 20
_LAST_LINES = 8
_CLOSE_SECONDS = 2.0
_HELLO_SECONDS = 120.0
_NOISE = "Did not detect the .env file"  # said at each start


class Died(Exception):
    """The process ended before it answered.

    Attributes:
        lines: the last ones it wrote to stderr, without keys.
    """

    def __init__(self, how: str, lines: tuple[str, ...]) -> None:
        super().__init__(f"VLMEvalKit's process died: it {how}" + (f": {' | '.join(lines[-3:])}" if lines else ""))
        self.lines = lines


class Refused(Exception):
    """The process answered that it cannot: `kind` is a stable code, `facts` all it said."""

    def __init__(self, facts: Mapping[str, Json]) -> None:
        super().__init__(" ".join(redact(str(facts.get("message", ""))).split()))
        self.kind = str(facts.get("kind"))
        self.facts = facts


@dataclass(slots=True)
class _Call:
    """One operation that waits for its reply."""

    answered: anyio.Event = field(default_factory=anyio.Event)
    reply: Mapping[str, Json] = field(default_factory=dict[str, Json])


class KitProcess:
    """VLMEvalKit's process, asked by operations; made by `start_kit`.

    Attributes:
        dead: it has ended.
    """

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self._waiting: dict[int, _Call] = {}
        self._numbers = itertools.count(1)
        self._how = ""
        self.dead = False

    async def ask(self, op: str, **fields: Json) -> Mapping[str, Json]:
        """The reply to one operation. Raises Refused, or Died if the process ends first."""
        if self.dead:
            raise self._death()
        number, call = next(self._numbers), _Call()
        self._waiting[number] = call
        try:
            self._child.send_json({"id": number, "op": op, **fields})
            await call.answered.wait()
        finally:
            self._waiting.pop(number, None)
        if "error" in call.reply:
            raise Refused(as_mapping(call.reply["error"]))
        if "ok" not in call.reply:
            raise self._death()
        return as_mapping(call.reply["ok"])

    async def hello(self, python: str) -> Mapping[str, Json]:
        """Which package it has. Raises HarnessError if it speaks another protocol or has no VLMEvalKit."""
        found = await self.ask("hello")
        if found.get("protocol") != PROTOCOL:
            raise HarnessError(f"VLMEvalKit's process speaks protocol {found.get('protocol')}", where=python)
        if not found.get("package"):
            command = INSTALL if python == sys.executable else f"{python} -m pip install ms-vlmeval"
            raise HarnessError(
                "VLMEvalKit is not installed",
                where=python,
                remedy=f"{command}, or name another interpreter in {VARIABLE}",
            )
        return found

    async def read_replies(self) -> None:
        """Hand out replies until the process ends."""
        with suppress(PipeClosed):
            while True:
                reply = as_mapping(await self._child.receive_json(_LONGEST_LINE))
                call = self._waiting.get(int(reply.get("id") or 0))
                if call is not None:
                    call.reply = reply
                    call.answered.set()
        self._how = await self._child.wait_end()
        self.dead = True
        for call in self._waiting.values():
            call.answered.set()

    async def close(self) -> None:
        """End the process and those it started; it is gone when this returns."""
        await self._child.close()

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of stderr, without keys."""
        lines = [one_line(redact(line)) for line in self._child.stderr if _NOISE not in line]
        return tuple(lines[-_LAST_LINES:])

    def _death(self) -> Died:
        return Died(self._how, self.last_lines)


def find_interpreter(given: str) -> str:
    """The Python that has VLMEvalKit: as given, else of the environment, else this one."""
    return given or os.environ.get(VARIABLE, "") or sys.executable


async def start_kit(tasks: TaskGroup, python: str, *, data: Path) -> KitProcess:
    """Start VLMEvalKit's process.

    Args:
        tasks: where it is listened to, until it is closed.
        python: its interpreter.
        data: folder for VLMEvalKit's own files.

    Raises:
        HarnessError: the interpreter cannot be started.
    """
    child = await start_child(
        [python, str(_SCRIPT), reading.__file__],
        # without LMUData naming a folder that is there, importing VLMEvalKit makes one in the user's home
        variables={"LMUData": str(data)},
        close_seconds=_CLOSE_SECONDS,
        remedy=f"-M python=PYTHON or {VARIABLE} names the Python that has VLMEvalKit",
    )
    kit = KitProcess(child)
    tasks.start_soon(child.run)
    tasks.start_soon(kit.read_replies)
    return kit


class ZooModel:
    """One model of the zoo, in a process that is started again when it dies.

    Args:
        tasks: where the process is listened to.
        python: its interpreter.
        data: folder for VLMEvalKit's own files.
        restarts: how often the process may be started again.
    """

    def __init__(self, tasks: TaskGroup, python: str, *, data: Path, restarts: int) -> None:
        self._tasks = tasks
        self._python = python
        self._data = data
        self._left = self._allowed = restarts
        self._model: dict[str, Json] = {}
        self._kit: KitProcess | None = None
        self._starting = anyio.Lock()
        self.notes: tuple[str, ...] = ()

    async def open(self, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Start the process and open a model in it; gives the facts of the package and of the model.

        Raises:
            HarnessError: no such interpreter, package or model, or the class cannot be opened.
        """
        self._model = {"name": name, "arguments": dict(arguments)}
        try:
            return await self._start()
        except Died as death:
            raise HarnessError(str(death), where=self._python, remedy=_format_lines(death.lines)) from death

    async def generate(self, message: Json, settings: Json) -> Mapping[str, Json]:
        """The reply to one question.

        Raises:
            Died: the process ended before it answered.
            HarnessError: it has died too often.
        """
        async with self._starting:
            kit = self._kit
            assert kit is not None
            if kit.dead:
                kit = await self._restart(kit)
        try:
            return await kit.ask("generate", message=message, settings=settings)
        except Refused as refused:
            return {"raised": dict(refused.facts)}

    async def close(self) -> None:
        """End the process."""
        if self._kit is not None:
            await self._kit.close()

    async def _restart(self, dead: KitProcess) -> KitProcess:
        if self._left == 0:
            raise HarnessError(
                f"VLMEvalKit's process died, and was started again {self._allowed} times",
                where=str(self._model["name"]),
                remedy=f"{_format_lines(dead.last_lines)}\n  -M restarts=N allows more",
            )
        self._left -= 1
        await dead.close()
        await self._start()
        times = self._allowed - self._left
        self.notes = (f"VLMEvalKit's process died and was started again, {times} of {self._allowed} times",)
        assert self._kit is not None
        return self._kit

    async def _start(self) -> dict[str, Json]:
        kit = self._kit = await start_kit(self._tasks, self._python, data=self._data)
        try:
            with anyio.fail_after(_HELLO_SECONDS):
                hello = await kit.hello(self._python)
            return {**hello, **await kit.ask("open", **self._model)}
        except TimeoutError as error:
            raise HarnessError("the interpreter does not answer", where=self._python) from error
        except Refused as refused:
            raise self._refusal_error(refused, kit) from refused

    def _refusal_error(self, refused: Refused, kit: KitProcess) -> HarnessError:
        name = self._model["name"]
        if refused.kind == "unknown_model":
            near = ", ".join(map(str, as_list(refused.facts.get("nearest"))))
            nearest = f"did you mean one of {near}?" if near else "no name is near it"
            return UnknownName(
                str(refused), remedy=f"{nearest} `vlmutil mlist all` lists the {refused.facts.get('count')} names"
            )
        if refused.kind == "bad_arguments":
            return HarnessError(f"vlmeval/{name} does not take these arguments: {refused}", where="-M args, model_path")
        kind = refused.facts.get("type", refused.kind)
        where = redact(str(refused.facts.get("place", "")))
        return HarnessError(
            f"VLMEvalKit cannot open {name}: {kind}: {refused}",
            where=where or "VLMEvalKit",
            remedy=_format_lines(kit.last_lines),
        )


def _format_lines(lines: tuple[str, ...]) -> str:
    return "\n  ".join(("it said last:", *lines)) if lines else "it said nothing"


async def ask_kit(root: Path, op: str, **fields: Json) -> Mapping[str, Json]:
    """The reply to one operation, from a process that is started for it and gone afterwards.

    Args:
        root: the folder of data sets.
        op: see `child`.
        fields: of the operation.

    Raises:
        Refused: VLMEvalKit cannot.
        HarnessError: there is no VLMEvalKit, or its process died.
    """
    python = find_interpreter("")
    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            kit = await start_kit(tasks, python, data=root)
            try:
                hello = await kit.hello(python)
                return hello if op == "hello" else await kit.ask(op, **fields)
            except Died as death:
                raise HarnessError(str(death), where=python, remedy="\n  ".join(death.lines)) from death
            finally:
                await kit.close()
                tasks.cancel_scope.cancel()
    raise AssertionError


def ask_kit_now(root: Path, op: str, **fields: Json) -> Mapping[str, Json]:
    """As `ask_kit`, for callers that cannot await; an event loop that runs here is blocked."""
    with start_blocking_portal() as portal:
        return portal.call(partial(ask_kit, root, op, **fields))


def find_package() -> str:
    """The package and its version, which can change rows and scores. Blocking, once for each interpreter.

    Raises HarnessError if there is none.
    """
    return _find_package(find_interpreter(""), os.environ.get("PYTHONPATH", ""))


@lru_cache(maxsize=8)
def _find_package(_python: str, _path: str) -> str:
    hello = ask_kit_now(Path(), "hello")
    return f"{hello.get('package')} {hello.get('version')}"
