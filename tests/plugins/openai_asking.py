"""The `openai` provider over real HTTP against a local server."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import harness_openai
import PIL.Image

from harness import Failure, Generation, Message, Model, Request, Response, Text
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from harness.testing.server import Call, ChatServer

PROVIDERS = {provider.scheme: provider for provider in harness_openai.harness_models()}
FIRST = open_image(inline_image("first.png", PIXEL))
SECOND = open_image(inline_image("second.png", PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]))
ASKED = Request(
    messages=(
        Message(role="system", content=(Text(text="be brief"),)),
        Message(role="user", content=(Text(text="one"), FIRST, Text(text="two"), SECOND, Text(text="both?"))),
    ),
    settings=Generation(temperature=0.0, max_tokens=64, top_p=0.9, seed=3, stop=("END",)),
)


@asynccontextmanager
async def opened(name: str = "tiny", scheme: str = "openai", **settings: Any) -> AsyncIterator[Model]:
    provider = PROVIDERS[scheme]
    async with provider.open(name, effective(provider.settings, settings, owner=f"provider {scheme}")) as model:
        yield model


@asynccontextmanager
async def served(play: Any = "ok", **settings: Any) -> AsyncIterator[tuple[Model, ChatServer]]:
    async with ChatServer(play) as server, opened(base_url=server.base_url, **settings) as model:
        yield model, server


async def get_response(model: Model, request: Request = ASKED) -> Response:
    found = await model.generate(request)
    assert isinstance(found, Response), found
    return found


async def get_failure(model: Model, request: Request = ASKED) -> Failure:
    found = await model.generate(request)
    assert isinstance(found, Failure), found
    return found


def body_of(call: Call) -> dict[str, Any]:
    return dict(call.parameters)


def large() -> Request:
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((300, 150)).save(file, "PNG")
    image = open_image(inline_image("large.png", file.getvalue()))
    return Request(messages=(Message(role="user", content=(FIRST, image)),))
