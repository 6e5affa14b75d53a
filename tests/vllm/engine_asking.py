"""Opening `vllm/…` in tests, small enough for any machine, and the packaged questions of the mini world."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from harness_vllm.provider import PROVIDER

from harness import Image, Model, Request, Response
from harness.images import open_image
from harness.plugins import Host
from harness.settings import effective

SMALL = {"dtype": "float32", "max_model_len": 512, "max_num_seqs": 16, "enforce_eager": True}
FLAGS = tuple(part for key, value in SMALL.items() for part in ("-M", f"{key}={str(value).lower()}"))


@asynccontextmanager
async def opened(name: str | Path, **settings: Any) -> AsyncIterator[Model]:
    values = effective(PROVIDER.settings, {**SMALL, **settings}, owner="provider vllm")
    async with PROVIDER.open(str(name), values) as model:
        yield model


def children() -> list[psutil.Process]:
    """This process's descendants, but for Python's own tracker of shared memory, which lives as long as we do."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


def packaged(task: str, split: str) -> Iterator[Request]:
    """The requests of a packaged split, their images opened."""
    (found,) = [each for each, _ in Host.load(tell=lambda _: None).offers("tasks") if each.name == task]
    settings = effective(found.settings, {}, owner=task)
    root = Path(task)
    splits = found.splits(settings, root) if callable(found.splits) else found.splits
    for sample in found.samples(splits[split].data, split, settings):
        yield _opened(sample.request)


def _opened(request: Request) -> Request:
    messages = tuple(
        replace(each, content=tuple(open_image(p) if isinstance(p, Image) else p for p in each.content))
        for each in request.messages
    )
    return replace(request, messages=messages, settings=replace(request.settings, temperature=0.0, max_tokens=64))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def texts(answers: Sequence[object]) -> list[str]:
    return [given.text if isinstance(given, Response) else repr(given) for given in answers]
