"""Opening the SDK's client for the Gemini API or for Vertex AI.

The SDK reads a dozen environment variables. Where one would change which server or which service is asked, it must be
named as a setting: it is part of the model's identity. The others are given explicitly, so that they are not read.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import anyio.to_thread
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.genai import client, types

from harness import HarnessError, Settings
from harness.http import MIB, Address, address

from .untyped import auth
from .wire import LOGIN, Connection, session

_OFFICIAL = "https://generativelanguage.googleapis.com"
_VERTEX = "https://aiplatform.googleapis.com"
_VERSIONS = {False: "v1beta", True: "v1beta1"}  # the SDK's own choice for the Gemini API, v1, knows fewer settings
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the former goes first in the SDK and in Google's documentation
_NO_KEY = "none"  # the SDK wants one; gateways without keys do not look
_MODES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")


@asynccontextmanager
async def connect(name: str, settings: Settings) -> AsyncGenerator[Connection]:
    """Open the client the settings ask for.

    Raises HarnessError where they do not fit together or with the environment, or a key or credentials are missing.
    """
    vertex = _vertex(settings)
    _check_environment(settings, vertex=vertex)
    _check_name(name)
    where = _place(settings) if vertex else _gemini(settings)
    credentials = await _credentials() if vertex else None
    async with session() as asking:
        options = types.HttpOptions(
            base_url=settings["base_url"] or (None if vertex else _OFFICIAL),
            api_version=settings["api_version"] or _VERSIONS[vertex],
            retry_options=types.HttpRetryOptions(attempts=1),  # also turns off a retry the SDK does unasked
            aiohttp_client=asking,
        )
        opened = client.Client(
            vertexai=vertex,
            api_key=None if vertex else where.key or _NO_KEY,
            credentials=credentials,
            project=settings["vertex_project"] or None,
            location=settings["vertex_location"] or None,
            debug_config=client.DebugConfig(client_mode=None, replays_directory=None, replay_id=None),
            http_options=options,
        )
        try:
            yield Connection(
                address=where,
                vertex=vertex,
                model=name,
                client=opened,
                seconds=settings["timeout"],
                limit=int(settings["max_reply_mib"] * MIB),
            )
        finally:
            await opened.aio.aclose()
            opened.close()


def _vertex(settings: Settings) -> bool:
    """Whether Vertex AI is asked."""
    given = [bool(settings[name]) for name in ("vertex_project", "vertex_location")]
    if any(given) and not all(given):
        raise HarnessError("Vertex AI needs both -M vertex_project=… and -M vertex_location=…", remedy="give both")
    if any(given) and settings["api_key_env"]:
        raise HarnessError(
            "Vertex AI is asked with Google Cloud credentials, not with a key", remedy="leave -M api_key_env out"
        )
    return all(given)


def _check_environment(settings: Settings, *, vertex: bool) -> None:
    for name in _MODES:
        if not vertex and os.environ.get(name, "").lower() in ("true", "1"):
            raise HarnessError(
                f"{name} is set, but which service answers is part of the model's identity and must be named",
                remedy="add -M vertex_project=… -M vertex_location=…, or unset the variable to ask the Gemini API",
            )
    name = "GOOGLE_VERTEX_BASE_URL" if vertex else "GOOGLE_GEMINI_BASE_URL"
    if os.environ.get(name) and not settings["base_url"]:
        raise HarnessError(
            f"{name} is set, but a server is part of the model's identity and must be named",
            remedy=f"add -M base_url=${name}, or unset the variable to ask Google itself",
        )


def _check_name(name: str) -> None:
    if any(part in name for part in ("..", "?", "&", "#", "%", " ")):
        raise HarnessError(f"{name!r} is not the name of a model", remedy="such as gemini/gemini-2.5-flash")


def _gemini(settings: Settings) -> Address:
    # A key in the environment is for the server it belongs to: Google's is not sent to just any base_url.
    url = settings["base_url"] or _OFFICIAL
    usual = next((name for name in _KEYS if os.environ.get(name)), "GEMINI_API_KEY") if _google(url) else ""
    return address(url, key_env=settings["api_key_env"] or usual)


def _google(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return f".{host}".endswith(".googleapis.com")


def _place(settings: Settings) -> Address:
    """Vertex AI as it is named in messages; the SDK knows which server serves a location."""
    base = address(settings["base_url"] or _VERTEX)
    return replace(
        base, url=f"{base.url}/projects/{settings['vertex_project']}/locations/{settings['vertex_location']}"
    )


async def _credentials() -> Credentials:
    try:
        found: Credentials
        found, _ = await anyio.to_thread.run_sync(functools.partial(auth.default, scopes=[_SCOPE]))
    except GoogleAuthError as error:
        raise HarnessError(f"there are no Google Cloud credentials: {error}", remedy=LOGIN) from error
    return found
