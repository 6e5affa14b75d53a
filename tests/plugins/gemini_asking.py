"""The `gemini` provider over real HTTP against a local server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import harness_gemini

from harness import Generation, Message, Model, Request, Text
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from harness.testing.faults import Reply
from tests.plugins.gemini_serving import GeminiServer, Play

FIRST = open_image(inline_image("first.png", PIXEL))
SECOND = open_image(inline_image("second.png", PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]))
ASKED = Request(
    messages=(
        Message(role="system", content=(Text(text="be brief"),)),
        Message(role="user", content=(Text(text="one"), FIRST, Text(text="two"), SECOND, Text(text="both?"))),
    ),
    settings=Generation(temperature=0.0, max_tokens=64, top_p=0.9, seed=3, stop=("END",)),
)
KEY = "AIza-key-of-the-test"  #: what MY_KEY holds


@asynccontextmanager
async def opened(name: str = "gemini-test", **settings: Any) -> AsyncGenerator[Model]:
    [provider] = harness_gemini.harness_models()
    async with provider.open(name, effective(provider.settings, settings, owner="provider gemini")) as model:
        yield model


@asynccontextmanager
async def served(play: Play | Reply | None = None, **settings: Any) -> AsyncGenerator[tuple[Model, GeminiServer]]:
    """A model behind a server that wants the key of MY_KEY."""
    async with GeminiServer(play) as server, opened(base_url=server.url, api_key_env="MY_KEY", **settings) as model:
        yield model, server
