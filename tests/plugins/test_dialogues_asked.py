"""A dialogue over images through each provider: what goes out in its last turn, and what a real model makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness import Image, Message, Request, Response, Sample, Text
from harness.evaluation.conversation import ask
from tests.plugins import anthropic_asking, gemini_asking, openai_asking
from tests.plugins.hf_asking import GREEDY, MINI, by_hand, opened, picture

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]
FIRST, SECOND = openai_asking.FIRST, openai_asking.SECOND


def say(*parts: Image | str, role: Any = "user") -> Message:
    return Message(role=role, content=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def dialogue(first: Image, second: Image) -> Sample:
    """An image on the first and on the last turn; the second reply is given."""
    return Sample(
        id="d",
        split="all",
        request=Request(messages=(say("be brief", role="system"), say(first, "one?")), settings=GREEDY),
        turns=(say("two?"), say("given", role="assistant"), say("three?", second)),
    )


async def test_chat_completions_get_the_replies_as_turns_of_the_assistant() -> None:
    async with openai_asking.served("said") as (model, server):
        result = await ask(model, dialogue(FIRST, SECOND))
    assert isinstance(result, Response)
    assert result.steps == {"turn-1": "said"}
    assert result.usage.input_tokens == 2 * 12
    assert [(part.role, part.kind) for part in server.calls[-1].parts] == [
        ("system", "text"), ("user", "image"), ("user", "text"), ("assistant", "text"), ("user", "text"),
        ("assistant", "text"), ("user", "text"), ("user", "image"),
    ]  # fmt: skip
    assert [part.value for part in server.calls[-1].parts if part.role == "assistant"] == ["said", "given"]
    assert len(server.calls) == 2


async def test_claude_gets_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    async with anthropic_asking.served("said") as (model, server):
        result = await ask(model, dialogue(FIRST, SECOND))
    assert isinstance(result, Response)
    roles = [(part.role, part.kind) for part in server.calls[-1].parts]
    assert roles[-5:] == [
        ("assistant", "text"), ("user", "text"), ("assistant", "text"), ("user", "text"), ("user", "image"),
    ]  # fmt: skip


async def test_gemini_gets_them_as_turns_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", gemini_asking.KEY)
    async with gemini_asking.served() as (model, server):
        result = await ask(model, dialogue(FIRST, SECOND))
    assert isinstance(result, Response), result
    contents = server.calls[-1].body["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user", "model", "user"]
    assert [sorted(part) for part in contents[-1]["parts"]] == [["text"], ["inlineData"]]


async def test_a_local_model_is_sent_what_its_own_chat_template_makes_of_the_conversation(tiny_vlm: str) -> None:
    star, ring = picture("star"), picture("ring", "blue")
    vision = "<|vision_start|><|image_pad|><|vision_end|>"
    turn = "<|im_start|>{}\n{}<|im_end|>\n"
    head = turn.format("system", "be brief") + turn.format("user", f"{vision}one?")
    async with opened(tiny_vlm) as model:
        result = await ask(model, dialogue(star, ring))
    assert isinstance(result, Response)
    first = by_hand(tiny_vlm, head + "<|im_start|>assistant\n", [star])
    assert result.steps == {"turn-1": first}
    said = [("assistant", first), ("user", "two?"), ("assistant", "given")]
    later = "".join(turn.format(role, text) for role, text in said)
    last = turn.format("user", f"three?{vision}") + "<|im_start|>assistant\n"
    assert result.text == by_hand(tiny_vlm, head + later + last, [star, ring])


async def test_a_trained_model_answers_the_last_turn_about_its_own_image() -> None:
    star, ring = picture("star", "red"), picture("ring", "blue")
    question = "What does the image show?"
    sample = Sample(
        id="d",
        split="all",
        request=Request(messages=(say(star, question),), settings=replace(GREEDY, max_tokens=40)),
        turns=(say(ring, question),),
    )
    async with opened(MINI) as model:
        result = await ask(model, sample)
    assert isinstance(result, Response)
    assert result.steps == {"turn-1": "The image shows a red star."}
    assert result.usage.output_tokens > 10
