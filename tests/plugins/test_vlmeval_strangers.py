"""Classes of the zoo that post are held to the rules of every provider, in the child where they run."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib

import pytest
from aiohttp import web

from harness.http import MIB, reading
from tests.plugins.strangers import BODIES, Server, replying
from tests.plugins.test_strangers import padded
from tests.plugins.vlmeval_asking import answer, failure, opened, zoo

__all__ = ["zoo"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("zoo")]
BODY = BODIES["openai"]
#: classes that ask through requests, httpx, and httpx awaited
every_class = pytest.mark.parametrize("name", ["Posting-1", "Asking-1", "Asking-2"])


@every_class
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:9], mtime=0) + gzip.compress(BODY[9:], mtime=0) + b"\0" * 8),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
    ],
    ids=["gzip", "members", "deflate", "bare"],
)
async def test_an_answer_that_is_packed_is_read(name: str, encoding: str, packed: bytes) -> None:
    play = replying(200, packed, content_encoding=encoding)
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        assert (await answer(model, "a prompt")).text == "ok"


@every_class
async def test_an_answer_that_came_damaged_is_worth_another_try(name: str) -> None:
    play = replying(200, b"no gzip at all", content_encoding="gzip")
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", "connection", True)


async def test_an_answer_that_an_sdk_takes_at_its_second_try_is_the_answer() -> None:
    damaged, good = (replying(200, packed, content_encoding="gzip") for packed in (b"damaged", gzip.compress(BODY)))

    async def play(request: web.BaseRequest) -> web.StreamResponse:
        return await (damaged if len(server.asked) < 2 else good)(request)

    async with Server(play) as server, opened("Asking-1", args={"api_base": server.url}) as model:
        assert (await answer(model, "a prompt")).text == "ok"


def test_the_file_that_the_child_loads_of_the_harness_needs_the_standard_library_alone() -> None:
    load = f"import runpy; runpy.run_path({reading.__file__!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", load], check=True)


@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_takes_no_prompt_to_another_host(status: int) -> None:
    async with Server(replying(200, BODIES["openai"])) as stranger:
        play = replying(status, b"", location=stranger.url)
        async with Server(play) as server, opened("Posting-1", args={"api_base": server.url}) as model:
            found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", f"http_{status}", False)
    assert server.host in found.message
    assert stranger.host in found.message
    assert stranger.asked == []


@every_class
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_of_more_than_64_mib_is_not_taken(name: str, encoding: str) -> None:
    headers = {"content_encoding": encoding} if encoding else {}
    play = replying(200, padded(BODY, encoding, 72 * MIB), **headers)
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", "too_large", False)
