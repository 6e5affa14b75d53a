"""The `vlmeval` provider over a fake zoo in a child process."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import harness_vlmeval
import pytest

from harness import Failure, Generation, Image, Message, Model, Request, Response, Text
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL

ZOO = Path(__file__).with_name("fake_zoo")
ONE = open_image(inline_image("one.png", PIXEL))
TWO = open_image(inline_image("two.png", PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]))


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find a package that is called vlmeval; this process does not."""
    monkeypatch.setenv("PYTHONPATH", str(ZOO))
    monkeypatch.delenv("HARNESS_VLMEVAL_PYTHON", raising=False)
    assert "vlmeval" not in sys.modules


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
