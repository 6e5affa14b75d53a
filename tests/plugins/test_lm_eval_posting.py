"""What stands in for `requests` inside lm-eval, against a server not to be trusted; lm-eval itself is not needed."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from harness.http import MIB, Unreadable
from tests.plugins.strangers import BODIES, KEY, Server, endless, replying
from tests.plugins.test_strangers import padded

pytestmark = pytest.mark.anyio
requests: Any = importlib.import_module("requests")
ASKED = {"messages": [{"role": "user", "content": "a prompt"}]}


def stand_in() -> Any:
    """The module by its file: its package imports lm-eval."""
    path = Path(__file__).parents[2] / "plugins" / "harness_lm_eval" / "posting.py"
    spec = importlib.util.spec_from_file_location("posting", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GuardedRequests()


async def post(url: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    return await anyio.to_thread.run_sync(lambda: stand_in().post(url, json=ASKED, headers=headers, verify=True))


async def test_an_answer_is_what_requests_gives() -> None:
    async with Server(replying(200, padded(BODIES["openai"], "gzip", 0), content_encoding="gzip")) as server:
        reply = await post(server.url)
    assert (reply.ok, reply.json(), reply.text) == (True, json.loads(BODIES["openai"]), BODIES["openai"].decode())
    assert json.loads(server.asked[0].body) == ASKED
    assert stand_in().exceptions is requests.exceptions


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_says_where_to(status: int) -> None:
    async with Server(replying(200, BODIES["openai"])) as stranger:
        play = replying(status, b"", location=stranger.url)
        async with Server(play) as server:
            with pytest.raises(requests.TooManyRedirects) as refused:
                await post(server.url)
    assert refused.value.response is not None
    assert (refused.value.response.status_code, refused.value.response.headers["location"]) == (status, stranger.url)
    assert stranger.asked == []


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_of_more_than_64_mib_is_not_taken(encoding: str) -> None:
    headers = {"content_encoding": encoding} if encoding else {}
    async with Server(replying(200, padded(BODIES["openai"], encoding, 72 * MIB), **headers)) as server:
        with pytest.raises(Unreadable) as refused:
            await post(server.url)
    assert refused.value.reason == "too_large"


async def test_an_error_without_an_end_is_what_its_status_says() -> None:
    server = Server(replying(200, b""))
    server.play = endless(server, b"busy " * 10_000, status=503)
    async with server:
        reply = await post(server.url)
    assert (reply.status_code, reply.ok) == (503, False)
    with pytest.raises(requests.HTTPError):
        reply.raise_for_status()
