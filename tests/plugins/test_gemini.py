"""Gemini: what goes out, and what each answer and error becomes."""

from __future__ import annotations

import base64
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness_gemini
import pytest
from google.genai import types
from harness_gemini.messages import CATEGORIES, FINISHES, UNBLOCKED, UNSENT
from harness_gemini.provider import SETTINGS, THRESHOLDS

from harness import Generation, HarnessError, Message, Request, Text
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply
from tests.plugins.deadlines import never_ending
from tests.plugins.gemini_asking import ASKED, FIRST, KEY, SECOND, GeminiServer, blocked, error, said, sent, served
from tests.plugins.openai_asking import get_failure, get_response

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]
FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY")
PASSING = ("OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE")
FINAL = ("LANGUAGE", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "NEW_REASON")
EMPTY: dict[str, Any] = {"usageMetadata": {"promptTokenCount": 12}}

#: name -> what the server says, (outcome, reason, transient)
ROWS: dict[str, tuple[Reply, tuple[str, str, bool]]] = {
    **{f"prompt {name}": (blocked(name), ("input_blocked", name.lower(), False)) for name in (
        "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK", "NEW_REASON"
    )},
    **{name: (said("Mix the", finish=name), ("output_blocked", name.lower(), False)) for name in FILTERED},
    "blocked without a word": (said(None, finish="SAFETY"), ("output_blocked", "safety", False)),
    "request filtered": (said(None, finish="ESCALATION"), ("input_blocked", "escalation", False)),
    **{name: (said("Mix the", finish=name), ("error", f"finish_{name.lower()}", True)) for name in PASSING},
    **{name: (said("Mix the", finish=name), ("error", f"finish_{name.lower()}", False)) for name in FINAL},
    "no end, no text": (said("", finish=None), ("error", "finish_unsaid", True)),
    "nothing": (sent(EMPTY), ("error", "no_candidates", True)),
    "no reason": (blocked("BLOCK_REASON_UNSPECIFIED"), ("error", "no_candidates", True)),
    "empty list": (sent({"candidates": [], **EMPTY}), ("error", "no_candidates", True)),
    "another shape": (sent(["no", "object"]), ("error", "no_candidates", True)),
    "not json": (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), ("error", "not_json", True)),
    "lost": (Reply(fault="drop"), ("error", "connection", True)),
    "stall": (Reply(fault="stall"), ("error", "timeout", True)),
}  # fmt: skip
#: name -> what the server says, (text, flags)
ANSWERS: dict[str, tuple[Reply, tuple[str, frozenset[str]]]] = {
    "text": (said("A red circle."), ("A red circle.", frozenset())),
    "truncated": (said("A red", finish="MAX_TOKENS"), ("A red", frozenset({"truncated"}))),
    "limit of the service": (said("A red", finish="CONTINUATION"), ("A red", frozenset({"truncated"}))),
    "empty": (said(""), ("", frozenset())),
    "no content": (said(None), ("", frozenset())),
    "out of budget": (said(None, finish="MAX_TOKENS", tokens=64), ("", frozenset({"truncated"}))),
    "no end": (said("Yes", finish=None), ("Yes", frozenset())),
}


@pytest.mark.parametrize(("reply", "ends"), ROWS.values(), ids=ROWS)
async def test_every_failure_ends_in_its_outcome_after_one_attempt(reply: Reply, ends: tuple[str, str, bool]) -> None:
    async with served(never_ending(reply) if reply.fault == "stall" else reply) as (model, server):
        found = await get_failure(model)
    assert (found.outcome, found.reason, found.transient) == ends
    assert len(server.calls) == 1


@pytest.mark.parametrize(("reply", "ends"), ANSWERS.values(), ids=ANSWERS)
async def test_every_answer_has_its_text_and_flags(reply: Reply, ends: tuple[str, frozenset[str]]) -> None:
    async with served(reply) as (model, _):
        found = await get_response(model)
    assert (found.text, found.flags) == ends


