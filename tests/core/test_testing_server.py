"""The local server that plugin authors test against."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from typing import Any

import anyio
import httpx
import pytest

from harness.testing.faults import ROWS, Reply, answer, server_error, throttled
from harness.testing.server import ChatServer, in_turn, once

PNG, GIF = b"\x89PNG-one", b"GIF89a-two"


def url(data: bytes, kind: str) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{encoded}", "detail": "low"}}


BODY: dict[str, Any] = {
    "model": "tiny",
    "temperature": 0.5,
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "first"}, url(PNG, "png"), url(GIF, "gif")]},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "then"},
    ],
}


def post(server: ChatServer, body: Any = BODY, path: str = "/chat/completions", **more: Any) -> httpx.Response:
    return httpx.post(server.base_url + path, json=body, timeout=10, **more)


def said(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def test_a_call_is_logged_with_its_texts_and_images_in_order() -> None:
    with ChatServer(lambda call: f"{call.model}: {call.pictures[1]!r}") as server:
        before = time.monotonic()
        assert said(post(server, headers={"X-Trace": "7"}, params={"api-version": "v"})) == f"tiny: {GIF!r}"
        [call] = server.calls
    assert call.images == tuple(hashlib.sha256(data).hexdigest() for data in (PNG, GIF))
    assert (call.system, call.text) == ("be brief", "first\nyes?\nthen")
    assert [(part.role, part.kind) for part in call.parts[1:4]] == [
        ("user", kind) for kind in ("text", "image", "image")
    ]
    assert (call.path, call.query, call.headers["x-trace"]) == ("/v1/chat/completions", {"api-version": "v"}, "7")
    assert call.parameters == {"temperature": 0.5}
    assert before < call.at < time.monotonic()


def test_the_log_keeps_no_image() -> None:
    with ChatServer() as server:
        post(server)
    assert server.calls[0].pictures == (b"", b"")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_also_runs_in_the_loop_of_the_test() -> None:
    async with ChatServer("here") as server, httpx.AsyncClient() as client:
        assert said(await client.post(f"{server.base_url}/chat/completions", json=BODY)) == "here"


def test_replies_come_in_turn_and_the_last_is_repeated() -> None:
    with ChatServer(in_turn(throttled(2), server_error(503), "well")) as server:
        replies = [post(server) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [429, 503, 200, 200]
    assert replies[0].headers["retry-after"] == "2"
    assert said(replies[3]) == "well"


def test_once_fails_each_request_the_first_time_it_comes() -> None:
    other = BODY | {"model": "other"}
    with ChatServer(once(server_error(), lambda call: call.model)) as server:
        statuses = [post(server, body).status_code for body in (BODY, other, BODY, other)]
    assert statuses == [500, 500, 200, 200]


def test_what_is_played_can_be_exchanged_while_it_runs() -> None:
    with ChatServer("one") as server:
        post(server)
        server.play = answer("two", reasoning="hm")
        assert post(server).json()["choices"][0]["message"]["reasoning_content"] == "hm"


def test_latency_is_waited_once_a_call() -> None:
    with ChatServer(latency=0.2) as server:
        before = time.monotonic()
        post(server)
        assert time.monotonic() - before >= 0.2


@pytest.mark.parametrize("fault", ["drop", "cut", "garbage"])
def test_a_broken_connection_is_broken(fault: Any) -> None:
    with ChatServer(Reply(fault=fault)) as server, pytest.raises(httpx.TransportError):
        post(server)


def test_a_stall_says_nothing_and_ends_with_the_server() -> None:
    with ChatServer(Reply(fault="stall")) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.base_url}/chat/completions", json=BODY, timeout=0.2)
        before = time.monotonic()
    assert time.monotonic() - before < 5


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["stall", "drip"])
async def test_a_stall_and_a_drip_end_when_the_client_leaves(fault: Any) -> None:
    async with ChatServer(Reply(fault=fault)) as server:
        before = asyncio.all_tasks()
        async with httpx.AsyncClient() as client:
            with anyio.move_on_after(0.3):
                await client.post(f"{server.base_url}/chat/completions", json=BODY, timeout=10)
        assert len(server.calls) == 1
        if left := asyncio.all_tasks() - before:
            _ended, left = await asyncio.wait(left, timeout=5)
        assert not left


def test_a_drip_of_blanks_outlives_a_timeout_between_bytes_and_ends_with_the_server() -> None:
    with ChatServer(Reply(fault="drip")) as server:
        url = f"{server.base_url}/chat/completions"
        with httpx.stream("POST", url, json=BODY, timeout=1) as response:
            blanks = response.iter_raw()
            assert next(blanks) + next(blanks) + next(blanks) == b"   "


def test_a_mistake_in_what_is_played_is_raised_at_the_end() -> None:
    def play(_call: object) -> str:
        raise KeyError("oops")

    with pytest.raises(RuntimeError, match="raised") as told, ChatServer(play) as server:
        assert post(server).status_code == 500
    assert isinstance(told.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [url(PNG, "png") | {"image_url": {"url": "data:image/png;base64,?"}}]}
            ]
        },
    ],
)
def test_a_body_that_is_no_chat_request_is_a_bad_request(body: Any) -> None:
    with ChatServer() as server:
        assert post(server, body).status_code == 400


def test_another_path_is_not_there() -> None:
    with ChatServer() as server:
        assert post(server, path="/completions").status_code == 404
        assert server.calls == []


def test_a_lean_server_looks_at_nothing() -> None:
    with ChatServer("ok", lean=True) as server:
        assert said(httpx.post(f"{server.base_url}/chat/completions", content=b"{" * 3_000_000)) == "ok"
    assert [call.parts for call in server.calls] == [()]


def test_the_rows_cover_every_outcome_a_provider_can_give() -> None:
    assert {row.outcome for row in ROWS} == {"answered", "input_blocked", "output_blocked", "empty", "error", None}
    assert {row.judged for row in ROWS} >= {"judge_refused", "judge_blocked", "judge_unparsable", "judge_error"}
    assert len({row.name for row in ROWS}) == len(ROWS)
