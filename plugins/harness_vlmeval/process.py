"""VLMEvalKit's process: starts it, talks to it in lines of JSON, and restarts it when it dies.

`child` is the other end of the pipe. When this process is killed, the child sees its stdin close and ends.
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
_NOISE = "Did not detect the .env file"  # printed at each start


class Died(Exception):
    """The process ended before it answered.

    Attributes:
        lines: its last lines on stderr, without keys.
    """

    def __init__(self, how: str, lines: tuple[str, ...]) -> None:
        super().__init__(f"VLMEvalKit's process died: it {how}" + (f": {' | '.join(lines[-3:])}" if lines else ""))
        self.lines = lines


class Refused(Exception):
    """The process refused an operation: `kind` is a stable code, `facts` the whole error."""

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
    """VLMEvalKit's process; made by `start_kit`.

    Attributes:
        dead: whether it has ended.
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
        """Its package and version. Raises HarnessError if it speaks another protocol or lacks VLMEvalKit."""
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
        """Pass on replies until the process ends."""
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
        """End the process and its children, and wait for the end."""
        await self._child.close()

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of stderr, without keys."""
        lines = [one_line(redact(line)) for line in self._child.stderr if _NOISE not in line]
        return tuple(lines[-_LAST_LINES:])

    def _death(self) -> Died:
        return Died(self._how, self.last_lines)


def find_interpreter(given: str) -> str:
    """The Python with VLMEvalKit: the given one, else the environment's, else this one."""
    return given or os.environ.get(VARIABLE, "") or sys.executable


async def start_kit(tasks: TaskGroup, python: str, *, data: Path) -> KitProcess:
    """Start VLMEvalKit's process.

    Args:
        tasks: runs its reader, until it is closed.
        python: its interpreter.
        data: folder for VLMEvalKit's own files.

    Raises:
        HarnessError: the interpreter does not start.
    """
    child = await start_child(
        [python, str(_SCRIPT), reading.__file__],
        # unless LMUData names an existing folder, importing VLMEvalKit creates one in the user's home
        variables={"LMUData": str(data)},
        close_seconds=_CLOSE_SECONDS,
        remedy=f"-M python=PYTHON or {VARIABLE} names the Python that has VLMEvalKit",
    )
    kit = KitProcess(child)
    tasks.start_soon(child.run)
    tasks.start_soon(kit.read_replies)
    return kit


class ZooModel:
    """One zoo model, in a process that restarts when it dies.

    Args:
        tasks: runs the process's reader.
        python: its interpreter.
        data: folder for VLMEvalKit's own files.
        restarts: most restarts of the process.
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
        """Start the process and open a model in it; return facts about the package and the model.

        Raises:
            HarnessError: the interpreter, package or model does not exist, or the class does not open.
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
                if self._left == 0:
                    raise HarnessError(
                        f"VLMEvalKit's process died after {self._allowed} restarts",
                        where=str(self._model["name"]),
                        remedy=f"{_format_lines(kit.last_lines)}\n  -M restarts=N allows more",
                    )
                self._left -= 1
                await kit.close()
                await self._start()
                times = self._allowed - self._left
                self.notes = (f"VLMEvalKit's process died and was restarted, {times} of {self._allowed} times",)
                kit = self._kit
                assert kit is not None
        try:
            return await kit.ask("generate", message=message, settings=settings)
        except Refused as refused:
            return {"raised": dict(refused.facts)}

    async def close(self) -> None:
        """End the process."""
        if self._kit is not None:
            await self._kit.close()

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
            nearest = f"did you mean one of {near}?" if near else "no similar name exists"
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
    return "\n  ".join(("its last output:", *lines)) if lines else "it printed nothing"


async def ask_kit(root: Path, op: str, **fields: Json) -> Mapping[str, Json]:
    """The reply to one operation, from a process that runs only for it.

    Args:
        root: the folder of data sets.
        op: operation, see `child`.
        fields: its fields.

    Raises:
        Refused: VLMEvalKit refuses.
        HarnessError: VLMEvalKit is missing, or its process died.
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
    """As `ask_kit`, for callers that cannot await; blocks a running event loop."""
    with start_blocking_portal() as portal:
        return portal.call(partial(ask_kit, root, op, **fields))


def find_package() -> str:
    """The package and its version, which can change rows and scores. Blocking, once per interpreter.

    Raises HarnessError if it is missing.
    """
    return _find_package(find_interpreter(""), os.environ.get("PYTHONPATH", ""))


@lru_cache(maxsize=8)
def _find_package(_python: str, _path: str) -> str:
    hello = ask_kit_now(Path(), "hello")
    return f"{hello.get('package')} {hello.get('version')}"
