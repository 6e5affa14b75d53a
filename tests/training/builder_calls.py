"""Plans, models and questions for tests of a build's calls."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
from harness_builder.calls.results import Halted, ModelQuery, ModelReply, ReplyReader, Unreadable
from harness_builder.calls.runner import BuildCallRunner, open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.plan import ModelChoice, Plan, Role
from harness_builder.stops import read_words, stop_text
from PIL import Image as Pictures

from harness import (
    Drawing,
    Failure,
    Image,
    Message,
    Model,
    ModelInfo,
    Provider,
    Request,
    Response,
    Settings,
    Text,
    plugins,
)
from harness.drawings import png
from harness.readers import open_files
from harness.rubric.replies import parse_json_reply
from harness.testing.fakes import Said, Script, fake_judge, fake_painter, fake_provider, host_of

YES = '{"said": "yes"}'
Wait = Callable[[Request], Awaitable[object]]
SECRET = "UNMISTAKEN-7431"  #: stands in what is stopped, and is looked for on disk


def harmful(more: str = "") -> str:
    """A text that the rule stops, made of its own lists."""
    young, subject = (next(each for each in read_words(name) if each.isalpha()) for name in ("minor", "sexual"))
    text = f"{SECRET} {young} {subject} {more}"
    assert stop_text(text)
    return text


def plan(models: Mapping[str, str | ModelChoice] | None = None, **more: Any) -> Plan:
    """A plan of the fake models."""
    named: Mapping[str, str | ModelChoice] = models or {"writer": "fake/writer", "viewer": "fake/viewer"}
    wanted = {role: ref if isinstance(ref, ModelChoice) else ModelChoice(ref=ref) for role, ref in named.items()}
    fields: dict[str, Any] = {
        "name": "test",
        "sources": (),
        "models": cast("Mapping[Role, ModelChoice]", wanted),
        "painter": ModelChoice(ref="fake/painter"),
        "rubric": "fake",
    }
    return Plan(**{**fields, **more})


def read_json(text: str) -> Any:
    """A reading of replies in JSON."""
    try:
        return parse_json_reply(text)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def question(
    text: str = "What goes with a spark?",
    *images: Image,
    owner: str = "seeds/1",
    role: Role = "viewer",
    read: ReplyReader = read_json,
    **more: Any,
) -> ModelQuery:
    """One question."""
    request = more.pop("request", None) or request_of(text, *images)
    return ModelQuery(step=more.pop("step", "write"), owner=owner, role=role, request=request, read=read, **more)


def request_of(text: str, *images: Image) -> Request:
    """A turn of images and a text."""
    return Request(messages=(Message(role="user", content=(*images, Text(text=text))),))


def drawing(prompt: str = "a red star", seed: int = 0) -> Drawing:
    """A small one."""
    return Drawing(prompt=prompt, seed=seed, width=64, height=64)


def image(folder: Path, name: str) -> Image:
    """A file, not opened."""
    return Image(path=name, files=open_files(folder))


class Slow:
    """A Model that waits before it answers."""

    def __init__(self, model: Model, wait: Wait) -> None:
        self._model = model
        self._wait = wait

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        await self._wait(request)
        return await self._model.generate(request)


def slow(provider: Provider, wait: Wait) -> Provider:
    """The same, with slow models."""

    @asynccontextmanager
    async def opened(name: str, settings: Settings) -> AsyncGenerator[Model]:
        async with provider.open(name, settings) as model:
            yield Slow(model, wait)

    return replace(provider, open=opened)


@asynccontextmanager
async def call_runner(
    folder: Path, script: Script = YES, of: Plan | None = None, *, wait: Wait | None = None, **fakes: Any
) -> AsyncGenerator[BuildCallRunner]:
    """An call_runner of fake models that follow a script, once they have waited; `painter` and `info` are theirs."""
    provider = fake_provider(script, info=fakes.get("info"))
    host = host_of(slow(provider, wait) if wait else provider, fake_painter(fakes.get("painter")), fake_judge())
    with plugins.use(host), CallStore(folder) as store:
        async with open_call_runner(of or plan(), store, tell=fakes.get("tell", lambda _: None)) as runner:
            yield runner


def on_disk(folder: Path) -> bytes:
    """All bytes of all files of a folder."""
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return b"\0".join(file.read_bytes() for file in files)


class Sayer:
    """A script of replies that counts how often it was asked, and what."""

    def __init__(self, *said: Said) -> None:
        self.asked: list[Request] = []
        self._said = said or (YES,)

    def __call__(self, request: Request) -> Said:
        self.asked.append(request)
        return self._said[min(len(self.asked), len(self._said)) - 1]

    @property
    def calls(self) -> int:
        return len(self.asked)


async def ask(folder: Path, script: Script, asked: ModelQuery | None = None, **fakes: Any) -> ModelReply | Halted:
    async with call_runner(folder, script, **fakes) as runner:
        return await runner.ask(asked or question())


def png_of(color: str) -> bytes:
    return png(Pictures.new("RGB", (8, 8), color))


async def all_wait(_: Request) -> None:
    """Until all else waits as well."""
    await anyio.wait_all_tasks_blocked()
