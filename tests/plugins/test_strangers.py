"""What a server may do to a provider: it cannot send a prompt or a key elsewhere, nor fill the memory."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from functools import cache
from typing import Any

import pytest
from aiohttp import web

from harness import Drawn, Failure, Response
from harness.http import MIB
from tests.plugins.strangers import BODIES, KEY, WAYS, Server, endless, replying

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys", "without_google", "a_key")]
every_way = pytest.mark.parametrize("way", WAYS)
SLACK = 16 * MIB  # what stands in the buffers of two sockets
WBITS = {"gzip": 31, "deflate": 15}


@cache
def begun(encoding: str, size: int) -> tuple[bytes, Any]:
    """So many blanks, packed, and what goes on from there: JSON may begin with blanks."""
    packer = zlib.compressobj(1, wbits=WBITS[encoding])
    piece = b" " * (8 * MIB)
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))), packer


def padded(body: bytes, encoding: str, size: int) -> bytes:
    """A body behind so many blanks, packed."""
    if not encoding:
        return b" " * size + body
    head, packer = begun(encoding, size)
    rest = packer.copy()
    return head + rest.compress(body) + rest.flush()


@pytest.fixture
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)


@every_way
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_neither_prompt_nor_key_to_another_host_and_the_error_names_both(
    way: str, status: int
) -> None:
    async with Server(replying(200, BODIES[way])) as stranger:
        play = replying(status, b"", location=f"{stranger.url}/v1/else?key=hunter2")
        async with Server(play) as named, WAYS[way](named.url) as ask:
            found = await ask()
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", f"http_{status}", False)
    assert named.host in found.message
    assert stranger.host in found.message
    assert "hunter2" not in found.message
    assert (len(named.asked), stranger.asked) == (1, [])


@every_way
async def test_a_redirect_to_another_path_of_the_same_server_is_not_followed_either(way: str) -> None:
    async with Server(replying(307, b"", location="/elsewhere")) as named, WAYS[way](named.url) as ask:
        found = await ask()
    assert isinstance(found, Failure)
    assert f"{named.url}/elsewhere" in found.message
    assert [asked.path for asked in named.asked if asked.path == "/elsewhere"] == []


@every_way
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
async def test_an_answer_of_more_than_64_mib_is_not_taken_however_it_is_packed(way: str, encoding: str) -> None:
    packed = padded(BODIES[way], encoding, 72 * MIB)
    headers = {"content_encoding": encoding} if encoding else {}
    async with Server(replying(200, packed, **headers)) as server, WAYS[way](server.url) as ask:
        found = await ask()
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "too_large", False)
    assert "64 MiB" in found.message


@every_way
async def test_reading_stops_at_the_limit_where_an_answer_never_ends(way: str) -> None:
    server = Server(replying(200, b""))
    server.play = endless(server, b" " * 65536)
    async with server, WAYS[way](server.url, max_reply_mib=1.0) as ask:
        found = await ask()
    assert isinstance(found, Failure)
    assert (found.reason, "1 MiB" in found.message) == ("too_large", True)
    assert server.sent < SLACK


@every_way
async def test_megabytes_that_unpack_to_gigabytes_cost_no_more_than_the_limit(way: str) -> None:
    body = padded(BODIES[way], "gzip", 1024 * MIB)
    play = replying(200, body, content_encoding="gzip")
    async with Server(play) as server, WAYS[way](server.url, max_reply_mib=4.0) as ask:
        tracemalloc.start()
        try:
            found = await ask()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(found, Failure)
    assert found.reason == "too_large"
    assert peak < 32 * MIB


@every_way
async def test_an_error_with_an_endless_body_is_still_what_its_status_says(way: str) -> None:
    server = Server(replying(200, b""))
    server.play = endless(server, b"busy " * 10_000, status=503)
    async with server, WAYS[way](server.url) as ask:
        found = await ask()
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("http_503", True)
    assert server.sent < SLACK


@every_way
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_a_packed_answer_within_the_limit_is_read(way: str, encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding](BODIES[way])
    async with Server(replying(200, packed, content_encoding=encoding)) as server, WAYS[way](server.url) as ask:
        found = await ask()
    assert isinstance(found, Response | Drawn)
    assert server.asked[0].headers["accept-encoding"] == "gzip, deflate"


@every_way
async def test_an_answer_in_an_encoding_that_was_not_asked_for_says_so(way: str) -> None:
    play = replying(200, b"\x0b\x02\x80{}\x03", content_encoding="br")
    async with Server(play) as server, WAYS[way](server.url) as ask:
        found = await ask()
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("encoding", False)
    assert "'br'" in found.message


@every_way
async def test_an_answer_that_came_damaged_is_worth_another_try(way: str) -> None:
    async with (
        Server(replying(200, b"no gzip at all", content_encoding="gzip")) as server,
        WAYS[way](server.url) as ask,
    ):
        found = await ask()
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("connection", True)


@every_way
async def test_the_connection_of_an_answer_that_was_read_is_used_again(way: str) -> None:
    ports: set[object] = set()

    async def play(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(body=gzip.compress(BODIES[way]), headers={"content-encoding": "gzip"})

    async with Server(play) as server, WAYS[way](server.url) as ask:
        found = [await ask() for _ in range(3)]
    assert all(isinstance(each, Response | Drawn) for each in found)
    assert len(ports) == 1
