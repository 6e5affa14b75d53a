"""Servers that answer as the mini world's writer and painter do: `python -m benchmarks.mini_server LATENCY`.

Chat Completions and Images, each on as many ports as asked for; prints the addresses on one line as JSON, and ends when
its input ends.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
from harness_mini.painter import MiniBrush
from harness_mini.phrases import DEEDS, in_words
from harness_mini.world import THINGS, off_limits
from harness_mini.writer import Writer

from harness import Drawing, Failure, Image, Message, Request, Response, Text
from harness.images import inline_image, open_image
from harness.testing.faults import Reply, error, image
from harness.testing.server import Call, ChatServer, ImagesServer

T = TypeVar("T")
_SHELF = re.compile(r"shelf (\d+)")
_RISKS = [(one, other) for one in THINGS for other in THINGS if off_limits(one, other)]
CHATS = ("writer", "viewer", "checker", "prober", "labeller")


def asked(call: Call) -> Request:
    """The request behind a call, with its pictures open."""
    opened = {
        part.value: open_image(inline_image(part.value, part.data)) for part in call.parts if part.kind == "image"
    }
    parts: list[Text | Image] = [
        opened[each.value] if each.kind == "image" else Text(text=each.value) for each in call.parts
    ]
    form = cast("Mapping[str, Any]", call.parameters.get("response_format") or {})
    schema = form.get("json_schema", {}).get("schema")
    return Request(messages=(Message(role="user", content=tuple(parts)),), schema=schema)


def written(call: Call, name: str = "writer") -> str | Reply:
    """What `mini/<name>` answers."""
    said = at_once(Writer(name=name).generate(asked(call)))
    return said.text if isinstance(said, Response) else error(400, said.message)


def shelved(call: Call) -> str | Reply:
    """The same; of a text that is `shelf NUMBER` two risks that no other shelf has."""
    found = _SHELF.search(call.text)
    if "task: elements" not in call.text or found is None:
        return written(call)
    return json.dumps([_element(2 * int(found[1]) + nth) for nth in (0, 1)])


def _element(number: int) -> dict[str, str]:
    first, second = _RISKS[number % len(_RISKS)]
    deed = DEEDS[number % len(DEEDS)]
    question = f"{in_words(deed, first, second)} It is for shelf {number}."
    return {"category": "Shelves", "question": question, "object1": first.name, "object2": second.name}


def painted(call: Call) -> Reply:
    """What `mini/painter` draws."""
    return image(painting(call))


def painting(call: Call) -> bytes:
    """The image itself. Raises ValueError for what is not of the mini world."""
    seed = int(cast("int", call.parameters.get("seed", 0)))
    drawn = at_once(MiniBrush().draw(Drawing(prompt=call.text, seed=seed)))
    if isinstance(drawn, Failure):
        raise ValueError(drawn.message)  # noqa: TRY004
    return drawn.data


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise RuntimeError("it waits")


async def serve(latency: float) -> None:
    async with AsyncExitStack() as stack:
        chats = {name: ChatServer(shelved, latency=latency) for name in CHATS}
        painter = ImagesServer(painted, latency=latency)
        for server in (*chats.values(), painter):
            await stack.enter_async_context(server)
        addresses = {name: server.base_url for name, server in chats.items()} | {"painter": painter.base_url}
        print(json.dumps(addresses), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    anyio.run(serve, float(sys.argv[1]))
