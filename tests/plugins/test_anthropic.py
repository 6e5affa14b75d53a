"""The `anthropic` provider: the real SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

from dataclasses import replace

import harness_anthropic
import pytest

from harness import Failure, Generation, HarnessError, Message, Request, Response, Text
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply
from harness.testing.messages import MessagesServer, message, overloaded, refusal, throttled
from harness.testing.server import in_turn
from tests.plugins.anthropic_asking import ASKED, asking, opened, served
from tests.plugins.openai_asking import FIRST

KEY = "secret-key-1234"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("reply", [throttled(3), overloaded(3)], ids=["throttled", "overloaded"])
async def test_a_server_that_is_too_busy_slows_the_run_down_for_as_long_as_it_asks(reply: Reply) -> None:
    async with served(in_turn(reply, "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


# ---- what goes out -----------------------------------------------------------------------------------------------


async def test_settings_go_out_under_the_names_of_the_messages_api() -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
    [call] = server.calls
    assert call.path == "/v1/messages"
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert {part.detail for part in call.parts if part.kind == "image"} == {"image/png"}
    assert dict(call.parameters) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "stop_sequences": ["END"]}


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


# ---- which server is asked, and which key it gets ------------------------------------------------------------------


async def test_a_login_of_the_sdk_s_own_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "a-profile-that-is-not-there")
    async with served() as (model, _):
        assert isinstance(await model.generate(ASKED), Response)


async def test_a_server_gets_the_key_it_was_given_under_both_names_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    async with served(api_key_env="MY_KEY") as (model, server):
        await model.generate(ASKED)
    headers = server.calls[0].headers
    assert (headers["authorization"], headers["x-api-key"]) == (f"Bearer {KEY}", KEY)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_an_address_may_end_in_the_version_as_those_of_other_apis_do(ending: str) -> None:
    async with served() as (_, server), opened(base_url=f"{server.url}{ending}") as model:
        assert isinstance(await model.generate(ASKED), Response)
    assert [call.path for call in server.calls] == ["/v1/messages"]


async def test_headers_in_the_environment_which_no_run_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"authorization: Bearer {KEY}")
    with pytest.raises(HarnessError, match="ANTHROPIC_CUSTOM_HEADERS"):
        async with served():
            pass


# ---- the plugin --------------------------------------------------------------------------------------------------


def test_it_keeps_the_contract_of_providers() -> None:
    [provider] = harness_anthropic.harness_models()
    with MessagesServer() as server:
        check_provider(provider, "tiny", settings={"base_url": server.url})
