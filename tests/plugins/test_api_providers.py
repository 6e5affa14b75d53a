"""What the providers of APIs promise alike: `openai`, `anthropic` and `gemini`, each with its SDK over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness_anthropic.provider
import harness_gemini.provider
import harness_openai.provider
import pytest

from harness import HarnessError, Message, Request, Response
from harness.testing import faults, messages
from harness.testing.faults import Reply, Row
from harness.testing.messages import MessagesServer
from harness.testing.server import Call, ChatServer
from harness.types import Setting
from tests.plugins import anthropic_asking, gemini_asking, openai_asking
from tests.plugins.deadlines import never_ending
from tests.plugins.gemini_asking import GeminiServer
from tests.plugins.openai_asking import ASKED, FIRST, SECOND, get_failure, get_response, large

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys", "without_google")]
KEY = "secret-key-1234"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One provider, and the server that plays its vendor's.

    Attributes:
        scheme: of the provider.
        opened: opens a model.
        served: opens a model behind the server.
        server: plays the vendor's.
        host: of the vendor.
        settings: of the provider.
        transport: names of the settings that are no identity.
    """

    scheme: str
    opened: Callable[..., Any]
    served: Callable[..., Any]
    server: Callable[[], Any]
    host: str
    settings: tuple[Setting, ...]
    transport: frozenset[str] = frozenset({"api_key_env", "timeout", "max_reply_mib", "max_images"})

    def url_of(self, server: Any) -> str:
        return str(server.base_url if self.scheme == "openai" else server.url)

    @property
    def variable(self) -> str:
        """What the names of the vendor's environment variables begin with."""
        return self.scheme.upper()


OPENAI = Api(
    scheme="openai",
    opened=openai_asking.opened,
    served=openai_asking.served,
    server=ChatServer,
    host="api.openai.com",
    settings=harness_openai.provider.SETTINGS,
    transport=frozenset(
        {"api_key_env", "organization", "project", "timeout", "max_reply_mib", "max_images", "batch_form"}
    ),
)
ANTHROPIC = Api(
    scheme="anthropic",
    opened=anthropic_asking.opened,
    served=anthropic_asking.served,
    server=MessagesServer,
    host="api.anthropic.com",
    settings=harness_anthropic.provider.SETTINGS,
)
GEMINI = Api(
    scheme="gemini",
    opened=gemini_asking.opened,
    served=gemini_asking.served,
    server=GeminiServer,
    host="generativelanguage.googleapis.com",
    settings=harness_gemini.provider.SETTINGS,
)
every_api = pytest.mark.parametrize("api", [OPENAI, ANTHROPIC, GEMINI], ids=lambda api: api.scheme)
both = pytest.mark.parametrize("api", [OPENAI, ANTHROPIC], ids=lambda api: api.scheme)
NO_EXTRA = ("[1]", "top_k=20", "null", '{"temperature": 1}', '{"stream": true}', '{"model": "m"}', '{"messages": []}')
ROWS = [(OPENAI, row) for row in faults.ROWS] + [(ANTHROPIC, row) for row in messages.ROWS]


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


@pytest.mark.parametrize(("api", "row"), ROWS, ids=[f"{api.scheme} {row.name}" for api, row in ROWS])
async def test_every_reply_ends_in_its_outcome_after_one_attempt(api: Api, row: Row) -> None:
    async with api.served(never_ending(row.reply) if row.endless else row.reply) as (model, server):
        if row.outcome is None:
            with pytest.raises(HarnessError):
                await model.generate(ASKED)
        else:
            found = await model.generate(ASKED)
            if isinstance(found, Response):
                assert ("answered" if found.text else "empty") == row.outcome
                assert found.flags == row.flags
            else:
                assert (found.outcome, found.transient) == (row.outcome, row.transient)
        assert len(server.calls) == 1


@every_api
async def test_a_stall_and_a_lost_connection_are_told_apart(api: Api) -> None:
    async with api.served(never_ending(Reply(fault="stall"))) as (model, server):
        stalled = await get_failure(model)
        server.play = Reply(fault="drop")
        dropped = await get_failure(model)
    assert (stalled.reason, dropped.reason) == ("timeout", "connection")


