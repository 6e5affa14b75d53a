"""Claude behind the Messages API: what goes out, and what each answer becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import harness_anthropic
import pytest

from harness import Failure, Generation, HarnessError, Message, Request, Response, Text
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply
from harness.testing.messages import MessagesServer, error, message, overloaded, refusal, throttled
from harness.testing.server import Call, in_turn
from tests.plugins.anthropic_asking import ASKED, asking, opened, served
from tests.plugins.openai_asking import FIRST, get_failure, get_response

KEY = "secret-key-1234"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


async def test_an_answer_carries_usage_the_reported_model_and_its_time() -> None:
    counts = {
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 500,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    async with served(message("yes", " and no", thinking="hm", usage=counts)) as (model, _):
        found = await get_response(model, ASKED)
    assert (found.text, found.reasoning, found.model) == ("yes and no", "hm", "test-model-2026-01-01")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (542, 7, 4)
    assert (found.usage.cache_read_tokens, found.usage.cache_write_tokens) == (500, 30)
    assert 0 < found.seconds < 30


async def test_a_blocked_answer_keeps_what_was_said_and_why() -> None:
    async with served(refusal("Mix the")) as (model, _):
        found = await get_failure(model, ASKED)
    assert (found.text, found.reason, found.usage.output_tokens) == ("Mix the", "refusal", 7)
    assert found.message.startswith("cyber: This request was declined")


@pytest.mark.parametrize("reply", [throttled(3), overloaded(3)], ids=["throttled", "overloaded"])
async def test_a_server_that_is_too_busy_slows_the_run_down_for_as_long_as_it_asks(reply: Reply) -> None:
    async with served(in_turn(reply, "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


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
        found = await get_failure(model, request_)
        assert model.info.can == {"images", "system", "schema"}
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
        split = await get_response(model, ASKED)
        async with opened(base_url=server.url, think_tags="off") as plain:
            whole = await get_response(plain, ASKED)
    assert (split.text, split.reasoning, whole.text) == ("yes", "hm", "<think>hm</think>yes")


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


def test_it_keeps_the_contract_of_providers() -> None:
    [provider] = harness_anthropic.harness_models()
    with MessagesServer() as server:
        check_provider(provider, "tiny", settings={"base_url": server.url})


ENABLED = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" '
    "to control thinking behavior."
)
ADAPTIVE = "adaptive thinking is not supported on this model"
DISABLED = '"thinking.type.disabled" is not supported for this model.'
DISPLAY = "thinking.enabled.display: Extra inputs are not permitted"


def kind(call: Call) -> str:
    return str(call.parameters.get("thinking", {}).get("type", "none"))


def takes(**refused: str) -> Callable[[Call], str | Reply]:
    """A model that refuses these forms of thinking, each in its words."""
    return lambda call: error(400, refused[kind(call)]) if kind(call) in refused else message("yes", thinking="hm")


async def test_thinking_is_the_model_s_own_affair_unless_it_is_asked_for() -> None:
    async with served() as (model, server):
        assert model.info.thinking_tokens == 8192  # it may be found to think
        await model.generate(ASKED)
        assert (model.info.notes, model.info.dropped, model.info.thinking_tokens) == ((), frozenset(), 0)
    assert "thinking" not in server.calls[0].parameters


async def test_thinking_is_split_off_and_has_tokens_beside_the_answer_s() -> None:
    async with served(message("yes", thinking="Let me see."), thinking="on") as (model, server):
        found = await get_response(model, ASKED)
        assert model.info.thinking_tokens == 8192
    assert (found.text, found.reasoning) == ("yes", "Let me see.")
    parameters = server.calls[0].parameters
    assert parameters["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert parameters["max_tokens"] == 64 + 8192


async def test_sampling_is_left_out_where_the_model_is_told_to_think() -> None:
    async with served(thinking="on") as (model, server):
        await model.generate(ASKED)
        assert model.info.dropped == {"temperature", "top_p"}
    assert not {"temperature", "top_p"} & server.calls[0].parameters.keys()


async def test_a_budget_is_sent_to_a_model_that_has_one() -> None:
    async with served(takes(), thinking="on", thinking_budget=2048) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.notes == ()
    parameters = server.calls[0].parameters
    assert parameters["thinking"] == {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}
    assert parameters["max_tokens"] == 64 + 2048


FORMS: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "older models": ({"thinking": "on"}, {"adaptive": ADAPTIVE}, ["adaptive", "enabled", "enabled"]),
    "newer models": (
        {"thinking": "on", "thinking_budget": 2048},
        {"enabled": ENABLED},
        ["enabled", "adaptive", "adaptive"],
    ),
    "off": ({"thinking": "off"}, {}, ["disabled", "disabled"]),
    "off, by its other name": (
        {"thinking": "off"},
        {"disabled": DISABLED},
        ["disabled", "between_tools", "between_tools"],
    ),
}


@pytest.mark.parametrize(("settings", "refused", "sent"), FORMS.values(), ids=FORMS)
async def test_a_form_that_is_refused_is_exchanged_at_once_and_for_good(
    settings: dict[str, Any], refused: dict[str, str], sent: list[str]
) -> None:
    async with served(takes(**refused), **settings) as (model, server):
        for _ in range(2):
            assert isinstance(await model.generate(ASKED), Response)
    assert [kind(call) for call in server.calls] == sent


async def test_a_model_without_a_fixed_budget_says_so() -> None:
    async with served(takes(enabled=ENABLED), thinking="on", thinking_budget=2048) as (model, _):
        await model.generate(ASKED)
        [note] = model.info.notes
    assert "no fixed thinking budget" in note


async def test_a_server_that_cannot_be_asked_to_show_its_thinking_is_not_asked_to() -> None:
    def play(call: Call) -> str | Reply:
        return error(400, DISPLAY) if "display" in call.parameters["thinking"] else takes(adaptive=ADAPTIVE)(call)

    async with served(play, thinking="on") as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
    assert server.calls[-1].parameters["thinking"] == {"type": "enabled", "budget_tokens": 8192}


@pytest.mark.parametrize(("wanted", "forms"), [("on", 4), ("off", 2)])
async def test_a_model_that_cannot_do_as_it_is_told_stops_the_run(wanted: str, forms: int) -> None:
    words = "thinking: this is not supported by the model"
    async with served(error(400, words), thinking=wanted) as (model, server):
        with pytest.raises(HarnessError, match=f"refuses thinking={wanted}"):
            await model.generate(ASKED)
    assert len(server.calls) == forms


async def test_a_budget_that_no_model_takes_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(HarnessError, match="is less than 1024"):
        async with opened(base_url="http://127.0.0.1:1", thinking="on", thinking_budget=1000):
            pass


def thinker(needs: int) -> Callable[[Call], Reply]:
    """A model that thinks for so many tokens before each answer, and keeps its thoughts to itself."""

    def play(call: Call) -> Reply:
        enough = call.parameters["max_tokens"] > needs
        return message("yes", thinking="") if enough else message(thinking="", stop="max_tokens")

    return play


async def test_an_answer_that_thinking_left_no_room_for_is_asked_for_again_with_room() -> None:
    async with served(thinker(5000)) as (model, server):
        found = [await model.generate(ASKED) for _ in range(2)]
        assert model.info.thinking_tokens == 8192
        [note] = model.info.notes
    assert [answer.text for answer in found if isinstance(answer, Response)] == ["yes", "yes"]
    assert [call.parameters["max_tokens"] for call in server.calls] == [64, 64 + 8192, 64 + 8192]
    assert "thinks unasked" in note


async def test_an_answer_that_had_room_enough_is_not_asked_for_again() -> None:
    async with served(thinker(10)) as (model, server):
        await model.generate(ASKED)
        await model.generate(ASKED)
    assert [call.parameters["max_tokens"] for call in server.calls] == [64, 64 + 8192]


async def test_a_budget_that_does_not_suffice_leaves_an_empty_answer_that_is_marked() -> None:
    async with served(thinker(5000), thinking_budget=1024) as (model, server):
        found = await get_response(model, ASKED)
    assert (found.text, found.flags, len(server.calls)) == ("", frozenset({"truncated"}), 2)


async def test_a_long_answer_without_a_thought_is_cut_as_it_should_be() -> None:
    async with served(in_turn(message("yes", thinking="hm"), message("A long", stop="max_tokens"))) as (model, server):
        await model.generate(ASKED)
        found = await get_response(model, ASKED)
    assert (found.flags, len(server.calls)) == (frozenset({"truncated"}), 2)


async def test_effort_is_sent_beside_the_schema() -> None:
    async with served(effort="low") as (model, server):
        await model.generate(replace(ASKED, schema={"type": "object"}))
        await model.generate(asking())
    wanted = [call.parameters["output_config"] for call in server.calls]
    assert [sorted(each) for each in wanted] == [["effort", "format"], ["effort"]]
    assert wanted[0]["effort"] == "low"


async def test_an_effort_that_the_model_does_not_know_stops_the_run() -> None:
    async with served(error(400, "This model does not support the effort parameter."), effort="max") as (model, _):
        with pytest.raises(HarnessError, match="refuses effort=max"):
            await model.generate(ASKED)


async def test_a_refused_form_of_thinking_that_speaks_of_effort_is_no_refusal_of_effort() -> None:
    async with served(takes(enabled=ENABLED), thinking="on", thinking_budget=2048, effort="low") as (model, _):
        assert isinstance(await model.generate(ASKED), Response)


async def test_a_schema_is_asked_for_without_a_forced_tool_where_the_model_is_told_to_think() -> None:
    def play(call: Call) -> str | Reply:
        refused = "format" in call.parameters.get("output_config", {})
        return error(400, "output_config.format: Extra inputs are not permitted") if refused else "prose"

    async with served(play, thinking="on") as (model, server):
        assert isinstance(await model.generate(replace(ASKED, schema={"type": "object"})), Response)
        assert "schema" not in model.info.can
    assert ["tools" in call.parameters for call in server.calls] == [False, False]
