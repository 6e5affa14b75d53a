"""The `anthropic` provider over real HTTP against a local server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import harness_anthropic

from harness import Generation, Message, Model, Request, Text
from harness.settings import effective
from harness.testing.messages import MessagesServer
from tests.plugins import openai_asking

ASKED = replace(openai_asking.ASKED, settings=replace(openai_asking.ASKED.settings, seed=None))


def asking(*parts: Any, **fields: Any) -> Request:
    """One user's turn, with settings that leave everything to the server."""
    fields = {"settings": Generation(temperature=None, max_tokens=None)} | fields
    return Request(messages=(Message(role="user", content=parts or (Text(text="hm?"),)),), **fields)


@asynccontextmanager
async def opened(name: str = "tiny", **settings: Any) -> AsyncIterator[Model]:
    [provider] = harness_anthropic.harness_models()
    async with provider.open(name, effective(provider.settings, settings, owner="provider anthropic")) as model:
        yield model


@asynccontextmanager
async def served(play: Any = "ok", **settings: Any) -> AsyncIterator[tuple[Model, MessagesServer]]:
    async with MessagesServer(play) as server, opened(base_url=server.url, **settings) as model:
        yield model, server
