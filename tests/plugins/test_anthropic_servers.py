"""Which server the `anthropic` provider asks, and which key it gets."""

from __future__ import annotations

import json

import pytest

from harness import HarnessError, Response
from harness.testing.faults import Reply
from harness.testing.messages import error
from tests.plugins.anthropic_asking import ASKED, opened, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]
KEY = "secret-key-1234"


async def test_anthropic_itself_needs_a_key() -> None:
    with pytest.raises(HarnessError, match="no key") as refused:
        async with opened():
            pass
    assert "ANTHROPIC_API_KEY" in refused.value.remedy


async def test_anthropic_itself_is_asked_where_no_server_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with opened() as model, opened(base_url="https://api.anthropic.com/v1") as same:
        assert model.info.endpoint.startswith("api.anthropic.com#")
        assert same.info.endpoint == model.info.endpoint


@pytest.mark.parametrize(
    ("url", "official"),
    [
        ("https://api.anthropic.com", True),
        ("https://eu.api.anthropic.com", True),
        ("https://api.anthropic.com.example", False),
        ("https://notapi.anthropic.com", False),
        ("https://example/api.anthropic.com", False),
    ],
)
async def test_only_anthropic_s_own_servers_want_anthropic_s_key(url: str, official: bool) -> None:
    if official:
        with pytest.raises(HarnessError, match="no key"):
            async with opened(base_url=url):
                pass
    else:
        async with opened(base_url=url) as model:
            assert model.info.ref == "anthropic/tiny"


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_a_key_that_lies_in_the_environment_is_not_sent_to_another_server(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, KEY)
    async with served() as (model, server):
        await model.generate(ASKED)
    assert KEY not in json.dumps(dict(server.calls[0].headers))
    assert "x-api-key" not in server.calls[0].headers


async def test_a_login_of_the_sdk_s_own_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "a-profile-that-is-not-there")
    async with served() as (model, _):
        assert isinstance(await model.generate(ASKED), Response)


async def test_a_server_gets_the_key_it_was_given_under_both_names_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    async with served(api_key_env="MY_KEY") as (model, server):
        await model.generate(ASKED)
    headers = server.calls[0].headers
    assert (headers["authorization"], headers["x-api-key"]) == (f"Bearer {KEY}", KEY)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_an_address_may_end_in_the_version_as_those_of_other_apis_do(ending: str) -> None:
    async with served() as (_, server), opened(base_url=f"{server.url}{ending}") as model:
        assert isinstance(await model.generate(ASKED), Response)
    assert [call.path for call in server.calls] == ["/v1/messages"]


async def test_a_server_in_the_environment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(HarnessError, match="ANTHROPIC_BASE_URL") as refused:
        async with opened():
            pass
    assert "-M base_url=" in refused.value.remedy


async def test_headers_in_the_environment_which_no_run_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"authorization: Bearer {KEY}")
    with pytest.raises(HarnessError, match="ANTHROPIC_CUSTOM_HEADERS"):
        async with served():
            pass


@pytest.mark.parametrize(
    "reply",
    [
        error(401, f"invalid: {KEY}", "authentication_error"),
        error(400, f"bad: {KEY}"),
        Reply(status=500, body=KEY.encode()),
        Reply(body=error(529, f"busy: {KEY}", "overloaded_error").body),
    ],
)
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
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        for key in ("A", "B", "A"):
            async with opened(base_url=url, api_key_env=key) as model:
                names.append(model.info.endpoint)
    assert len(set(names)) == 4
    assert "secret" not in " ".join(names)
