"""The `openai` provider: the real SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness import Failure, Generation, HarnessError, Response
from harness.testing.faults import answer, throttled
from harness.testing.server import ChatServer, in_turn
from tests.plugins.openai_asking import ASKED, body_of, opened, served

KEY = "secret-key-1234"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


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


async def test_a_throttled_call_hands_on_how_long_to_wait_and_the_next_succeeds() -> None:
    async with served(in_turn(throttled(3), "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


# ---- what goes out -----------------------------------------------------------------------------------------------


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
        found = await model.generate(replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert isinstance(found, Failure)
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])


# ---- Azure ----------------------------------------------------------------------------------------------------------


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
    with pytest.raises(HarnessError, match="exclude"):
        async with opened(azure_endpoint="https://a.openai.azure.com", base_url="http://127.0.0.1:1/v1"):
            pass
