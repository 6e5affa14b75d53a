"""The `gemini` provider over real HTTP against a local server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import harness_gemini

from harness import Model
from harness.settings import effective
from harness.testing.faults import Reply
from tests.plugins.gemini_serving import GeminiServer, Play
from tests.plugins.openai_asking import ASKED, FIRST, SECOND

__all__ = ["ASKED", "FIRST", "KEY", "SECOND", "opened", "served"]
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
