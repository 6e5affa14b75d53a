"""A run of task `fake` on a server that is a script."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from harness import plugins
from harness.contracts import Model, ModelInfo, Provider, Task
from harness.evaluation.options import Options
from harness.limits import Policy
from harness.models import ModelSpec
from harness.runs.run import Run, run_async
from harness.testing.fakes import fake_judge, fake_task, host_of
from harness.types import Failure, Request, Response, Settings, Text

POLICY = Policy(start=4, cap=8, tries=2, base=0, longest=0, breaker=5)
Script = Callable[[str], str | Response | Failure]


@dataclass
class Server:
    """A provider whose model answers by the question's text and counts calls."""

    script: Script = lambda text: f"yes {text}"
    asked: list[Request] = field(default_factory=list[Request])
    at_once: int = 0
    most: int = 0
    concurrency: int | None = None
    thinking_tokens: int = 0

    @property
    def texts(self) -> list[str]:
        return [question(request) for request in self.asked]

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            ref="seen/x", endpoint="seen", concurrency=self.concurrency, thinking_tokens=self.thinking_tokens
        )

    async def generate(self, request: Request) -> Response | Failure:
        self.asked.append(request)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        said = self.script(question(request))
        return Response(text=said) if isinstance(said, str) else said

    @asynccontextmanager
    async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield self

    @property
    def provider(self) -> Provider:
        return Provider(scheme="seen", description="", open=self._open)


def question(request: Request) -> str:
    return next(part.text for part in request.messages[-1].content if isinstance(part, Text))


def numbered(count: int) -> dict[str, str]:
    return {f"q{n}": f"question {n}" for n in range(count)}


def go(server: Server, folder: Path, *extra: Any, task: Task | None = None, **fields: Any) -> Run:
    """Run task `fake` on the server, judged by a rule; `stop` and `progress` are handed on."""
    stop, progress = fields.pop("stop", None), fields.pop("progress", None)
    spec = ModelSpec(ref="seen/x", strategy=fields.pop("strategy", ""))
    defaults: dict[str, Any] = {"tasks": ("fake",), "output": folder, "probe": False, "policy": POLICY}
    options = Options(model=spec, **defaults | fields)
    with plugins.use(host_of(server.provider, task or fake_task(numbered(10)), fake_judge(), *extra)):
        return anyio.run(partial(run_async, options, stop=stop, progress=progress))


def lines(folder: Path, name: str = "responses") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "fake" / f"{name}.jsonl").read_text().splitlines()]


def split(run: Run) -> dict[str, Any]:
    return dict(run.results["tasks"]["fake"]["splits"]["all"])


class Around:
    def __init__(self, inner: Model) -> None:
        self.info = inner.info
        self._inner = inner

    async def generate(self, request: Request) -> Response | Failure:
        return await self._inner.generate(request)
