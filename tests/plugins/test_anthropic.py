"""The `anthropic` provider: the real SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import harness_anthropic
import pytest
from harness_anthropic.provider import SETTINGS

from harness import Failure, Generation, HarnessError, Message, Request, Response, Text
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply, Row
from harness.testing.messages import ROWS, MessagesServer, message, overloaded, refusal, throttled
from harness.testing.server import in_turn
from tests.plugins.anthropic_asking import ASKED, asking, opened, served
from tests.plugins.openai_asking import FIRST, SECOND

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
    counts = {
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 500,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    async with served(message("yes", " and no", thinking="hm", usage=counts)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.reasoning, found.model) == ("yes and no", "hm", "test-model-2026-01-01")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (542, 7, 4)
    assert 0 < found.seconds < 30


async def test_a_blocked_answer_keeps_what_was_said_and_why() -> None:
    async with served(refusal("Mix the")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.text, found.reason, found.usage.output_tokens) == ("Mix the", "refusal", 7)
    assert found.message.startswith("cyber: This request was declined")


async def test_a_stall_and_a_lost_connection_are_told_apart() -> None:
    async with served(Reply(fault="stall"), timeout=0.3) as (model, server):
        stalled = await model.generate(ASKED)
        server.play = Reply(fault="drop")
        dropped = await model.generate(ASKED)
    assert isinstance(stalled, Failure)
    assert isinstance(dropped, Failure)
    assert (stalled.reason, dropped.reason) == ("timeout", "connection")


async def test_nobody_listening_is_said_with_the_address() -> None:
    async with MessagesServer() as server:
        url = server.url
    async with opened(base_url=url) as model:
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("connection", True)
    assert url in found.message


@pytest.mark.parametrize("reply", [throttled(3), overloaded(3)], ids=["throttled", "overloaded"])
async def test_a_server_that_is_too_busy_slows_the_run_down_for_as_long_as_it_asks(reply: Reply) -> None:
    async with served(in_turn(reply, "ok")) as (model, _):
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
    assert {part.detail for part in call.parts if part.kind == "image"} == {"image/png"}
    assert (call.model, call.path) == ("tiny", "/v1/messages")
    assert call.headers["content-type"] == "application/json"
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert "transfer-encoding" not in call.headers
    assert dict(call.parameters) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "stop_sequences": ["END"]}


async def test_megabytes_of_images_go_out_without_a_warning() -> None:
    large = replace(FIRST.opened, data=b"x" * 3_000_000, encoded=b"eHh4" * 1_000_000)
    async with served() as (model, server):
        found = await model.generate(asking(replace(FIRST, content=large), SECOND))
    assert isinstance(found, Response)
    assert server.calls[0].images[1] == SECOND.opened.sha256


async def test_settings_that_are_not_set_are_left_to_the_server_but_for_the_limit_it_demands() -> None:
    async with served() as (model, server):
        await model.generate(asking())
    assert dict(server.calls[0].parameters) == {"max_tokens": 1024}


async def test_a_conversation_keeps_its_turns() -> None:
    turns = (
        Message(role="system", content=(Text(text="be brief"),)),
        Message(role="system", content=(Text(text="be kind"),)),
        Message(role="user", content=(Text(text="one?"),)),
        Message(role="assistant", content=(Text(text="two"),)),
        Message(role="user", content=(Text(text="three?"),)),
    )
    async with served() as (model, server):
        await model.generate(Request(messages=turns))
    assert [(part.role, part.value) for part in server.calls[0].parts] == [
        ("system", "be brief\n\nbe kind"),
        ("user", "one?"),
        ("assistant", "two"),
        ("user", "three?"),
    ]


async def test_blank_texts_and_turns_which_the_api_refuses_are_left_out() -> None:
    turns = (
        Message(role="user", content=(Text(text=" \n"), FIRST, Text(text="what?"))),
        Message(role="assistant", content=(Text(text=""),)),
        Message(role="user", content=(Text(text="again"),)),
    )
    async with served() as (model, server):
        await model.generate(Request(messages=turns))
    assert [(part.role, part.kind) for part in server.calls[0].parts] == [
        ("user", "image"),
        ("user", "text"),
        ("user", "text"),
    ]


async def test_extra_and_another_version_of_the_api_are_sent() -> None:
    async with served(extra='{"top_k": 20}', api_version="2026-10-21") as (model, server):
        await model.generate(ASKED)
    [call] = server.calls
    assert (call.parameters["top_k"], call.headers["anthropic-version"]) == (20, "2026-10-21")


@pytest.mark.parametrize(
    "extra", ["[1]", "top_k=20", "null", '{"temperature": 1}', '{"stream": true}', '{"tools": []}']
)
async def test_extra_must_be_an_object_and_not_what_the_run_records(extra: str) -> None:
    with pytest.raises(HarnessError, match="extra"):
        async with served(extra=extra):
            pass


UNSERVABLE: dict[str, Request] = {
    "raw": replace(ASKED, raw=True),
    "choices": replace(ASKED, choices=("Yes", "No")),
    "a prefill of a server that may not go on with it": replace(ASKED, prefill="Sure"),
    "a system message after another": replace(ASKED, messages=ASKED.messages[::-1]),
    "a system message with an image": Request(messages=(Message(role="system", content=(FIRST,)), *ASKED.messages[1:])),
}


@pytest.mark.parametrize("request_", UNSERVABLE.values(), ids=UNSERVABLE)
async def test_what_the_api_has_not_is_an_error_and_not_sent(request_: Request) -> None:
    async with served() as (model, server):
        found = await model.generate(request_)
        assert model.info.can == {"images", "system", "schema"}
    assert isinstance(found, Failure)
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])


async def test_a_seed_is_recorded_as_left_out_once_one_is_asked_for() -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
        assert model.info.dropped == frozenset()
        await model.generate(replace(ASKED, settings=Generation(seed=3)))
        assert model.info.dropped == {"seed"}
    assert "seed" not in server.calls[1].parameters


async def test_words_between_think_tags_are_reasoning_unless_that_is_off() -> None:
    async with served("<think>hm</think>yes") as (model, server):
        split = await model.generate(ASKED)
        async with opened(base_url=server.url, think_tags="off") as plain:
            whole = await plain.generate(ASKED)
    assert isinstance(split, Response)
    assert isinstance(whole, Response)
    assert (split.text, split.reasoning, whole.text) == ("yes", "hm", "<think>hm</think>yes")


# ---- the plugin --------------------------------------------------------------------------------------------------


def test_it_keeps_the_contract_of_providers() -> None:
    [provider] = harness_anthropic.harness_models()
    with MessagesServer() as server:
        check_provider(provider, "tiny", settings={"base_url": server.url})


def test_every_setting_says_whether_it_is_part_of_the_identity() -> None:
    transport = {setting.name for setting in SETTINGS if not setting.identity}
    assert transport == {"api_key_env", "timeout", "max_reply_mib", "max_images"}
    assert all(setting.help for setting in SETTINGS)


def test_offering_the_provider_loads_neither_the_sdk_nor_a_client() -> None:
    code = (
        "import sys, harness_anthropic; harness_anthropic.harness_models(); "
        "print([m for m in ('anthropic', 'aiohttp', 'httpx2', 'anyio', 'pydantic', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "anthropic.md").read_text("utf-8")
    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in page] == []
