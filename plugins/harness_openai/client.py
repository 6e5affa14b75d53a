"""The official SDK, opened for OpenAI, Azure OpenAI or a compatible server."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import openai

from harness import HarnessError, Settings
from harness.http import MIB, Address, Guarded, SdkConnection, address

from .provider import VENDOR, key_env

_NO_KEY = "none"  # the SDK wants one; servers without keys do not look
_CONNECT_SECONDS = 30.0


class _Http(Guarded, openai.DefaultAioHttpClient):
    """The SDK's own HTTP client; it follows no redirect, and reads no more than the limit."""


@asynccontextmanager
async def connect(name: str, settings: Settings) -> AsyncGenerator[SdkConnection]:
    """Open the client the settings ask for. Raises HarnessError if they do not fit together or a key is missing."""
    where = _find_address(settings)
    seconds = settings["timeout"]
    common: dict[str, Any] = {
        "timeout": openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
        "max_retries": 0,
        "http_client": _Http(reply_limit=int(settings["max_reply_mib"] * MIB)),
    }
    client: openai.AsyncOpenAI
    if settings["azure_endpoint"]:
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=where.url,
            azure_deployment=name,
            api_version=settings["api_version"],
            api_key=where.key,
            **common,
        )
    else:
        client = openai.AsyncOpenAI(
            api_key=where.key or _NO_KEY,
            base_url=where.url,
            organization=settings["organization"] or None,
            project=settings["project"] or None,
            **common,
        )
    official = bool(settings["azure_endpoint"]) or VENDOR.owns(urlsplit(where.url).hostname or "")
    async with client:
        yield SdkConnection(
            address=where,
            client=client,
            sdk=openai,
            official=official,
            seconds=seconds,
            headers={} if official else {**_omit_headers(settings), **where.headers},
        )


def _find_address(settings: Settings) -> Address:
    azure, base = settings["azure_endpoint"], settings["base_url"]
    if azure and base:
        raise HarnessError("-M azure_endpoint and -M base_url exclude each other", remedy="give one of them")
    if not azure and not base and os.environ.get("OPENAI_BASE_URL"):
        raise HarnessError(
            "OPENAI_BASE_URL is set, but a server is part of the model's identity and must be named",
            remedy="add -M base_url=$OPENAI_BASE_URL, or unset the variable to ask OpenAI itself",
        )
    # A key in the environment is for the server it belongs to, and is not sent to just any base_url.
    url = azure or base or VENDOR.base_url
    usual = "AZURE_OPENAI_API_KEY" if azure else key_env(url)
    return address(url, key_env=settings["api_key_env"] or usual)


def _omit_headers(settings: Settings) -> dict[str, openai.Omit]:
    """The headers that the SDK takes from the environment and would send to any server: only OpenAI may see them."""
    own = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    names = [header for name, header in own.items() if not settings[name]]
    return {name: openai.Omit() for name in (*names, *(line.partition(":")[0].strip() for line in lines)) if name}