async def test_a_blocked_answer_keeps_what_was_said_and_which_filter_stopped_it() -> None:
    ratings = [
        {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True},
        {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
    ]
    async with served(said("Mix the", finish="SAFETY", safetyRatings=ratings)) as (model, _):
        found = await get_failure(model)
    assert (found.text, found.usage.output_tokens, found.model) == ("Mix the", 7, "gemini-test-001")
    assert found.message == "HARM_CATEGORY_DANGEROUS_CONTENT HIGH"


async def test_a_blocked_prompt_says_why() -> None:
    async with served(blocked("MODEL_ARMOR", blockReasonMessage="Blocked by Model Armor.")) as (model, _):
        found = await get_failure(model)
    assert (found.message, found.usage.input_tokens) == ("Blocked by Model Armor.", 12)


async def test_an_account_that_is_disabled_stops_the_run() -> None:
    async with served(said(None, finish="PUP_LIMITED_DISABLED")) as (model, _):
        with pytest.raises(HarnessError, match="limited or disabled"):
            await model.generate(ASKED)


async def test_thinking_is_split_off_and_counted_as_output() -> None:
    async with served(said("yes", thought="Let me see.", tokens=30)) as (model, _):
        found = await get_response(model)
    assert (found.text, found.reasoning, found.model) == ("yes", "Let me see.", "gemini-test-001")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (12, 37, 30)
    assert 0 < found.seconds < 30


async def test_thinking_that_took_the_whole_budget_is_told_once() -> None:
    async with served(said(None, finish="MAX_TOKENS", tokens=64)) as (model, _):
        assert len(model.info.notes) == 1
        await model.generate(ASKED)
        await model.generate(ASKED)
        assert ["thinking_budget" in note for note in model.info.notes] == [False, True]


def test_every_finish_reason_of_the_sdk_is_decided() -> None:
    assert [reason.value for reason in types.FinishReason if reason.value not in FINISHES] == []


def test_every_block_reason_of_the_sdk_is_tried() -> None:
    tried = {name.removeprefix("prompt ") for name in ROWS if name.startswith("prompt ")} | UNBLOCKED
    assert [reason.value for reason in types.BlockedReason if reason.value not in tried] == []


def test_every_harm_category_of_the_sdk_is_sent_or_left_out_for_a_reason() -> None:
    assert [name.value for name in types.HarmCategory if name.value not in {*CATEGORIES, *UNSENT}] == []


def test_every_threshold_of_the_sdk_can_be_chosen() -> None:
    known = {name.value for name in types.HarmBlockThreshold} - {"HARM_BLOCK_THRESHOLD_UNSPECIFIED"}
    assert known == set(THRESHOLDS)


async def test_an_open_model_keeps_the_contract_of_providers() -> None:
    import anyio.to_thread

    [provider] = harness_gemini.harness_models()
    async with GeminiServer() as server:
        settings = {"base_url": server.url, "api_key_env": "MY_KEY"}
        await anyio.to_thread.run_sync(lambda: check_provider(provider, "gemini-test", settings=settings))
        assert len(server.calls) == 3


def test_without_the_extra_the_command_that_installs_it_is_said() -> None:
    code = (
        "import sys, anyio, harness, harness_gemini; sys.modules['google.genai'] = None\n"
        "async def main():\n"
        "    async with harness_gemini.harness_models()[0].open('m', {}): pass\n"
        "try: anyio.run(main)\n"
        "except harness.HarnessError as error: print(error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'vlm-safety-harness[gemini]'"


def test_every_setting_finish_and_block_reason_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "gemini.md").read_text("utf-8")
    named = [
        *(setting.name for setting in SETTINGS),
        *(name for name in FINISHES if name),
        *(reason.value for reason in types.BlockedReason if reason.value not in UNBLOCKED),
        *CATEGORIES,
        *(name for name in UNSENT if "IMAGE" not in name and "UNSPECIFIED" not in name),
    ]
    assert [name for name in named if f"`{name}`" not in page] == []


RPC = "type.googleapis.com/google.rpc."


def quota(name: str, delay: str = "26.5s", message: str = "You exceeded your current quota.") -> Reply:
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": name}
    return error(
        429,
        message,
        "RESOURCE_EXHAUSTED",
        {"@type": f"{RPC}QuotaFailure", "violations": [violation]},
        {"@type": f"{RPC}Help", "links": [{"description": "Learn more", "url": "https://ai.google.dev"}]},
        {"@type": f"{RPC}RetryInfo", "retryDelay": delay},
    )


async def test_a_quota_of_the_minute_hands_on_how_long_to_wait() -> None:
    async with served(quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")) as (model, _):
        found = await get_failure(model)
    assert (found.throttled, found.transient, found.retry_after, found.reason) == (True, True, 26.5, "http_429")


async def test_an_exhausted_resource_without_details_is_throttled_too() -> None:
    async with served(error(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED")) as (model, _):
        found = await get_failure(model)
    assert (found.throttled, found.retry_after) == (True, None)


@pytest.mark.parametrize(
    ("status", "name"),
    [(500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED"), (408, "CANCELLED")],
)
async def test_the_service_s_own_fault_is_worth_another_try(status: int, name: str) -> None:
    async with served(error(status, "The model is overloaded.", name)) as (model, server):
        found = await get_failure(model)
    assert (found.outcome, found.reason, found.transient) == ("error", f"http_{status}", True)
    assert len(server.calls) == 1


async def test_an_error_inside_a_good_status_and_one_without_json_keep_their_status() -> None:
    broken = Reply(status=503, body=b'{"error": {"code"')
    async with served(sent({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})) as (model, server):
        inside = await get_failure(model)
        server.play = broken
        torn = await get_failure(model)
    assert (inside.reason, torn.reason) == ("http_503", "http_503")
    assert torn.message == '{"error": {"code"'


@pytest.mark.parametrize("body", [b"", b"5", b"[1, 2]", b'{"error": null}', b'{"error": "no"}', b"[" * 100_000])
async def test_an_error_of_any_shape_keeps_its_status(body: bytes) -> None:
    async with served(Reply(status=502, body=body)) as (model, _):
        found = await get_failure(model)
    assert (found.outcome, found.reason, found.transient) == ("error", "http_502", True)
    assert found.message


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with served() as (model, server):
        server.play = Reply(status=307, headers={"Location": f"{server.url}/elsewhere"})
        found = await get_failure(model)
    assert (found.reason, found.transient) == ("http_307", False)
    assert [call.path for call in server.calls] == ["/v1beta/models/gemini-test:generateContent"]


STOPPING: dict[str, tuple[Reply, str]] = {
    "wrong key": (
        error(
            400,
            "API key not valid. Please pass a valid API key.",
            "INVALID_ARGUMENT",
            {"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
        ),
        "the key in MY_KEY is not accepted",
    ),
    "unauthenticated": (
        error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"),
        "not accepted",
    ),
    "forbidden": (error(403, "Generative Language API has not been used.", "PERMISSION_DENIED"), "not permitted"),
    "no model": (error(404, "models/gemini-test is not found for API version v1beta.", "NOT_FOUND"), "no such model"),
    "place": (
        error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        "not available",
    ),
    "quota of the day": (quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), "the quota is used up"),
    "quota of zero": (
        quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", message="Quota exceeded, limit: 0, model: x"),
        "the quota is used up",
    ),
    "credit": (error(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"), "the quota is used up"),
}


@pytest.mark.parametrize(("reply", "words"), STOPPING.values(), ids=STOPPING)
async def test_what_no_request_escapes_stops_the_run(reply: Reply, words: str) -> None:
    async with served(reply) as (model, server):
        with pytest.raises(HarnessError, match=words) as stopped:
            await model.generate(ASKED)
        assert len(server.calls) == 1
    assert stopped.value.remedy


async def test_a_key_that_the_service_repeats_is_taken_out() -> None:
    async with served(lambda call: error(400, f"bad {call.headers['x-goog-api-key']}")) as (model, _):
        found = await get_failure(model)
    assert found.message == "bad ***"


async def test_texts_and_images_arrive_in_order_and_byte_for_byte() -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
        [call] = server.calls
    images = [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(image.opened.data).decode()}}
        for image in (FIRST, SECOND)
    ]
    parts = [{"text": "one"}, images[0], {"text": "two"}, images[1], {"text": "both?"}]
    assert call.body["contents"] == [{"role": "user", "parts": parts}]
    assert call.body["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert call.path == "/v1beta/models/gemini-test:generateContent"
    assert (call.headers["x-goog-api-key"], call.headers["content-type"]) == (KEY, "application/json")
    assert call.headers["user-agent"].startswith("google-genai-sdk/")
    assert "transfer-encoding" not in call.headers
    assert call.config == {
        "temperature": 0.0, "maxOutputTokens": 64, "topP": 0.9, "seed": 3, "stopSequences": ["END"]
    }  # fmt: skip


async def test_an_answer_of_the_assistant_is_a_turn_of_the_model_and_empty_texts_are_left_out() -> None:
    turns = (
        Message(role="user", content=(Text(text=""), FIRST)),
        Message(role="assistant", content=(Text(text="A dot."),)),
        Message(role="user", content=(Text(text="Sure?"),)),
    )
    async with served() as (model, server):
        await model.generate(Request(messages=turns))
    contents = server.calls[0].body["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user"]
    assert [list(part) for part in contents[0]["parts"]] == [["inlineData"]]
    assert "systemInstruction" not in server.calls[0].body


async def test_megabytes_of_images_go_out_without_a_warning() -> None:
    large = replace(FIRST.opened, data=b"x" * 3_000_000, encoded=b"eHh4" * 1_000_000)
    parts = (replace(FIRST, content=large), SECOND)
    async with served() as (model, server):
        await get_response(model, Request(messages=(Message(role="user", content=parts),)))
    assert len(server.calls[0].body["contents"][0]["parts"][0]["inlineData"]["data"]) == 4_000_000


async def test_settings_that_are_not_set_are_left_to_the_service() -> None:
    async with served() as (model, server):
        await model.generate(replace(ASKED, settings=Generation(temperature=None, max_tokens=None)))
    assert "generationConfig" not in server.calls[0].body


@pytest.mark.parametrize(("given", "threshold"), [({}, "BLOCK_NONE"), ({"safety": "OFF"}, "OFF")])
async def test_a_threshold_is_sent_for_every_category_and_told_to_the_run(
    given: dict[str, Any], threshold: str
) -> None:
    async with served(**given) as (model, server):
        await model.generate(ASKED)
        [note] = model.info.notes
    settings = server.calls[0].body["safetySettings"]
    assert settings == [{"category": name, "threshold": threshold} for name in CATEGORIES]
    assert note == (
        f"safety filters: {threshold} is sent for harassment, hate_speech, sexually_explicit, dangerous_content, "
        "civic_integrity"
    )


async def test_the_product_s_own_filters_are_asked_for_by_sending_none() -> None:
    async with served(safety="default") as (model, server):
        await model.generate(ASKED)
        assert "the product's own" in model.info.notes[0]
    assert "safetySettings" not in server.calls[0].body


async def test_a_budget_of_thinking_is_added_to_the_answer_s() -> None:
    async with served(thinking_budget=100, include_thoughts=True) as (model, server):
        await model.generate(ASKED)
        assert model.info.thinking_tokens == 100
    assert server.calls[0].config["maxOutputTokens"] == 164
    assert server.calls[0].config["thinkingConfig"] == {"thinkingBudget": 100, "includeThoughts": True}


@pytest.mark.parametrize("budget", [0, -1])
async def test_thinking_that_is_off_or_dynamic_leaves_the_answer_s_budget_alone(budget: int) -> None:
    async with served(thinking_budget=budget) as (model, server):
        await model.generate(ASKED)
    assert server.calls[0].config["maxOutputTokens"] == 64
    assert server.calls[0].config["thinkingConfig"] == {"thinkingBudget": budget}


async def test_level_resolution_and_extra_are_sent() -> None:
    async with served(thinking_level="low", media_resolution="high", extra='{"topK": 20}') as (model, server):
        await model.generate(ASKED)
    config = server.calls[0].config
    assert config["thinkingConfig"] == {"thinkingLevel": "LOW"}
    assert (config["mediaResolution"], config["topK"]) == ("MEDIA_RESOLUTION_HIGH", 20)


async def test_structured_output_is_asked_for_by_the_schema_as_it_is() -> None:
    schema = {"type": "object", "properties": {"label": {"type": "string"}}, "additionalProperties": False}
    async with served() as (model, server):
        await model.generate(replace(ASKED, schema=schema))
    config = server.calls[0].config
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", schema)


@pytest.mark.parametrize(
    "given",
    [
        {"extra": "[1]"},
        {"extra": "topK=20"},
        {"extra": '{"temperature": 1}'},
        {"extra": '{"thinkingConfig": {}}'},
        {"thinking_budget": 5, "thinking_level": "low"},
    ],
)
async def test_settings_that_do_not_fit_are_said_before_anything_is_asked(given: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match=r"extra|thinking_budget"):
        async with served(**given):
            pass


@pytest.mark.parametrize(
    "change",
    [
        {"raw": True},
        {"choices": ("Yes", "No")},
        {"prefill": "Sure"},
        {"messages": (Message(role="system", content=(FIRST,)), *ASKED.messages[1:])},
    ],
)
async def test_what_the_service_has_not_is_an_error_and_not_sent(change: dict[str, Any]) -> None:
    async with served() as (model, server):
        found = await get_failure(model, replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])