@every_api
async def test_nobody_listening_is_said_with_the_address(api: Api) -> None:
    async with api.server() as server:
        url = api.url_of(server)
    async with api.opened(base_url=url) as model:
        found = await get_failure(model)
    assert (found.reason, found.transient) == ("connection", True)
    assert url in found.message


# ---- what goes out -----------------------------------------------------------------------------------------------


@both
async def test_texts_and_images_arrive_in_order_and_byte_for_byte(api: Api) -> None:

    def compare(call: Call) -> str:
        return str(call.pictures == (FIRST.opened.data, SECOND.opened.data))

    async with api.served(compare) as (model, server):
        found = await get_response(model)
        [call] = server.calls
    assert found.text == "True"
    assert [(part.role, part.kind) for part in call.parts] == [
        ("system", "text"),
        ("user", "text"),
        ("user", "image"),
        ("user", "text"),
        ("user", "image"),
        ("user", "text"),
    ]
    assert call.images == (FIRST.opened.sha256, SECOND.opened.sha256)
    assert FIRST.opened.sha256 != SECOND.opened.sha256
    assert call.model == "tiny"
    assert call.headers["content-type"] == "application/json"
    assert "transfer-encoding" not in call.headers


@both
async def test_megabytes_of_images_go_out_without_a_warning(api: Api) -> None:
    large = replace(FIRST.opened, data=b"x" * 3_000_000, encoded=b"eHh4" * 1_000_000)
    parts = (replace(FIRST, content=large), SECOND)
    async with api.served() as (model, server):
        await get_response(model, Request(messages=(Message(role="user", content=parts),)))
    assert server.calls[0].images[1] == SECOND.opened.sha256


@both
async def test_an_image_over_the_limit_is_scaled_and_noted(api: Api) -> None:
    async with api.served(max_image_side=100) as (model, server):
        found = await get_response(model, large())
    assert found.notes == ("large.png: scaled from 300x150 to 100x50 (longest side, Lanczos)",)
    assert server.calls[0].images[0] == FIRST.opened.sha256
    assert server.calls[0].images[1] != large().images[1].opened.sha256


@both
async def test_a_file_over_the_limit_is_scaled_too(api: Api) -> None:
    size = len(large().images[1].opened.data)
    async with api.served(max_image_mb=(size - 1) / 1_000_000) as (model, _):
        found = await get_response(model, large())
    assert [note.partition(":")[0] for note in found.notes] == ["large.png"]


@every_api
async def test_a_model_s_number_of_images_is_what_the_user_says(api: Api) -> None:
    for most in (4, 0):
        async with api.opened(base_url="http://127.0.0.1:1/v1", max_images=most) as model:
            assert (model.info.max_images, "images" in model.info.can) == (most, most > 0)


@pytest.mark.parametrize(
    ("api", "extra"),
    [
        *((OPENAI, each) for each in NO_EXTRA),
        *((ANTHROPIC, each) for each in (*NO_EXTRA, '{"tools": []}')),
    ],
)
async def test_extra_must_be_an_object_and_not_what_the_run_records(api: Api, extra: str) -> None:
    with pytest.raises(HarnessError, match="extra"):
        async with api.served(extra=extra):
            pass


# ---- which server is asked, and which key it gets ----------------------------------------------------------------


@every_api
async def test_the_vendor_itself_needs_a_key(api: Api) -> None:
    with pytest.raises(HarnessError, match="no key") as refused:
        async with api.opened():
            pass
    assert refused.value.remedy == f"export {api.variable}_API_KEY=…"


@every_api
async def test_the_vendor_itself_is_asked_if_no_server_is_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{api.variable}_API_KEY", KEY)
    async with api.opened() as model:
        assert model.info.endpoint.startswith(f"{api.host}#")


@both
async def test_the_vendor_s_address_may_be_written_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{api.variable}_API_KEY", KEY)
    async with api.opened() as model, api.opened(base_url=f"https://{api.host}/v1") as same:
        assert same.info.endpoint == model.info.endpoint


