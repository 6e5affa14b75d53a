"""Messages and answers in the form of Chat Completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.http import Reply, chat, encode
from harness.http.addresses import Address
from harness.images import inline_image, open_image
from harness.testing.fakes import PIXEL
from harness.types import Failure, Generation, Image, Message, Request, Response, Text

WHERE = Address(url="https://models.example/v1", key="secret-key-1")


def image(name: str = "a.png") -> Image:
    return open_image(inline_image(name, PIXEL))


def sent(request: Request, **options: Any) -> Any:
    return json.loads(bytes(encode(chat.messages(request, **options))))


def read(payload: Any, **options: Any) -> Response | Failure:
    return chat.answer(Reply(payload=payload, where=WHERE, seconds=2.0), **options)


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
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}}
    found = read(completion({"content": "yes"}, usage=usage), notes=("scaled",))
    assert isinstance(found, Response)
    assert (found.text, found.model, found.seconds, found.notes, found.flags) == (
        "yes",
        "m-1",
        2.0,
        ("scaled",),
        frozenset[str](),
    )
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (9, 5, 2)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"completion_tokens": "many"}, [1], 3])
def test_odd_usage_counts_as_nothing(usage: Any) -> None:
    found = read(completion({"content": "yes"}, usage=usage))
    assert found.usage.output_tokens == 0


def test_length_is_flagged_and_a_refusal_is_the_text() -> None:
    found = read(completion({"content": None, "refusal": "I will not."}, "length"))
    assert isinstance(found, Response)
    assert (found.text, found.flags) == ("I will not.", frozenset({"truncated", "refusal"}))


@pytest.mark.parametrize("message", [{"content": ""}, {"content": None}, {"role": "assistant"}, {"content": []}])
def test_no_text_is_an_empty_answer(message: Any) -> None:
    found = read(completion(message))
    assert isinstance(found, Response)
    assert found.text == ""


@pytest.mark.parametrize("finish", ["content_filter", "sensitive"])
def test_a_filtered_answer_is_blocked_and_keeps_its_partial_text_and_usage(finish: str) -> None:
    found = read(completion({"content": "Mix"}, finish, usage={"completion_tokens": 1}))
    assert isinstance(found, Failure)
    assert (found.outcome, found.text, found.usage.output_tokens, found.model) == ("output_blocked", "Mix", 1, "m-1")


def test_a_filtered_answer_may_lack_its_message() -> None:
    found = read({"choices": [{"finish_reason": "content_filter"}]})
    assert isinstance(found, Failure)
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
    found = read(completion(message))
    assert isinstance(found, Response)
    assert (found.text, found.reasoning) == (text, thought)


def test_think_tags_stay_where_they_are_wanted() -> None:
    found = read(completion({"content": "<think>hm</think>yes"}), think_tags=False)
    assert isinstance(found, Response)
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
    found = read(payload)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "wrong_shape", True)


@pytest.mark.parametrize("finish", ["error", "network_error", "insufficient_system_resource"])
def test_a_server_that_broke_off_is_an_error_worth_another_try(finish: str) -> None:
    found = read(completion({"content": "half an ans"}, finish))
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "upstream", True)


def test_an_error_inside_a_good_status_counts_by_its_own_code() -> None:
    found = read({"error": {"code": 429, "message": "slow down, secret-key-1"}})
    assert isinstance(found, Failure)
    assert (found.reason, found.throttled, found.message) == ("http_429", True, "slow down, ***")
    found = read({"choices": [{"error": {"code": 502, "message": "gone"}, "finish_reason": "error"}]})
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("http_502", True)
    found = read({"error": {"message": "something"}})
    assert isinstance(found, Failure)
    assert found.transient


def test_a_filter_inside_a_good_status_blocks() -> None:
    found = read({"error": {"code": "content_filter", "message": "no"}})
    assert isinstance(found, Failure)
    assert found.outcome == "input_blocked"


def test_a_dead_quota_inside_a_good_status_stops_the_run() -> None:
    with pytest.raises(HarnessError, match="quota"):
        read({"error": {"code": 402, "message": "more credits"}})
