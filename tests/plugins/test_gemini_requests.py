"""What goes out to a Gemini model: texts and images in order, settings, safety thresholds, thinking."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from harness_gemini.request import CATEGORIES

from harness import Failure, Generation, HarnessError, Message, Request, Response, Text
from tests.plugins.gemini_asking import ASKED, FIRST, KEY, SECOND, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]


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
        found = await model.generate(Request(messages=(Message(role="user", content=parts),)))
    assert isinstance(found, Response)
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
        assert "those of the product" in model.info.notes[0]
    assert "safetySettings" not in server.calls[0].body


async def test_a_budget_of_thinking_is_added_to_the_answer_s() -> None:
    async with served(thinking_budget=100, include_thoughts=True) as (model, server):
        await model.generate(ASKED)
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
        found = await model.generate(replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert isinstance(found, Failure)
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])