@both
@pytest.mark.parametrize(
    ("url", "official"),
    [
        ("https://{host}/v1", True),
        ("https://eu.{host}/v1", True),
        ("https://{host}.example/v1", False),
        ("https://not{host}/v1", False),
        ("https://example/{host}", False),
    ],
)
async def test_only_the_vendor_s_own_servers_want_the_vendor_s_key(api: Api, url: str, official: bool) -> None:
    url = url.format(host=api.host)
    if official:
        with pytest.raises(HarnessError, match="no key"):
            async with api.opened(base_url=url):
                pass
    else:
        async with api.opened(base_url=url) as model:
            assert model.info.ref == f"{api.scheme}/tiny"


@pytest.mark.parametrize(
    ("api", "name"),
    [(OPENAI, "OPENAI_API_KEY"), (ANTHROPIC, "ANTHROPIC_API_KEY"), (ANTHROPIC, "ANTHROPIC_AUTH_TOKEN")],
    ids=["openai", "anthropic", "anthropic's token"],
)
async def test_a_key_that_lies_in_the_environment_is_not_sent_to_another_server(
    api: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, KEY)
    async with api.served() as (model, server):
        await model.generate(ASKED)
    assert KEY not in json.dumps(dict(server.calls[0].headers))
    assert "x-api-key" not in server.calls[0].headers


@both
async def test_a_server_gets_the_key_it_was_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    for other in (f"{api.variable}_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(other, "another-key")
    async with api.served(api_key_env="MY_KEY") as (model, server):
        await model.generate(ASKED)
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"


@both
async def test_a_server_in_the_environment_must_be_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{api.variable}_API_KEY", KEY)
    monkeypatch.setenv(f"{api.variable}_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(HarnessError, match=f"{api.variable}_BASE_URL") as refused:
        async with api.opened():
            pass
    assert "-M base_url=" in refused.value.remedy


@pytest.mark.parametrize(
    ("api", "reply"),
    [
        (OPENAI, faults.wrong_key(KEY)),
        (OPENAI, faults.bad_request(f"bad: {KEY}")),
        (OPENAI, Reply(status=500, body=KEY.encode())),
        (ANTHROPIC, messages.error(401, f"invalid: {KEY}", "authentication_error")),
        (ANTHROPIC, messages.error(400, f"bad: {KEY}")),
        (ANTHROPIC, Reply(status=500, body=KEY.encode())),
        (ANTHROPIC, Reply(body=messages.error(529, f"busy: {KEY}", "overloaded_error").body)),
    ],
)
async def test_a_key_the_server_repeats_is_in_no_message(
    api: Api, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    async with api.served(reply, api_key_env="MY_KEY") as (model, _):
        try:
            found = str(await model.generate(ASKED))
        except HarnessError as stopped:
            found = f"{stopped}"
        assert KEY not in f"{found} {model.info}"
        assert "***" in found


@every_api
async def test_an_endpoint_is_one_server_with_one_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "secret-key-a")
    monkeypatch.setenv("B", "secret-key-b")
    names: list[str] = []
    for url in ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"):
        for key in ("A", "B", "A"):
            async with api.opened(base_url=url, api_key_env=key) as model:
                names.append(model.info.endpoint)
    assert len(set(names)) == 4
    assert "secret" not in " ".join(names)


# ---- the plugin --------------------------------------------------------------------------------------------------


@every_api
def test_every_setting_says_whether_it_is_part_of_the_identity(api: Api) -> None:
    assert {setting.name for setting in api.settings if not setting.identity} == api.transport
    assert all(setting.help for setting in api.settings)


@every_api
def test_every_setting_is_documented(api: Api) -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / f"{api.scheme}.md").read_text("utf-8")
    assert [setting.name for setting in api.settings if f"`{setting.name}`" not in page] == []


@every_api
def test_offering_the_provider_loads_neither_the_sdk_nor_a_client(api: Api) -> None:
    sdks = ("openai", "anthropic", "google", "google.genai", "aiohttp", "httpx", "httpx2", "anyio", "pydantic", "PIL")
    code = (
        f"import sys, harness_{api.scheme}; harness_{api.scheme}.harness_models(); "
        f"print([m for m in {sdks!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
