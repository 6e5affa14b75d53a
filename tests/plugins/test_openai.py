"""The `openai` provider: the real SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_openai.provider import SETTINGS

from harness import Failure, Generation, HarnessError, Message, Request, Response
from harness.testing.faults import ROWS, Reply, Row, answer, throttled
from harness.testing.server import ChatServer, in_turn
from tests.plugins.openai_asking import ASKED, FIRST, SECOND, body_of, opened, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_reply_ends_in_its_outcome_after_one_attempt(row: Row) -> None:
    timeout = 0.3 if row.endless else 30.0
    async with served(row.reply, timeout=timeout) as (model, server):
        if row.outcome is None:
            with pytest.raises(HarnessError):
                await model.generate(ASKED)
        else:
            found = await model.generate(ASKED)
            if isinstance(found, Response):
                assert ("answered" if found.text else "empty") == row.outcome
                assert found.flags == row.flags
            else:
                assert (found.outcome, found.transient) == (row.outcome, row.transient)
        assert len(server.calls) == 1


async def test_an_answer_carries_usage_the_reported_model_and_its_time() -> None:
    async with served(answer("yes", reasoning="hm", reasoning_tokens=4)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.reasoning, found.model) == ("yes", "hm", "test-model-2026-01-01")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (12, 7, 4)
    assert 0 < found.seconds < 30


async def test_a_blocked_answer_keeps_what_was_said() -> None:
    async with served(answer("Mix the", finish="content_filter")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.text, found.usage.output_tokens) == ("Mix the", 7)


async def test_a_stall_and_a_lost_connection_are_told_apart() -> None:
    async with served(Reply(fault="stall"), timeout=0.3) as (model, server):
        stalled = await model.generate(ASKED)
        server.play = Reply(fault="drop")
        dropped = await model.generate(ASKED)
    assert isinstance(stalled, Failure)
    assert isinstance(dropped, Failure)
    assert (stalled.reason, dropped.reason) == ("timeout", "connection")


async def test_nobody_listening_is_said_with_the_address() -> None:
    async with ChatServer() as server:
        url = server.base_url
    async with opened(base_url=url) as model:
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("connection", True)
    assert url in found.message


async def test_a_throttled_call_hands_on_how_long_to_wait_and_the_next_succeeds() -> None:
    async with served(in_turn(throttled(3), "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


# ---- what goes out -----------------------------------------------------------------------------------------------


async def test_texts_and_images_arrive_in_order_and_byte_for_byte() -> None:
    async with served(lambda call: str(call.pictures == (FIRST.opened.data, SECOND.opened.data))) as (model, server):
        found = await model.generate(ASKED)
        [call] = server.calls
    assert isinstance(found, Response)
    assert found.text == "True"
    assert [(part.role, part.kind) for part in call.parts] == [
        ("system", "text"),
        ("user", "text"),
        ("user", "image"),
        ("user", "text"),
        ("user", "image"),
        ("user", "text"),
    ]
    assert call.images == (FIRST.opened.sha256, SECOND.opened.sha256)
    assert FIRST.opened.sha256 != SECOND.opened.sha256
    assert (call.model, call.path) == ("tiny", "/v1/chat/completions")
    assert call.headers["content-type"] == "application/json"
    assert "transfer-encoding" not in call.headers
    assert body_of(call) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "seed": 3, "stop": ["END"]}


async def test_megabytes_of_images_go_out_without_a_warning() -> None:
    large = replace(FIRST.opened, data=b"x" * 3_000_000, encoded=b"eHh4" * 1_000_000)
    parts = (replace(FIRST, content=large), SECOND)
    async with served() as (model, server):
        found = await model.generate(Request(messages=(Message(role="user", content=parts),)))
    assert isinstance(found, Response)
    assert server.calls[0].images[1] == SECOND.opened.sha256


async def test_settings_that_are_not_set_are_left_to_the_server() -> None:
    async with served() as (model, server):
        await model.generate(replace(ASKED, settings=Generation(temperature=None, max_tokens=None)))
    assert body_of(server.calls[0]) == {}


async def test_detail_effort_and_extra_are_sent() -> None:
    async with served(detail="low", reasoning_effort="high", extra='{"top_k": 20}') as (model, server):
        await model.generate(ASKED)
    [call] = server.calls
    assert {part.detail for part in call.parts if part.kind == "image"} == {"low"}
    assert (call.parameters["reasoning_effort"], call.parameters["top_k"]) == ("high", 20)


@pytest.mark.parametrize(
    "extra", ["[1]", "top_k=20", "null", '{"temperature": 1}', '{"stream": true}', '{"model": "m"}']
)
async def test_extra_must_be_an_object_and_not_what_the_run_records(extra: str) -> None:
    with pytest.raises(HarnessError, match="extra"):
        async with served(extra=extra):
            pass


@pytest.mark.parametrize("change", [{"raw": True}, {"choices": ("Yes", "No")}, {"prefill": "Sure"}])
async def test_what_chat_completions_has_not_is_an_error_and_not_sent(change: dict[str, Any]) -> None:
    async with served() as (model, server):
        found = await model.generate(replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert isinstance(found, Failure)
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])


# ---- the plugin --------------------------------------------------------------------------------------------------


def test_every_setting_says_whether_it_is_part_of_the_identity() -> None:
    transport = {setting.name for setting in SETTINGS if not setting.identity}
    assert transport == {"api_key_env", "organization", "project", "timeout", "max_reply_mib", "max_images"}
    assert all(setting.help for setting in SETTINGS)


def test_offering_the_provider_loads_neither_the_sdk_nor_a_client() -> None:
    code = (
        "import sys, harness_openai; harness_openai.harness_models(); "
        "print([m for m in ('openai', 'aiohttp', 'httpx', 'anyio', 'pydantic', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "openai.md").read_text("utf-8")
    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in page] == []
