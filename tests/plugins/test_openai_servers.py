"""Which server the `openai` provider asks, and which key it gets."""

from __future__ import annotations

import json

import pytest

from harness import HarnessError, Response
from harness.testing.faults import Reply, bad_request, wrong_key
from harness.testing.server import ChatServer
from tests.plugins.openai_asking import ASKED, opened, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]


KEY = "secret-key-1234"


async def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(HarnessError, match="no key") as refused_:
        async with opened():
            pass
    assert "OPENAI_API_KEY" in refused_.value.remedy


async def test_openai_itself_is_asked_where_no_server_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with opened() as model, opened(base_url="https://api.openai.com/v1") as same:
        assert model.info.endpoint.startswith("api.openai.com#")
        assert same.info.endpoint == model.info.endpoint


@pytest.mark.parametrize(
    ("url", "official"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com.example/v1", False),
        ("https://notapi.openai.com/v1", False),
        ("https://example/api.openai.com", False),
    ],
)
async def test_only_openai_s_own_servers_want_openai_s_key(url: str, official: bool) -> None:
    if official:
        with pytest.raises(HarnessError, match="no key"):
            async with opened(base_url=url):
                pass
    else:
        async with opened(base_url=url) as model:
            assert model.info.ref == "openai/tiny"


async def test_a_key_that_lies_in_the_environment_is_not_sent_to_another_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with served() as (model, server):
        await model.generate(ASKED)
    assert KEY not in json.dumps(dict(server.calls[0].headers))


async def test_a_server_gets_the_key_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "another-key")
    async with served(api_key_env="MY_KEY") as (model, server):
        await model.generate(ASKED)
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_server_in_the_environment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(HarnessError, match="OPENAI_BASE_URL") as refused_:
        async with opened():
            pass
    assert "-M base_url=" in refused_.value.remedy


@pytest.mark.parametrize("reply", [wrong_key(KEY), bad_request(f"bad: {KEY}"), Reply(status=500, body=KEY.encode())])
async def test_a_key_the_server_repeats_is_in_no_message(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    async with served(reply, api_key_env="MY_KEY") as (model, _):
        try:
            found = str(await model.generate(ASKED))
        except HarnessError as stopped:
            found = f"{stopped}"
        assert KEY not in f"{found} {model.info}"
        assert "***" in found


async def test_an_endpoint_is_one_server_with_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "secret-key-a")
    monkeypatch.setenv("B", "secret-key-b")
    names: list[str] = []
    for url in ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"):
        for key in ("A", "B", "A"):
            async with opened(base_url=url, api_key_env=key) as model:
                names.append(model.info.endpoint)
    assert len(set(names)) == 4
    assert "secret" not in " ".join(names)


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
