"""The official SDK, opened for OpenAI, Azure OpenAI or a compatible server, and one POST through it.

The SDK keeps authorization, Azure's addresses and the types of its errors; the body is ours and goes out in pieces, and
the answer comes back as bytes, which leaves out the SDK's JSON and model building (most of its cost with images).
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

import aiohttp
import anyio
import openai

from harness import Failure, Generation, HarnessError, Json, Settings
from harness.http import MIB, Address, Body, Guarded, Reply, Unreadable, address, parse, unreachable
from harness.http.status import Complaint, Rejected
from harness.settings import json_object

from .presets import OPENAI, key_env

_NO_KEY = "none"  # the SDK wants one; servers without keys do not look
_CONNECT_SECONDS = 30.0
_OWNED = {"messages", "model", "n", "response_format", "stream", "max_completion_tokens", "random_seed"} | {
    setting.name for setting in fields(Generation)
}


class _Http(Guarded, openai.DefaultAioHttpClient):
    """The SDK's own way of asking: no redirect is followed, and no more is read than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An open client and what is known about its server.

    Attributes:
        address: of the server.
        client: open.
        official: it is OpenAI itself or Azure, not a compatible server.
        seconds: one call may take.
        headers: what stands in place of the SDK's own.
    """

    address: Address
    client: openai.AsyncOpenAI = field(repr=False)
    official: bool
    seconds: float
    headers: Mapping[str, str | openai.Omit] = field(repr=False)

    async def post(self, body: Body, path: str = "/chat/completions") -> Reply | Rejected | Failure:
        """One attempt."""
        started = time.perf_counter()
        try:
            with anyio.fail_after(self.seconds):
                content = await self.client.post(
                    path,
                    cast_to=bytes,
                    content=body,
                    options={"headers": {**self.headers, **body.headers}},
                )
        except openai.APIStatusError as error:
            answer = error.response
            complaint = Complaint.of(answer.content)
            return Rejected(status=error.status_code, headers=answer.headers, complaint=complaint, where=self.address)
        except (Unreadable, openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return unreachable(error, self.address)
        return parse(content, time.perf_counter() - started, self.address)


@asynccontextmanager
async def connect(name: str, settings: Settings) -> AsyncGenerator[Connection]:
    """Open the client the settings ask for. Raises HarnessError where they do not fit together or a key is missing."""
    where = _address(settings)
    client = _azure(name, settings, where) if settings["azure_endpoint"] else _plain(settings, where)
    official = bool(settings["azure_endpoint"]) or OPENAI.owns(urlsplit(where.url).hostname or "")
    async with client:
        yield Connection(
            address=where,
            client=client,
            official=official,
            seconds=settings["timeout"],
            headers={} if official else {**_withheld(settings), **where.headers},
        )


def extra(settings: Settings) -> dict[str, Json]:
    """Parameters of the body that the settings fix.

    Raises HarnessError where `extra` is not a JSON object, or names what the harness itself sets and records.
    """
    given = json_object(settings, "extra", such_as='{"top_k": 20}', owned=_OWNED)
    effort = settings["reasoning_effort"]
    return {**given, **({"reasoning_effort": effort} if effort else {})}


def _address(settings: Settings) -> Address:
    azure, base = settings["azure_endpoint"], settings["base_url"]
    if azure and base:
        raise HarnessError("-M azure_endpoint and -M base_url exclude each other", remedy="give one of them")
    if not azure and not base and os.environ.get("OPENAI_BASE_URL"):
        raise HarnessError(
            "OPENAI_BASE_URL is set, but a server is part of the model's identity and must be named",
            remedy="add -M base_url=$OPENAI_BASE_URL, or unset the variable to ask OpenAI itself",
        )
    # A key in the environment is for the server it belongs to, and is not sent to just any base_url.
    url = azure or base or OPENAI.base_url
    usual = "AZURE_OPENAI_API_KEY" if azure else key_env(url)
    return address(url, key_env=settings["api_key_env"] or usual)


def _withheld(settings: Settings) -> dict[str, openai.Omit]:
    """Headers that the SDK takes from the environment and would send to any server: they are for OpenAI's eyes."""
    own = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    names = [header for name, header in own.items() if not settings[name]]
    return {name: openai.Omit() for name in (*names, *(line.partition(":")[0].strip() for line in lines)) if name}


def _plain(settings: Settings, where: Address) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=where.key or _NO_KEY,
        base_url=where.url,
        organization=settings["organization"] or None,
        project=settings["project"] or None,
        timeout=_timeout(settings),
        max_retries=0,
        http_client=_Http(reply_limit=int(settings["max_reply_mib"] * MIB)),
    )


def _azure(name: str, settings: Settings, where: Address) -> openai.AsyncOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=where.url,
        azure_deployment=name,
        api_version=settings["api_version"],
        api_key=where.key,
        timeout=_timeout(settings),
        max_retries=0,
        http_client=_Http(reply_limit=int(settings["max_reply_mib"] * MIB)),
    )


def _timeout(settings: Settings) -> openai.Timeout:
    seconds = settings["timeout"]
    return openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
