"""The `vlmeval` provider and its tasks over a fake zoo in a child process, by tables in VLMEvalKit's form."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import harness_choice
import harness_vlmeval
from harness_vlmeval.tasks import TASKS

from harness import Failure, Generation, Image, Message, Model, Request, Response, Sample, Settings, Text, plugins
from harness.contracts import Task
from harness.data.places import read_samples
from harness.images import inline_image, open_image
from harness.runs.run import Run
from harness.settings import effective
from harness.testing.fakes import PIXEL, fake_provider, host_of

ONE = open_image(inline_image("one.png", PIXEL))
TWO = open_image(inline_image("two.png", PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]))


@asynccontextmanager
async def opened(name: str, **settings: Any) -> AsyncGenerator[Model]:
    [provider] = harness_vlmeval.harness_models()
    if isinstance(settings.get("args"), dict):
        settings["args"] = json.dumps(settings["args"])
    async with provider.open(name, effective(provider.settings, settings, owner="provider vlmeval")) as model:
        yield model


def asked(*parts: str | Image, **settings: Any) -> Request:
    content = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    return Request(messages=(Message(role="user", content=content),), settings=Generation(**settings))


async def answer(model: Model, *parts: str | Image, **settings: Any) -> Response:
    said = await model.generate(asked(*parts, **settings))
    assert isinstance(said, Response), said
    return said


async def failure(model: Model, *parts: str | Image) -> Failure:
    said = await model.generate(asked(*parts))
    assert isinstance(said, Failure), said
    return said


CELL = base64.b64encode(PIXEL).decode()
LETTERS = "ABCD"


def write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def choices(count: int, **more: Callable[[int], object]) -> list[dict[str, Any]]:
    return [
        {
            "index": n,
            "image": CELL,
            "question": f"number {n}",
            **{letter: f"{letter.lower()}{n}" for letter in LETTERS},
            "answer": LETTERS[n % 4],
            "category": ("coarse", "fine")[n % 2],
            **{name: value(n) for name, value in more.items()},
        }
        for n in range(count)
    ]


def task(name: str) -> Task:
    return next(each for each in TASKS if each.name == name)


def settings(of: Task, **given: Any) -> Settings:
    return effective(of.settings, given, owner="task")


def listed(name: str, split: str, root: Path, **given: Any) -> list[Sample]:
    return list(read_samples(task(name), root, split, settings(task(name), **{"any_revision": True, **given})))


def parts(sample: Sample) -> list[str]:
    [message] = sample.request.messages
    return [part.path if isinstance(part, Image) else part.text for part in message.content]


def question(request: Request) -> str:
    return next(part.text for part in request.messages[-1].content if isinstance(part, Text))


def run(
    tmp_path: Path,
    tasks: str,
    say: Callable[[str], str | Response | Failure],
    *,
    any_revision: bool = True,
    **given: Any,
) -> Run:
    """A run of tasks whose data lies under tmp_path/data."""
    import harness

    own = [*harness_vlmeval.harness_judges(), *harness_choice.harness_judges()]
    host = host_of(fake_provider(lambda request: say(question(request))), *TASKS, *own)
    options = {f"{name.partition(':')[0]}.any_revision": any_revision for name in tasks.split(",")}
    with plugins.use(host):
        return harness.run(
            model="fake/m", tasks=tasks.split(","), data=tmp_path / "data", output=tmp_path / "run",
            task_settings=options, probe=False, **given,
        )  # fmt: skip


def split(found: Run, name: str, of: str) -> dict[str, Any]:
    return dict(found.results["tasks"][name]["splits"][of])


def value(found: Run, name: str, of: str, metric: str) -> float:
    return float(split(found, name, of)["metrics"][metric]["value"])


def yes_no(count: int, **more: Callable[[int], object]) -> list[dict[str, Any]]:
    return [
        {"index": n, "image": CELL, "question": f"number {n}", "answer": ("Yes", "No")[n % 2], "category": "random"}
        | {name: make(n) for name, make in more.items()}
        for n in range(count)
    ]
