"""Chat Completions: what goes out, and what a server refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from harness_openai.model import find_refused

from harness import Failure, Generation, HarnessError, Response
from harness.http.status import ApiError
from harness.testing.faults import Reply, answer, error, throttled, unsupported
from harness.testing.server import Call, ChatServer, in_turn
from tests.plugins.openai_asking import ASKED, body_of, get_failure, get_response, large, opened, served

KEY = "secret-key-1234"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


async def test_an_answer_carries_usage_the_reported_model_and_its_time() -> None:
    async with served(answer("yes", reasoning="hm", reasoning_tokens=4)) as (model, _):
        found = await get_response(model)
    assert (found.text, found.reasoning, found.model) == ("yes", "hm", "test-model-2026-01-01")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (12, 7, 4)
    assert 0 < found.seconds < 30


async def test_a_blocked_answer_keeps_what_was_said() -> None:
    async with served(answer("Mix the", finish="content_filter")) as (model, _):
        found = await get_failure(model)
    assert (found.text, found.usage.output_tokens) == ("Mix the", 7)


async def test_a_throttled_call_hands_on_how_long_to_wait_and_the_next_succeeds() -> None:
    async with served(in_turn(throttled(3), "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


async def test_settings_go_out_under_the_names_of_chat_completions() -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
    [call] = server.calls
    assert call.path == "/v1/chat/completions"
    assert body_of(call) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "seed": 3, "stop": ["END"]}


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


@pytest.mark.parametrize("change", [{"raw": True}, {"choices": ("Yes", "No")}, {"prefill": "Sure"}])
async def test_what_chat_completions_has_not_is_an_error_and_not_sent(change: dict[str, Any]) -> None:
    async with served() as (model, server):
        found = await get_failure(model, replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])


async def test_azure_is_asked_for_a_deployment_with_its_version_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "not-asked-for")
    async with ChatServer() as server:
        root = server.base_url.removesuffix("/v1")
        async with opened("my-deployment", azure_endpoint=root, api_version="2024-12-01") as model:
            assert isinstance(await model.generate(ASKED), Response)
        [call] = server.calls
    assert call.path == "/openai/deployments/my-deployment/chat/completions"
    assert (call.query, call.headers["api-key"]) == ({"api-version": "2024-12-01"}, KEY)
    assert call.parameters["max_completion_tokens"] == 64


async def test_azure_needs_its_own_key_and_excludes_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="no key") as refused_:
        async with opened(azure_endpoint="https://a.openai.azure.com"):
            pass
    assert "AZURE_OPENAI_API_KEY" in refused_.value.remedy
    with pytest.raises(HarnessError, match="cannot be given together"):
        async with opened(azure_endpoint="https://a.openai.azure.com", base_url="http://127.0.0.1:1/v1"):
            pass


SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}


def without(*names: str) -> Callable[[Call], str | Reply]:
    """A model that takes none of these parameters."""
    return lambda call: next((unsupported(name) for name in names if name in call.parameters), "ok")


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "stop"])
async def test_a_refused_parameter_is_left_out_at_once_and_for_good(name: str) -> None:
    async with served(without(name)) as (model, server):
        assert model.info.dropped == frozenset()
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {name}
        assert isinstance(await model.generate(ASKED), Response)
    assert [name in call.parameters for call in server.calls] == [True, False, False]


async def test_a_refused_value_is_left_out_as_a_refused_parameter() -> None:
    def play(call: Call) -> str | Reply:
        return unsupported("temperature", value=0) if "temperature" in call.parameters else "ok"

    async with served(play) as (model, _):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"temperature"}


async def test_a_model_that_refuses_everything_is_asked_with_nothing() -> None:
    names = ("temperature", "top_p", "seed", "stop", "max_tokens", "max_completion_tokens")
    async with served(without(*names)) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"temperature", "top_p", "seed", "stop", "max_tokens"}
    assert body_of(server.calls[-1]) == {}


async def test_the_other_name_of_the_token_limit_is_taken_where_one_is_refused() -> None:
    async with served(without("max_tokens")) as (model, server):
        await model.generate(ASKED)
        await model.generate(ASKED)
        assert model.info.dropped == frozenset()
    assert [call.parameters.get("max_completion_tokens") for call in server.calls] == [None, 64, 64]


async def test_a_name_of_the_token_limit_that_was_given_is_not_exchanged() -> None:
    async with served(without("max_tokens"), max_tokens_field="max_tokens") as (model, server):
        await model.generate(ASKED)
        assert model.info.dropped == {"max_tokens"}
    assert not {"max_tokens", "max_completion_tokens"} & set(server.calls[-1].parameters)


async def test_many_calls_that_hear_one_refusal_together_learn_it_once() -> None:
    async with served(without("max_tokens", "temperature")) as (model, server), anyio.create_task_group() as calls:
        for _ in range(16):
            calls.start_soon(model.generate, ASKED)
    assert model.info.dropped == {"temperature"}
    assert len(server.calls) <= 16 * 3
    assert (
        sum(
            "max_completion_tokens" in call.parameters and "temperature" not in call.parameters for call in server.calls
        )
        == 16
    )


async def test_structured_output_is_asked_for_strictly() -> None:
    async with served() as (model, server):
        await model.generate(replace(ASKED, schema=SCHEMA))
    wanted = server.calls[0].parameters["response_format"]
    assert wanted == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


async def test_a_server_without_structured_output_is_asked_without_it() -> None:
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."

    def play(call: Call) -> str | Reply:
        return error(400, words, param="response_format") if "response_format" in call.parameters else "ok"

    async with served(play) as (model, server):
        assert "schema" in model.info.can
        assert isinstance(await model.generate(replace(ASKED, schema=SCHEMA)), Response)
        assert "schema" not in model.info.can
        await model.generate(replace(ASKED, schema=SCHEMA))
        assert model.info.dropped == frozenset()
    assert len(server.calls) == 3


async def test_a_setting_of_the_user_that_is_refused_stops_the_run() -> None:
    async with served(without("reasoning_effort"), reasoning_effort="high") as (model, _):
        with pytest.raises(HarnessError, match="refuses reasoning_effort") as stopped:
            await model.generate(ASKED)
    assert "leave reasoning_effort out" in stopped.value.remedy


REFUSALS: dict[str, tuple[Any, str | None]] = {
    "openai": (json.loads(unsupported("seed").body), "seed"),
    "azure": (
        {"error": {"message": "Unrecognized request argument supplied: max_completion_tokens", "code": None}},
        "max_completion_tokens",
    ),
    "mistral": (
        {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}]}},
        "seed",
    ),
    "vllm": ({"message": "[{'type': 'extra_forbidden', 'loc': ('body', 'top_p'), 'msg': 'no'}]", "code": 400}, "top_p"),
    "code alone": ({"error": {"message": "no", "code": "unsupported_parameter", "param": "stop"}}, "stop"),
    "claude behind a gateway": ({"error": {"message": "`temperature` is deprecated for this model."}}, "temperature"),
    "claude, without quotes": (
        {"error": {"message": "litellm: 400: temperature: Extra inputs are not permitted", "code": "400"}},
        "temperature",
    ),
    "too large": (
        {"error": {"message": "max_tokens is too large", "param": "max_tokens", "code": "invalid_value"}},
        None,
    ),
    "not sent": (json.loads(unsupported("logprobs").body), None),
    "the word stop": ({"error": {"message": "Unsupported image. Please stop and look at the temperature."}}, None),
    "role": (json.loads(unsupported("messages[0].role", value="'system'").body), None),
    "schema": ({"error": {"message": "Invalid schema for response_format 'answer'"}}, "response_format"),
    "grammar": (
        {"error": {"message": "The JSON schema contains features not supported by xgrammar"}},
        "response_format",
    ),
}


@pytest.mark.parametrize(("body", "name"), REFUSALS.values(), ids=REFUSALS)
def test_only_what_a_server_says_it_does_not_support_counts_as_refused(body: Any, name: str | None) -> None:
    sent = {"temperature", "max_tokens", "max_completion_tokens", "top_p", "seed", "stop"}
    if name == "response_format":
        sent.add("response_format")
    assert find_refused(ApiError.read(body), sent) == name


async def test_a_filter_s_400_is_not_taken_for_a_refused_parameter() -> None:
    reply = error(400, "'temperature' is not supported", code="content_filter", param="temperature")
    async with served(reply) as (model, server):
        found = await get_failure(model)
    assert (found.outcome, len(server.calls)) == ("input_blocked", 1)


async def test_with_resizing_off_an_image_over_the_limit_is_an_error_and_not_sent() -> None:
    async with served(max_image_side=100, resize="off") as (model, server):
        found = await get_failure(model, large())
    assert (found.outcome, found.reason, server.calls) == ("error", "image_too_large", [])
