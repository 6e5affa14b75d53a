"""One model of the zoo in a process that is started again when it dies."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from harness import HarnessError, Json, UnknownName
from harness.http.status import as_list

from . import INSTALL
from .child.secrets import redact
from .process import VARIABLE, Child, Died, Refused, start

PROTOCOL = 1
_HELLO_SECONDS = 120.0
_WHERE = "VLMEvalKit"


class Zoo:
    """Asks one model; see the module.

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
        self._opening: dict[str, Json] = {}
        self._child: Child | None = None
        self._starting = anyio.Lock()
        self.notes: tuple[str, ...] = ()

    async def open(self, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Start the process and open a model in it; what is to be known of the package and of the model.

        Raises:
            HarnessError: no such interpreter, package or model, or the class cannot be opened.
        """
        self._opening = {"name": name, "arguments": dict(arguments)}
        try:
            return await self._start()
        except Died as death:
            raise HarnessError(str(death), where=self._python, remedy=_said(death.words)) from death

    async def generate(self, message: Json, settings: Json) -> Mapping[str, Json]:
        """The reply to one question.

        Raises:
            Died: the process ended before it answered.
            HarnessError: it has died too often.
        """
        child = await self._running()
        try:
            return await child.ask("generate", message=message, settings=settings)
        except Refused as refused:
            return {"raised": dict(refused.facts)}

    async def close(self) -> None:
        """End the process."""
        if self._child is not None:
            await self._child.close()

    async def _running(self) -> Child:
        async with self._starting:
            assert self._child is not None
            if self._child.dead:
                await self._again(self._child)
            return self._child

    async def _again(self, dead: Child) -> None:
        if self._left == 0:
            raise HarnessError(
                f"VLMEvalKit's process died, and was started again {self._allowed} times",
                where=str(self._opening["name"]),
                remedy=f"{_said(dead.last_words)}\n  -M restarts=N allows more",
            )
        self._left -= 1
        await dead.close()
        await self._start()
        times = self._allowed - self._left
        self.notes = (f"VLMEvalKit's process died and was started again, {times} of {self._allowed} times",)

    async def _start(self) -> dict[str, Json]:
        child = self._child = await start(self._python, data=self._data)
        self._tasks.start_soon(child.listen)
        try:
            with anyio.fail_after(_HELLO_SECONDS):
                hello = await child.ask("hello")
            check(hello, self._python)
            return {**hello, **await child.ask("open", **self._opening)}
        except TimeoutError as error:
            raise HarnessError("the interpreter does not answer", where=self._python) from error
        except Refused as refused:
            raise self._refusal(refused, child) from refused

    def _refusal(self, refused: Refused, child: Child) -> HarnessError:
        name = self._opening["name"]
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
            f"VLMEvalKit cannot open {name}: {kind}: {refused}", where=where or _WHERE, remedy=_said(child.last_words)
        )


def check(hello: Mapping[str, Json], python: str) -> None:
    """Raise HarnessError where the process speaks another protocol or has no VLMEvalKit."""
    if hello.get("protocol") != PROTOCOL:
        raise HarnessError(f"VLMEvalKit's process speaks protocol {hello.get('protocol')}", where=python)
    if not hello.get("package"):
        raise _not_installed(python)


def _not_installed(python: str) -> HarnessError:
    command = INSTALL if python == sys.executable else f"{python} -m pip install ms-vlmeval"
    return HarnessError(
        "VLMEvalKit is not installed", where=python, remedy=f"{command}, or name another interpreter in {VARIABLE}"
    )


def _said(words: tuple[str, ...]) -> str:
    return "\n  ".join(("it said last:", *words)) if words else "it said nothing"
