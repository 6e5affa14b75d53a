"""What VLMEvalKit's classes give when there is no answer, and the outcome it is."""

import json
from typing import Any

import pytest

from harness import Failure, HarnessError, Response
from tests.plugins.vlmeval_asking import answer, asked, failure, opened, zoo

__all__ = ["zoo"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("zoo")]


def completion(content: str | None, finish: str = "stop", **message: Any) -> Any:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"model": "real-name", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


async def said_of(status: int, body: Any) -> Response | Failure:
    async with opened("Served-1") as model:
        return await model.generate(asked(json.dumps([status, body])))


async def test_a_fail_string_is_an_error_and_never_an_answer() -> None:
    async with opened("Habits-1") as model:
        for word in ("fail", "long"):
            said = await failure(model, word)
            assert (said.outcome, said.reason, said.transient) == ("error", "fail_string", True)


async def test_words_of_an_error_in_the_answers_place_are_an_error() -> None:
    async with opened("Habits-1") as model:
        said = await failure(model, "words")
    assert (said.outcome, said.message) == ("error", "Error: the server said no")


async def test_an_empty_answer_is_empty_though_the_class_calls_it_a_failure() -> None:
    async with opened("Habits-1") as model:
        assert (await answer(model, "empty")).text == ""


async def test_a_lost_connection_is_worth_another_try() -> None:
    async with opened("Habits-1") as model:
        said = await failure(model, "raise")
    assert (said.outcome, said.reason, said.transient) == ("error", "ConnectionError", True)
    assert "nobody there" in said.message


async def test_thinking_is_split_off() -> None:
    async with opened("Habits-1") as model:
        said = await answer(model, "<think>hm</think>yes")
    assert (said.text, said.reasoning) == ("yes", "hm")


async def test_what_a_server_says_of_an_answer_is_kept() -> None:
    said = await said_of(200, completion(" cut off ", "length"))
    assert isinstance(said, Response)
    assert (said.text, said.flags, said.model) == ("cut off", {"truncated"}, "real-name")
    assert (said.usage.input_tokens, said.usage.output_tokens) == (5, 2)


async def test_a_refusal_that_the_class_can_not_read_is_the_answer() -> None:
    said = await said_of(200, completion(None, refusal="I will not."))
    assert isinstance(said, Response)
    assert (said.text, said.flags) == ("I will not.", {"refusal"})


async def test_an_answer_that_a_filter_stopped_is_blocked() -> None:
    said = await said_of(200, completion("half of it", "content_filter"))
    assert isinstance(said, Failure)
    assert (said.outcome, said.text) == ("output_blocked", "half of it")


async def test_a_prompt_that_a_filter_refused_is_blocked_and_any_other_400_is_an_error() -> None:
    blocked = await said_of(400, {"error": {"code": "content_filter", "message": "no"}})
    other = await said_of(400, {"error": {"code": "bad", "message": "too long"}})
    assert isinstance(blocked, Failure)
    assert isinstance(other, Failure)
    assert (blocked.outcome, other.outcome, other.reason) == ("input_blocked", "error", "http_400")


async def test_a_server_that_asks_to_slow_down_is_heard() -> None:
    said = await said_of(429, {"error": {"message": "slower"}})
    assert isinstance(said, Failure)
    assert (said.throttled, said.retry_after, said.transient) == (True, 7.0, True)


async def test_a_key_that_is_refused_ends_the_run() -> None:
    with pytest.raises(HarnessError, match="refuses: wrong key"):
        await said_of(401, {"error": {"message": "wrong key"}})


@pytest.mark.parametrize(
    ("word", "reason"), [("raise", "RuntimeError"), ("exit", "SystemExit"), ("nothing", "no_answer")]
)
async def test_what_a_local_class_raises_fails_its_sample_alone(word: str, reason: str) -> None:
    async with opened("Local-7B") as model:
        said = await failure(model, word)
        assert (said.outcome, said.reason, said.transient) == ("error", reason, False)
        assert (await answer(model, "main")).text == "True"
