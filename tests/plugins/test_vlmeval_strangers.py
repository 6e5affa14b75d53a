"""Classes of the zoo that post are held to the rules of every provider, in the child where they run."""

from __future__ import annotations

import pytest

from harness.http import MIB
from tests.plugins.strangers import BODIES, Server, replying
from tests.plugins.test_strangers import padded
from tests.plugins.vlmeval_asking import answer, failure, opened, zoo

__all__ = ["zoo"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("zoo")]


async def test_an_answer_that_is_packed_is_read() -> None:
    play = replying(200, padded(BODIES["openai"], "gzip", 0), content_encoding="gzip")
    async with Server(play) as server, opened("Posting-1", args={"api_base": server.url}) as model:
        assert (await answer(model, "a prompt")).text == "ok"


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


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_of_more_than_64_mib_is_not_taken(encoding: str) -> None:
    headers = {"content_encoding": encoding} if encoding else {}
    play = replying(200, padded(BODIES["openai"], encoding, 72 * MIB), **headers)
    async with Server(play) as server, opened("Posting-1", args={"api_base": server.url}) as model:
        found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", "too_large", False)
