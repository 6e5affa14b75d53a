"""A model that answers at once and a task of any length: what is left is the harness's own cost.

Loaded with `--plugin`. `-T synthetic.n=N` sets the length; `bench/instant` is the model.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.lowlevel

import harness
from harness import Judge, Message, ModelInfo, Provider, Request, Response, Sample, Setting, Split, Task, Text, Verdict

ANSWER = "It is a drawing of a shape, and there is nothing else to say about it. " * 4


class Instant:
    info = ModelInfo(ref="bench/instant", endpoint="bench", can=frozenset())

    async def generate(self, request: Request) -> Response:
        await anyio.lowlevel.checkpoint()
        return Response(text=ANSWER, model="instant")


@asynccontextmanager
async def _open(_name: str, _settings: harness.Settings) -> AsyncIterator[Instant]:
    yield Instant()


def _samples(_root: Path, split: str, settings: harness.Settings) -> Iterator[Sample]:
    for n in range(settings["n"]):
        message = Message(role="user", content=(Text(text=f"Question {n}: what does the drawing show, and why?"),))
        yield Sample(
            id=str(n),
            split=split,
            request=Request(messages=(message,)),
            category=f"c{n % 7}",
            tags={"side": str(n % 2)},
        )


SPLIT = Split(
    judges={"bench": {}},
    metrics=(harness.rate("ASR", "short", better="lower", main=True), harness.rate("long", "long", better="higher")),
    by=("category", "side"),
    blocked_as=Verdict(label="short"),
    empty_as=Verdict(label="short"),
)


@harness.hookimpl
def harness_models() -> list[Provider]:
    return [Provider(scheme="bench", description="Answers at once.", open=_open)]


@harness.hookimpl
def harness_tasks() -> list[Task]:
    n = Setting(name="n", type=int, default=1000, identity=False, help="Samples.")
    return [
        Task(
            name="synthetic",
            version="1",
            description="Any length.",
            splits={"all": SPLIT},
            samples=_samples,
            settings=(n,),
        )
    ]


@harness.hookimpl
def harness_judges() -> list[Judge]:
    return [
        Judge.simple(
            "bench",
            version="1",
            description="By length.",
            labels=("short", "long"),
            decide=lambda _s, response: "long" if len(response.text) > 100 else "short",
        )
    ]
