"""A model behind `harness.web`, asked by OpenAI's own SDK and by plain HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai

from harness import ModelInfo
from harness.contracts import Ability
from harness.testing.fakes import PIXEL, FakeModel, Script
from harness.web import chat_app, serving

TOKEN = "a-token-of-the-tests"
HELLO = [{"role": "user", "content": "hello"}]
OTHER = PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]  #: another file of the same pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A served model and its clients."""

    model: FakeModel
    sdk: openai.AsyncOpenAI
    http: httpx.AsyncClient

    async def complete(self, messages: Any = HELLO, **fields: Any) -> Any:
        return await self.sdk.chat.completions.create(model="m", messages=messages, **fields)

    async def post(self, **fields: Any) -> httpx.Response:
        """Raw, so that the body of an error is seen as it is."""
        return await self.http.post("/chat/completions", json={"model": "m", "messages": HELLO, **fields})


@asynccontextmanager
async def served(
    script: Script = "ok",
    *,
    files: Path | None = None,
    can: frozenset[Ability] = frozenset({"images", "system", "schema"}),
    max_images: int | None = None,
    model: Any = None,
    **limits: Any,
) -> AsyncGenerator[Asked]:
    asked = model or FakeModel(script, ModelInfo(ref="fake/m", endpoint="fake", can=can, max_images=max_images))
    async with serving(chat_app(asked, name="m", token=TOKEN, files=files, **limits)) as place:
        url = f"{place.url}/v1"
        async with (
            openai.AsyncOpenAI(base_url=url, api_key=TOKEN, max_retries=0) as sdk,
            httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as http,
        ):
            yield Asked(model=asked, sdk=sdk, http=http)


def data_url(data: bytes = PIXEL) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]
