"""Which service a Gemini model is asked at, with which key, whatever the environment says; and Vertex AI."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness import HarnessError, Model, Response
from tests.plugins.gemini_asking import ASKED, opened, served
from tests.plugins.gemini_serving import GeminiServer, error

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]
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
    ("name", "value", "words"),
    [
        ("GOOGLE_GENAI_USE_VERTEXAI", "true", "vertex_project"),
        ("GOOGLE_GENAI_USE_ENTERPRISE", "1", "vertex_project"),
        ("GOOGLE_GEMINI_BASE_URL", "https://elsewhere.example", "base_url"),
    ],
)
async def test_a_variable_that_would_change_the_service_must_be_named(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-google")
    with pytest.raises(HarnessError, match=f"{name} is set") as stopped:
        async with opened():
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
    with pytest.raises(HarnessError, match="not the name of a model"):
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
    folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncGenerator[tuple[Model, GeminiServer]]:
    async with GeminiServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(folder, server)))
        async with opened(base_url=server.url, **PLACE, **settings) as model:
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
    async with GeminiServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(tmp_path, server)))
        async with opened("projects/lab/locations/us-central1/endpoints/7", base_url=server.url, **PLACE) as model:
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
        ({**PLACE, "api_key_env": "MY_KEY"}, "not with a key"),
    ],
)
async def test_settings_of_vertex_ai_that_do_not_fit_are_said(given: dict[str, str], words: str) -> None:
    with pytest.raises(HarnessError, match=words):
        async with opened(**given):
            pass


async def test_vertex_ai_s_own_address_in_the_environment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "https://elsewhere.example")
    with pytest.raises(HarnessError, match="GOOGLE_VERTEX_BASE_URL is set"):
        async with opened(**PLACE):
            pass
