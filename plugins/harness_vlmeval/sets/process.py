"""One question to VLMEvalKit's process, which is started for it and gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

import anyio
from anyio.from_thread import start_blocking_portal

from harness import HarnessError, Json
from harness.groups import ungrouped
from harness_vlmeval.process import Child, Died, Refused, interpreter, start
from harness_vlmeval.zoo import check


async def asked(root: Path, op: str, **fields: Json) -> Mapping[str, Json]:
    """The reply to one operation; `root` is the folder of data sets.

    Raises:
        Refused: VLMEvalKit cannot.
        HarnessError: there is no VLMEvalKit, or its process died.
    """
    python = interpreter("")
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            child = await start(python, data=root)
            tasks.start_soon(child.listen)
            try:
                return await _reply(child, python, op, fields)
            except Died as death:
                raise HarnessError(str(death), where=python, remedy="\n  ".join(death.words)) from death
            finally:
                await child.close()
                tasks.cancel_scope.cancel()
    raise AssertionError


async def _reply(child: Child, python: str, op: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
    hello = await child.ask("hello")
    check(hello, python)
    return hello if op == "hello" else await child.ask(op, **fields)


def asked_now(root: Path, op: str, **fields: Json) -> Mapping[str, Json]:
    """Like `asked`, for who cannot await; an event loop that may be running here stands still meanwhile."""
    with start_blocking_portal() as portal:
        return portal.call(partial(asked, root, op, **fields))


def package() -> str:
    """The package and its version, which can change rows and scores. Blocking, once for each interpreter.

    Raises HarnessError where there is none.
    """
    return _package(interpreter(""), os.environ.get("PYTHONPATH", ""))


@lru_cache(maxsize=8)
def _package(_python: str, _path: str) -> str:
    hello = asked_now(Path(), "hello")
    return f"{hello.get('package')} {hello.get('version')}"


__all__ = ["Refused", "asked", "asked_now", "package"]
