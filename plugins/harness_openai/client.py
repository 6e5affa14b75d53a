"""The official SDK, opened for OpenAI, Azure OpenAI or a compatible server."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import openai

from harness import HarnessError, Settings
from harness.http import SdkConnection, address
from harness.http.client import sdk_options
from harness.http.settings import check_server_variable

from .servers import VENDOR, key_env

_NO_KEY = "none"  # the SDK requires a key; servers without keys ignore it


@asynccontextmanager
async def connect(name: str, settings: Settings) -> AsyncGenerator[SdkConnection]:
    """Open the client the settings ask for. Raises HarnessError if they do not fit together or a key is missing."""
    azure, base = settings["azure_endpoint"], settings["base_url"]
    if azure and base:
        raise HarnessError("-M azure_endpoint and -M base_url cannot be given together", remedy="give one of them")
    if not azure and not base:
        check_server_variable("OPENAI_BASE_URL", vendor="OpenAI")
    # A key in the environment goes only to its own server, not to any other base_url.
    url = azure or base or VENDOR.base_url
    usual = "AZURE_OPENAI_API_KEY" if azure else key_env(url)
    where = address(url, key_env=settings["api_key_env"] or usual)
    common = sdk_options(openai, settings)
    client: openai.AsyncOpenAI
    if azure:
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
    official = bool(azure) or VENDOR.owns(where.url)
    headers: dict[str, str | openai.Omit] = {}
    if not official:  # the SDK reads these from the environment and sends them to any server; only OpenAI may get them
        own = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}
        names = [header for name, header in own.items() if not settings[name]]
        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
        names += [line.partition(":")[0].strip() for line in lines]
        headers = {**{name: openai.Omit() for name in names if name}, **where.headers}
    async with client:
        yield SdkConnection(
            address=where, client=client, sdk=openai, official=official, seconds=settings["timeout"], headers=headers
        )
