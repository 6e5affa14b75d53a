"""Parameters that a Gemini model refuses, errors of the service, and images over its limits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
import PIL.Image
import pytest

from harness import Failure, HarnessError, Message, Request, Response
from harness.images import inline_image, open_image
from tests.plugins.gemini_asking import ASKED, FIRST, served
from tests.plugins.gemini_serving import Asked, Play, error, said

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}


def without(**refused: str) -> Play:
    """A model that takes none of these fields of generationConfig, and says so in these words."""
    return lambda call: next((error(400, words) for name, words in refused.items() if name in call.config), said())


@pytest.mark.parametrize(
    ("name", "field", "words"),
    [
        ("temperature", "temperature", "temperature is not supported by this model."),
        ("top_p", "topP", "Unsupported parameter: top_p"),
        (
            "seed",
            "seed",
            "Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': Cannot find field.",
        ),
        ("stop", "stopSequences", "Stop sequences are not enabled for models/gemini-test"),
        ("max_tokens", "maxOutputTokens", "max_output_tokens is not supported"),
    ],
)
async def test_a_refused_parameter_is_left_out_at_once_and_for_good(name: str, field: str, words: str) -> None:
    async with served(without(**{field: words})) as (model, server):
        assert model.info.dropped == frozenset()
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {name}
        assert isinstance(await model.generate(ASKED), Response)
    assert [field in call.config for call in server.calls] == [True, False, False]


async def test_many_calls_that_hear_refusals_together_learn_each_once() -> None:
    play = without(seed="seed is not supported", temperature="temperature is not supported")
    async with served(play) as (model, server), anyio.create_task_group() as calls:
        for _ in range(16):
            calls.start_soon(model.generate, ASKED)
    assert model.info.dropped == {"seed", "temperature"}
    assert len(server.calls) <= 16 * 3
    assert sum(set(call.config) == {"topP", "maxOutputTokens", "stopSequences"} for call in server.calls) == 16


@pytest.mark.parametrize(
    "words",
    [
        "Unable to submit request because it has a maxOutputTokens value of 99 but the supported range is from 1",
        "Unable to process input image. Please retry or report in https://example.org",
        "Request contains an invalid argument.",
    ],
)
async def test_a_bad_value_is_an_error_and_teaches_nothing(words: str) -> None:
    async with served(error(400, words)) as (model, server):
        found = await model.generate(ASKED)
        assert model.info.dropped == frozenset()
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient, found.message) == ("error", "http_400", False, words)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "words",
    [
        "JSON mode is not enabled for models/gemma-3-27b-it",
        "Invalid JSON payload received. Unknown name \"responseJsonSchema\" at 'generation_config': Cannot find field.",
        "The specified schema produces a constraint that has too many states for serving.",
    ],
)
async def test_a_model_without_structured_output_is_asked_without_it(words: str) -> None:
    async with served(without(responseJsonSchema=words)) as (model, server):
        assert "schema" in model.info.can
        assert isinstance(await model.generate(replace(ASKED, schema=SCHEMA)), Response)
        assert "schema" not in model.info.can
        await model.generate(replace(ASKED, schema=SCHEMA))
        assert model.info.dropped == frozenset()
    assert ["responseMimeType" in call.config for call in server.calls] == [True, False, False]


@pytest.mark.parametrize(
    "words",
    [
        "safety_settings[4]: element predicate failed: $.category in (HarmCategory.HARM_CATEGORY_HATE_SPEECH)",
        "HARM_CATEGORY_CIVIC_INTEGRITY is not supported",
    ],
)
async def test_only_the_category_that_is_no_longer_filtered_is_left_out_where_it_is_refused(words: str) -> None:
    async with served(lambda call: error(400, words) if len(call.body["safetySettings"]) > 4 else said()) as (model, _):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.notes[0].endswith("sexually_explicit, dangerous_content")


async def test_another_refused_category_is_an_error() -> None:
    words = "* GenerateContentRequest.safety_settings[1]: element predicate failed"
    async with served(error(400, words)) as (model, server):
        assert isinstance(await model.generate(ASKED), Failure)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("words", "given", "remedy"),
    [
        ("Developer instruction is not enabled for models/gemma-3-27b-it", {}, "--system"),
        ("Image input modality is not enabled for models/gemma-3-1b-it", {}, "max_images=0"),
        ("User has requested a restricted HarmBlockThreshold setting BLOCK_NONE.", {}, "safety="),
        ("Thinking level is not supported for this model.", {"thinking_level": "low"}, "thinking"),
        ("Budget 0 is invalid. This model only works in thinking mode.", {"thinking_budget": 0}, "thinking"),
        ("Penalty is not enabled for models/gemini-test", {"extra": '{"presencePenalty": 1}'}, "leave it out"),
        ("media_resolution is not supported", {"media_resolution": "low"}, "leave it out"),
    ],
)
async def test_what_the_user_asked_for_and_the_model_refuses_stops_the_run(
    words: str, given: Mapping[str, Any], remedy: str
) -> None:
    async with served(error(400, words), **given) as (model, server):
        with pytest.raises(HarnessError, match="the model refuses") as stopped:
            await model.generate(ASKED)
        assert len(server.calls) == 1
    assert remedy in stopped.value.remedy


def asking(*forms: str, side: int = 300) -> Request:
    images = [FIRST]
    for number, form in enumerate(forms):
        file = io.BytesIO()
        PIL.Image.linear_gradient("L").resize((side, side // 2)).save(file, form)
        images.append(open_image(inline_image(f"{number}.{form.lower()}", file.getvalue())))
    return Request(messages=(Message(role="user", content=tuple(images)),))


def mimes(call: Asked) -> list[str]:
    return [part["inlineData"]["mimeType"] for part in call.body["contents"][0]["parts"]]


async def test_an_image_over_the_side_is_scaled_and_noted() -> None:
    async with served(max_image_side=100) as (model, _):
        found = await model.generate(asking("PNG"))
    assert isinstance(found, Response)
    assert found.notes == ("0.png: scaled from 300x150 to 100x50 (longest side, Lanczos)",)


async def test_a_type_the_service_does_not_take_becomes_a_png() -> None:
    async with served() as (model, server):
        found = await model.generate(asking("GIF", "WEBP", "BMP", "JPEG"))
    assert isinstance(found, Response)
    assert found.notes == ("0.gif: image/gif sent as image/png", "2.bmp: image/bmp sent as image/png")
    assert mimes(server.calls[0]) == ["image/png", "image/png", "image/webp", "image/png", "image/jpeg"]


async def test_images_that_are_too_much_together_get_an_equal_share() -> None:
    request = asking("PNG", "PNG")
    whole = sum(len(image.opened.encoded) for image in request.images)
    async with served(max_request_mb=(whole - 1) / 1_000_000) as (model, server):
        found = await model.generate(request)
    assert isinstance(found, Response)
    assert [note.partition(":")[0] for note in found.notes] == ["0.png", "1.png"]
    sizes = [len(part["inlineData"]["data"]) for part in server.calls[0].body["contents"][0]["parts"]]
    assert sum(sizes) < whole


async def test_with_resizing_off_an_image_over_a_limit_is_an_error_and_not_sent() -> None:
    async with served(resize="off", max_image_mb=0.0001) as (model, server):
        found = await model.generate(asking("PNG"))
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, server.calls) == ("error", "image_too_large", [])


@pytest.mark.parametrize(("most", "sees"), [(4, True), (0, False)])
async def test_a_model_s_number_of_images_is_what_the_user_says(most: int, sees: bool) -> None:
    async with served(max_images=most) as (model, _):
        assert (model.info.max_images, "images" in model.info.can) == (most, sees)
