"""The official SDK, opened for Anthropic or a compatible server."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anthropic

from harness import HarnessError, Settings
from harness.http import MIB, Guarded, SdkConnection, address

_VENDOR = "https://api.anthropic.com"
_NO_KEY = "none"  # without one the SDK would look for a login of its own, and send that
_CONNECT_SECONDS = 30.0


class _Http(Guarded, anthropic.DefaultAioHttpClient):
    """The SDK's own HTTP client; it follows no redirect, and reads no more than the limit."""


@asynccontextmanager
async def connect(settings: Settings) -> AsyncGenerator[SdkConnection]:
    """Open the client the settings ask for. Raises HarnessError if a key is missing or a server is not named."""
    base = settings["base_url"]
    if not base and os.environ.get("ANTHROPIC_BASE_URL"):
        raise HarnessError(
            "ANTHROPIC_BASE_URL is set, but a server is part of the model's identity and must be named",
            remedy="add -M base_url=$ANTHROPIC_BASE_URL, or unset the variable to ask Anthropic itself",
        )
    if os.environ.get("ANTHROPIC_CUSTOM_HEADERS"):
        raise HarnessError(
            "ANTHROPIC_CUSTOM_HEADERS is set, and would change requests in a way no run records",
            remedy="unset the variable",
        )
    url = base.rstrip("/").removesuffix("/v1") or _VENDOR
    official = is_official(url)
    # A key in the environment is for the server it belongs to: Anthropic's is not sent to just any base_url.
    where = address(url, key_env=settings["api_key_env"] or ("ANTHROPIC_API_KEY" if official else ""))
    # other servers look for the key under one of the names in use: they get it under both
    both = {} if official or not where.key else {"x-api-key": where.key, **where.headers}
    seconds = settings["timeout"]
    client = anthropic.AsyncAnthropic(
        api_key=where.key or _NO_KEY,
        base_url=where.url,
        timeout=anthropic.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
        max_retries=0,
        default_headers={"anthropic-version": settings["api_version"], **both},
        http_client=_Http(reply_limit=int(settings["max_reply_mib"] * MIB)),
    )
    async with client:
        yield SdkConnection(address=where, client=client, sdk=anthropic, official=official, seconds=seconds)


def is_official(url: str) -> bool:
    """Whether the server is Anthropic's own."""
    host = urlsplit(url).hostname or ""
    return f".{host}".endswith(".api.anthropic.com")
