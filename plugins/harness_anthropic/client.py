"""The official SDK, opened for Anthropic or a compatible server, and one POST through it.

The SDK keeps authorization and the types of its errors; the body is ours and goes out in pieces, and the answer comes
back as bytes, which leaves out the SDK's JSON and model building (most of its cost with images).
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import anthropic
import anyio

from harness import Failure, HarnessError, Settings
from harness.http import MIB, Address, Body, Guarded, Reply, Unreadable, address, parse, unreachable
from harness.http.status import Complaint, Rejected

_OFFICIAL = "https://api.anthropic.com"
_NO_KEY = "none"  # without one the SDK would look for a login of its own, and send that
_CONNECT_SECONDS = 30.0


class _Http(Guarded, anthropic.DefaultAioHttpClient):
    """The SDK's own way of asking: no redirect is followed, and no more is read than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An open client and what is known about its server."""

    address: Address
    client: anthropic.AsyncAnthropic = field(repr=False)
    seconds: float

    @property
    def official(self) -> bool:
        """Whether the server is Anthropic's own."""
        return _official(self.address.url)

    async def post(self, body: Body) -> Reply | Rejected | Failure:
        """One attempt."""
        started = time.perf_counter()
        try:
            with anyio.fail_after(self.seconds):
                content = await self.client.post(
                    "/v1/messages", cast_to=bytes, content=body, options={"headers": body.headers}
                )
        except anthropic.APIStatusError as error:
            answer = error.response
            complaint = Complaint.of(answer.content)
            return Rejected(status=error.status_code, headers=answer.headers, complaint=complaint, where=self.address)
        except (Unreadable, anthropic.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return unreachable(error, self.address)
        return parse(content, time.perf_counter() - started, self.address)


@asynccontextmanager
async def connect(settings: Settings) -> AsyncGenerator[Connection]:
    """Open the client the settings ask for. Raises HarnessError where a key is missing or a server is not named."""
    where = _address(settings)
    client = anthropic.AsyncAnthropic(
        api_key=where.key or _NO_KEY,
        base_url=where.url,
        timeout=_timeout(settings),
        max_retries=0,
        default_headers=_headers(where, settings),
        http_client=_Http(reply_limit=int(settings["max_reply_mib"] * MIB)),
    )
    async with client:
        yield Connection(address=where, client=client, seconds=settings["timeout"])


def _address(settings: Settings) -> Address:
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
    # A key in the environment is for the server it belongs to: Anthropic's is not sent to just any base_url.
    url = base.rstrip("/").removesuffix("/v1") or _OFFICIAL
    usual = "ANTHROPIC_API_KEY" if _official(url) else ""
    return address(url, key_env=settings["api_key_env"] or usual)


def _official(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return f".{host}".endswith(".api.anthropic.com")


def _headers(where: Address, settings: Settings) -> dict[str, str]:
    """The version; to other servers the key under both of the names in use, since each looks for one of them."""
    both = {} if _official(where.url) or not where.key else {"x-api-key": where.key, **where.headers}
    return {"anthropic-version": settings["api_version"], **both}


def _timeout(settings: Settings) -> anthropic.Timeout:
    seconds = settings["timeout"]
    return anthropic.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
