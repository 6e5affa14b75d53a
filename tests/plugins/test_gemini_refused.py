"""Gemini: which service is asked and with which key, and what a model or the environment refuses."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import PIL.Image
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness import Failure, HarnessError, Message, Model, Request, Response
from harness.images import inline_image, open_image
from tests.plugins.gemini_asking import ASKED, FIRST, Asked, GeminiServer, Play, error, opened, said, served
from tests.plugins.openai_asking import get_failure, get_response

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
        found = await get_failure(model)
        assert model.info.dropped == frozenset()
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
        found = await get_response(model, asking("PNG"))
    assert found.notes == ("0.png: scaled from 300x150 to 100x50 (longest side, Lanczos)",)


async def test_a_type_the_service_does_not_take_becomes_a_png() -> None:
    async with served() as (model, server):
        found = await get_response(model, asking("GIF", "WEBP", "BMP", "JPEG"))
    assert found.notes == ("0.gif: image/gif sent as image/png", "2.bmp: image/bmp sent as image/png")
    assert mimes(server.calls[0]) == ["image/png", "image/png", "image/webp", "image/png", "image/jpeg"]


async def test_images_that_are_too_much_together_get_an_equal_share() -> None:
    request = asking("PNG", "PNG")
    whole = sum(len(image.opened.encoded) for image in request.images)
    async with served(max_request_mb=(whole - 1) / 1_000_000) as (model, server):
        found = await get_response(model, request)
    assert [note.partition(":")[0] for note in found.notes] == ["0.png", "1.png"]
    sizes = [len(part["inlineData"]["data"]) for part in server.calls[0].body["contents"][0]["parts"]]
    assert sum(sizes) < whole


async def test_with_resizing_off_an_image_over_a_limit_is_an_error_and_not_sent() -> None:
    async with served(resize="off", max_image_mb=0.0001) as (model, server):
        found = await get_failure(model, asking("PNG"))
    assert (found.outcome, found.reason, server.calls) == ("error", "image_too_large", [])


PLACE = {"vertex_project": "lab", "vertex_location": "europe-west4"}


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
async def test_google_s_key_is_for_google_and_not_for_just_any_server(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "AIza-google")
    async with opened() as model:
        assert model.info.endpoint.startswith("generativelanguage.googleapis.com#")
    async with GeminiServer() as server, opened(base_url=server.url) as model:
        await model.generate(ASKED)
    assert server.calls[0].headers["x-goog-api-key"] == "none"


async def test_a_gateway_s_path_and_version_are_kept() -> None:
    async with GeminiServer() as server, opened(base_url=f"{server.url}/google/", api_version="v1") as model:
        await model.generate(ASKED)
    assert server.calls[0].path == "/google/v1/models/gemini-test:generateContent"


@pytest.mark.parametrize(
    ("name", "value", "words", "given"),
    [
        ("GOOGLE_GENAI_USE_VERTEXAI", "true", "vertex_project", {}),
        ("GOOGLE_GENAI_USE_ENTERPRISE", "1", "vertex_project", {}),
        ("GOOGLE_GEMINI_BASE_URL", "https://elsewhere.example", "base_url", {}),
        ("GOOGLE_VERTEX_BASE_URL", "https://elsewhere.example", "base_url", PLACE),
    ],
)
async def test_a_variable_that_would_change_the_service_must_be_named(
    name: str, value: str, words: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-google")
    with pytest.raises(HarnessError, match=f"{name} is set") as stopped:
        async with opened(**given):
            pass
    assert words in stopped.value.remedy


async def test_no_other_variable_of_the_sdk_changes_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
        plain = server.calls[0]
    for name, value in {
        "GOOGLE_GENAI_USE_VERTEXAI": "false",
        "GOOGLE_GEMINI_BASE_URL": "https://elsewhere.example",
        "GOOGLE_VERTEX_BASE_URL": "https://elsewhere.example",
        "GOOGLE_GENAI_API_VERSION": "v1alpha",
        "GOOGLE_CLOUD_PROJECT": "another",
        "GOOGLE_CLOUD_LOCATION": "mars",
        "GOOGLE_API_KEY": "AIza-another",
        "GOOGLE_GENAI_CLIENT_MODE": "replay",
        "GOOGLE_GENAI_REPLAYS_DIRECTORY": "/nowhere",
        "GOOGLE_GENAI_REPLAY_ID": "x",
    }.items():
        monkeypatch.setenv(name, value)
    async with served() as (model, server):
        await model.generate(ASKED)
        [call] = server.calls
    assert (call.path, call.body) == (plain.path, plain.body)
    assert call.headers["x-goog-api-key"] == plain.headers["x-goog-api-key"]


@pytest.mark.parametrize("name", ["a/../b", "a?key=1", "a b"])
async def test_what_is_no_name_of_a_model_is_said_before_it_is_asked(name: str) -> None:
    with pytest.raises(HarnessError, match="not a model name"):
        async with opened(name, base_url="http://127.0.0.1:1"):
            pass


def account(folder: Path, server: GeminiServer) -> Path:
    """The file of a service account whose tokens come from the server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    file = folder / "account.json"
    said = {
        "type": "service_account",
        "project_id": "another",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "harness@lab.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }
    file.write_text(json.dumps(said), "utf-8")
    return file


@asynccontextmanager
async def vertex(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "gemini-test"
) -> AsyncGenerator[tuple[Model, GeminiServer]]:
    async with GeminiServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(folder, server)))
        async with opened(name, base_url=server.url, **PLACE) as model:
            yield model, server


