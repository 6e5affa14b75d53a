"""Status codes and chat answers: which outcome each becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.http import Reply, chat, encode
from harness.http.settings import Address
from harness.http.status import ApiError, failure, find_unsupported, retry_after
from harness.images import inline_image, open_image
from harness.testing.fakes import PIXEL
from harness.types import Failure, Generation, Image, Message, Request, Response, Text, Usage

WHERE = Address(url="https://models.example/v1", key="secret-key-1", key_env="EXAMPLE_KEY")


def refused(status: int, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure(status, headers, ApiError.of(raw), WHERE)


def openai(message: str, code: Any = None, kind: str | None = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def anthropic(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    details = {"error_code": code} if code else None
    return {"type": "error", "error": {"type": kind, "message": message, "details": details}, "request_id": "req_1"}


FILTERS: dict[str, tuple[int, Any]] = {
    "openai": (400, openai("Your request was rejected as a result of our safety system.", "content_policy_violation")),
    "openai images": (400, openai("Your request was rejected by the safety system.", "moderation_blocked")),
    "openai reasoning": (
        400,
        openai("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt"),
    ),
    "azure": (
        400,
        openai(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            "content_filter",
            None,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
        ),
    ),
    "azure, inner code alone": (
        400,
        openai("Filtered.", None, None, innererror={"code": "ResponsibleAIPolicyViolation"}),
    ),
    "moonshot": (400, openai("The request was rejected because it was considered high risk", None, "content_filter")),
    "dashscope": (
        400,
        openai("Input data may contain inappropriate content.", "data_inspection_failed", "data_inspection_failed"),
    ),
    "volcengine": (400, openai("The request failed.", "InputImageSensitiveContentDetected", "BadRequest")),
    "gateway": (400, openai("input contains sensitive words", "sensitive_words_detected", "new_api_error")),
    "deepseek": (400, openai("Content Exists Risk", "invalid_request_error")),
    "deepseek, plain": (400, {"detail": "Content Exists Risk"}),
    "xai": (
        403,
        {
            "code": "permission-denied",
            "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
        },
    ),
    "openrouter": (
        403,
        {"error": {"code": 403, "message": "Input was flagged", "metadata": {"flagged_input": "x", "reasons": ["y"]}}},
    ),
}


@pytest.mark.parametrize(("status", "body"), FILTERS.values(), ids=FILTERS)
def test_a_filter_that_says_so_blocks_the_input(status: int, body: Any) -> None:
    found = refused(status, body)
    assert (found.outcome, found.reason, found.transient) == ("input_blocked", "content_filter", False)


@pytest.mark.parametrize(
    "body",
    [
        openai("Output data may contain inappropriate content.", "data_inspection_failed"),
        anthropic("Output blocked by content filtering policy"),
    ],
)
def test_a_filter_that_speaks_of_the_output_blocks_the_output(body: Any) -> None:
    assert refused(400, body).outcome == "output_blocked"


@pytest.mark.parametrize(
    "body",
    [
        openai("Invalid image.", "invalid_image_format"),
        openai("Invalid prompt: too long.", "invalid_prompt"),
        openai("Unknown word in 'Content Exists Risk, says the user'.", "invalid_value"),
        anthropic("text: 'Your credit balance is too low' is no prompt"),
        openai("max_tokens is too large: 100000.", "invalid_value", param="max_tokens"),
        {"object": "error", "message": "maximum context length is 4096 tokens", "type": "BadRequestError", "code": 400},
        b"<html>Bad Request</html>",
        b"",
        b"[]",
    ],
)
def test_any_other_400_is_a_final_error_and_never_a_block(body: Any) -> None:
    found = refused(400, body)
    assert (found.outcome, found.reason, found.transient) == ("error", "http_400", False)
    assert found.message


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529])
def test_a_passing_status_is_worth_another_try(status: int) -> None:
    found = refused(status, b"upstream timed out")
    assert (found.outcome, found.reason) == ("error", f"http_{status}")
    assert (found.transient, found.throttled) == (True, status == 529)


@pytest.mark.parametrize("status", [405, 413, 415, 422, 302])
def test_other_statuses_are_final(status: int) -> None:
    assert not refused(status, b"no").transient


def test_a_429_slows_down_and_hands_the_wait_on() -> None:
    found = refused(429, openai("Rate limit reached", "rate_limit_exceeded", "requests"), **{"Retry-After": "7"})
    assert (found.transient, found.throttled, found.retry_after) == (True, True, 7.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_read_in_seconds_milliseconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, now=100.0) == seconds


STOPS: dict[str, tuple[int, Any, str]] = {
    "wrong key": (401, openai("Incorrect API key provided: secret-key-1.", "invalid_api_key"), "EXAMPLE_KEY"),
    "azure key": (401, {"error": {"code": "401", "message": "Access denied."}}, "EXAMPLE_KEY"),
    "not allowed": (403, openai("Country not supported", "unsupported_country_region_territory"), "EXAMPLE_KEY"),
    "no model": (404, openai("The model `x` does not exist", "model_not_found"), "model's name"),
    "no deployment": (404, {"error": {"code": "DeploymentNotFound", "message": "does not exist"}}, "model's name"),
    "no address": (404, b"404 page not found", "/v1"),
    "no model as a 400": (400, openai("unknown model", "model_not_found"), "model's name"),
    "no quota": (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "credit"),
    "no quota by type": (429, openai("You exceeded your current quota", None, "insufficient_quota"), "credit"),
    "no balance": (402, openai("Insufficient Balance", "invalid_request_error"), "credit"),
    "no credit as a 400": (
        400,
        anthropic("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
        "credit",
    ),
    "limit of the user's own": (
        400,
        anthropic("You have reached your specified API usage limits. You will regain access on 2026-04-01."),
        "credit",
    ),
    "limit of the contract": (
        429,
        anthropic("Limit reached.", "rate_limit_error", "contract_spend_limit_reached"),
        "credit",
    ),
    "account on hold": (400, anthropic("Disabled.", code="organization_on_hold"), "EXAMPLE_KEY"),
}


@pytest.mark.parametrize(("status", "body", "remedy"), STOPS.values(), ids=STOPS)
def test_where_nothing_will_work_the_run_stops_with_a_remedy(status: int, body: Any, remedy: str) -> None:
    with pytest.raises(HarnessError) as stopped:
        refused(status, body)
    assert remedy in stopped.value.remedy
    assert WHERE.url in stopped.value.where
    assert WHERE.key not in str(stopped.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_was_asked_without_a_key_is_not_said_to_refuse_one(status: int) -> None:
    with pytest.raises(HarnessError, match="asked without a key and refuses: who are you") as stopped:
        failure(status, {}, ApiError(message="who are you?"), Address(url="http://127.0.0.1:1"))
    assert "-M api_key_env=" in stopped.value.remedy


def test_a_message_holds_no_key_no_line_break_and_not_a_whole_page() -> None:
    body = openai(f"bad key {WHERE.key}, sk-abcdefgh1234 and Bearer abc.def\n" + "x" * 5000)
    message = refused(400, body).message
    assert WHERE.key not in message
    assert "abcdefgh" not in message
    assert "abc.def" not in message
    assert "\n" not in message
    assert len(message) < 600


def test_words_of_the_provider_behind_a_gateway_are_kept() -> None:
    body = {"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": "out of memory"}}}
    assert refused(502, body).message == "Provider returned error: out of memory"


def test_an_error_in_a_list_is_read() -> None:
    assert refused(400, [{"error": {"code": 400, "message": "Bad image", "status": "INVALID"}}]).message == "Bad image"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"null", b"7", b'"text"', b'{"error": null}', b'{"error": 3}', b"\xff\xfe"]
)
def test_no_error_body_however_odd_raises(body: bytes) -> None:
    assert refused(500, body).reason == "http_500"


SENT = ("temperature", "top_p", "seed", "stop", "max_tokens")
SAID: dict[str, tuple[Any, str | None]] = {
    "code and param": ({"error": {"message": "no", "code": "unsupported_parameter", "param": "stop"}}, "stop"),
    "param and words": ({"error": {"message": "It is not supported.", "param": "seed.value"}}, "seed"),
    "in quotes": ({"error": {"message": "Unsupported value: 'seed' does not support 3 with this model."}}, "seed"),
    "in backticks": ({"error": {"message": "`temperature` is deprecated for this model."}}, "temperature"),
    "bare, at the start": ({"error": {"message": "temperature is deprecated for this model."}}, "temperature"),
    "a validator's": ({"message": "litellm: 400: temperature: Extra inputs are not permitted"}, "temperature"),
    "a validator's, deeper": ({"message": "a: b: seed.value: Extra inputs are not permitted"}, "seed"),
    "after argument": ({"message": "Unrecognized request argument supplied: max_tokens"}, "max_tokens"),
    "a validator's list": ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}, "seed"),
    "a bad value": ({"error": {"message": "'max_tokens' is too large: 100000"}}, None),
    "a range": ({"error": {"message": "temperature: range: 0..1"}}, None),
    "another parameter": ({"error": {"message": "Unsupported parameter: 'logprobs'"}}, None),
    "a part of another": ({"error": {"message": "'stop_sequences' is not supported"}}, None),
    "a word of a prompt": ({"error": {"message": "Unsupported image. Please stop and mind the temperature."}}, None),
}


@pytest.mark.parametrize(("body", "name"), SAID.values(), ids=SAID)
def test_only_a_sentence_that_names_a_parameter_and_says_so_counts(body: Any, name: str | None) -> None:
    assert find_unsupported(ApiError.read(body), SENT) == name


def image(name: str = "a.png") -> Image:
    return open_image(inline_image(name, PIXEL))


def sent(request: Request, **options: Any) -> Any:
    return json.loads(bytes(encode(chat.messages(request, **options))))


def read(payload: Any, **options: Any) -> Response | Failure:
    return chat.answer(Reply(payload=payload, where=WHERE, seconds=2.0), **options)


def read_response(payload: Any, **options: Any) -> Response:
    found = read(payload, **options)
    assert isinstance(found, Response)
    return found


def read_failure(payload: Any) -> Failure:
    found = read(payload)
    assert isinstance(found, Failure)
    return found


def completion(message: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "finish_reason": finish, "message": message}], **more}


def test_texts_and_images_keep_their_places() -> None:
    parts = (Text(text="first"), image(), Text(text="then"), image(), Text(text="why?"))
    [turn] = sent(Request(messages=(Message(role="user", content=parts),)), detail="high")
    assert [part["type"] for part in turn["content"]] == ["text", "image_url", "text", "image_url", "text"]
    assert turn["content"][1]["image_url"]["url"] == f"data:image/png;base64,{image().opened.encoded.decode()}"
    assert turn["content"][3]["image_url"]["detail"] == "high"


def test_a_lone_text_is_sent_as_a_string_for_servers_without_vision() -> None:
    turns = (Message(role="system", content=(Text(text="be brief"),)), Message(role="user", content=(Text(text="q"),)))
    assert sent(Request(messages=turns)) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "q"},
    ]


def test_a_lone_surrogate_in_a_data_set_can_be_sent() -> None:
    [turn] = sent(Request(messages=(Message(role="user", content=(Text(text="a\ud800ü"),)),)))
    assert turn["content"] == "a\ud800ü"


def test_only_settings_that_are_set_are_sent() -> None:
    assert chat.sampling(Generation(temperature=None, max_tokens=5, stop=("END",))) == {
        "max_tokens": 5,
        "stop": ["END"],
    }
    assert chat.sampling(Generation(temperature=0.0, max_tokens=None, seed=0)) == {"temperature": 0.0, "seed": 0}


def test_an_answer_comes_with_usage_model_time_and_notes() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 2},
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    }
    found = read_response(completion({"content": "yes"}, usage=usage), notes=("scaled",))
    assert (found.text, found.model, found.seconds, found.notes, found.flags) == (
        "yes",
        "m-1",
        2.0,
        ("scaled",),
        frozenset[str](),
    )
    assert found.usage == Usage(
        input_tokens=9, output_tokens=5, reasoning_tokens=2, cache_read_tokens=4, cache_write_tokens=3
    )


def test_deepseeks_own_name_of_cached_tokens_is_read() -> None:
    found = read_response(completion({"content": "yes"}, usage={"prompt_tokens": 9, "prompt_cache_hit_tokens": 8}))
    assert found.usage == Usage(input_tokens=9, cache_read_tokens=8)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"completion_tokens": "many"}, [1], 3])
def test_odd_usage_counts_as_nothing(usage: Any) -> None:
    found = read(completion({"content": "yes"}, usage=usage))
    assert found.usage.output_tokens == 0


def test_length_is_flagged_and_a_refusal_is_the_text() -> None:
    found = read_response(completion({"content": None, "refusal": "I will not."}, "length"))
    assert (found.text, found.flags) == ("I will not.", frozenset({"truncated", "refusal"}))


@pytest.mark.parametrize("message", [{"content": ""}, {"content": None}, {"role": "assistant"}, {"content": []}])
def test_no_text_is_an_empty_answer(message: Any) -> None:
    found = read_response(completion(message))
    assert found.text == ""


@pytest.mark.parametrize("finish", ["content_filter", "sensitive"])
def test_a_filtered_answer_is_blocked_and_keeps_its_partial_text_and_usage(finish: str) -> None:
    found = read_failure(completion({"content": "Mix"}, finish, usage={"completion_tokens": 1}))
    assert (found.outcome, found.text, found.usage.output_tokens, found.model) == ("output_blocked", "Mix", 1, "m-1")


def test_a_filtered_answer_may_lack_its_message() -> None:
    found = read_failure({"choices": [{"finish_reason": "content_filter"}]})
    assert found.outcome == "output_blocked"


@pytest.mark.parametrize(
    ("message", "text", "thought"),
    [
        ({"content": "yes", "reasoning_content": "hm"}, "yes", "hm"),
        ({"content": "yes", "reasoning": "hm"}, "yes", "hm"),
        ({"content": "<think>\nhm\n</think>\n\nyes"}, "yes", "hm"),
        ({"content": "  <think>hm"}, "", "hm"),
        ({"content": "I <think>hm</think> yes"}, "I <think>hm</think> yes", ""),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]}, "yes", ""),
    ],
)
def test_reasoning_is_split_off(message: Any, text: str, thought: str) -> None:
    found = read_response(completion(message))
    assert (found.text, found.reasoning) == (text, thought)


def test_think_tags_stay_where_they_are_wanted() -> None:
    found = read_response(completion({"content": "<think>hm</think>yes"}), think_tags=False)
    assert found.text == "<think>hm</think>yes"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{"text": "x"}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": {"0": {"message": {"content": "x"}}}},
    ],
)
def test_json_that_is_no_completion_is_an_error_worth_another_try(payload: Any) -> None:
    found = read_failure(payload)
    assert (found.outcome, found.reason, found.transient) == ("error", "wrong_shape", True)


@pytest.mark.parametrize("finish", ["error", "network_error", "insufficient_system_resource"])
def test_a_server_that_broke_off_is_an_error_worth_another_try(finish: str) -> None:
    found = read_failure(completion({"content": "half an ans"}, finish))
    assert (found.outcome, found.reason, found.transient) == ("error", "upstream", True)


def test_an_error_inside_a_good_status_counts_by_its_own_code() -> None:
    found = read_failure({"error": {"code": 429, "message": "slow down, secret-key-1"}})
    assert (found.reason, found.throttled, found.message) == ("http_429", True, "slow down, ***")
    found = read_failure({"choices": [{"error": {"code": 502, "message": "gone"}, "finish_reason": "error"}]})
    assert (found.reason, found.transient) == ("http_502", True)
    found = read_failure({"error": {"message": "something"}})
    assert found.transient


def test_a_filter_inside_a_good_status_blocks() -> None:
    found = read_failure({"error": {"code": "content_filter", "message": "no"}})
    assert found.outcome == "input_blocked"


def test_a_dead_quota_inside_a_good_status_stops_the_run() -> None:
    with pytest.raises(HarnessError, match="quota"):
        read({"error": {"code": 402, "message": "more credits"}})