async def test_vertex_ai_is_asked_at_its_project_and_place_with_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-not-for-vertex")
    async with vertex(tmp_path, monkeypatch) as (model, server):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    call = server.calls[0]
    place = "/v1beta1/projects/lab/locations/europe-west4"
    assert call.path == f"{place}/publishers/google/models/gemini-test:generateContent"
    assert call.headers["authorization"] == "Bearer token-of-the-account"
    assert "x-goog-api-key" not in call.headers
    assert [len(call.body["contents"][0]["parts"]), len(call.body["safetySettings"])] == [5, 5]
    assert (len(server.calls), server.logins) == (2, 1)


async def test_a_model_of_vertex_ai_can_be_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vertex(tmp_path, monkeypatch, "projects/lab/locations/us-central1/endpoints/7") as (model, server):
        await model.generate(ASKED)
    assert server.calls[0].path == "/v1beta1/projects/lab/locations/us-central1/endpoints/7:generateContent"


async def test_a_large_file_is_scaled_at_vertex_ai_and_not_at_the_gemini_api() -> None:
    from harness_gemini.messages import image_limit

    values = {"max_image_mb": None, "max_request_mb": 100.0, "max_image_side": None}
    assert image_limit(ASKED, values, vertex=True).size == 7_000_000
    assert image_limit(ASKED, values, vertex=False).size is None


async def test_without_credentials_the_command_that_gets_them_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(HarnessError, match="no Google Cloud credentials") as stopped:
        async with opened(**PLACE):
            pass
    assert "gcloud auth application-default login" in stopped.value.remedy


async def test_credentials_that_are_not_accepted_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with GeminiServer() as server:
        file = account(tmp_path, server)
        file.write_text(file.read_text("utf-8").replace("/token", "/revoked"), "utf-8")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        async with opened(base_url=server.url, **PLACE) as model:
            with pytest.raises(HarnessError, match="credentials are not accepted") as stopped:
                await model.generate(ASKED)
    assert "gcloud auth" in stopped.value.remedy
    assert server.calls == []


async def test_a_token_that_is_refused_names_the_credentials_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vertex(tmp_path, monkeypatch) as (model, server):
        server.play = error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED")
        with pytest.raises(HarnessError, match="the credentials are not accepted") as stopped:
            await model.generate(ASKED)
    assert "gcloud auth" in stopped.value.remedy


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vertex_project": "lab"}, "both"),
        ({"vertex_location": "global"}, "both"),
        ({**PLACE, "api_key_env": "MY_KEY"}, "not a key"),
    ],
)
async def test_settings_of_vertex_ai_that_do_not_fit_are_said(given: dict[str, str], words: str) -> None:
    with pytest.raises(HarnessError, match=words):
        async with opened(**given):
            pass
