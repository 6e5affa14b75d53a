"""Presets: a row for each well-known server, over real HTTP, and whose key goes where."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import harness_openai
import PIL.Image
import pytest
from harness_openai.servers import SERVERS, VENDOR, Server, key_env

from harness import HarnessError, Message, Request, Response
from harness.http.status import ApiError, find_unsupported
from harness.images import inline_image, open_image
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply, error
from harness.testing.server import Call, ChatServer
from tests.plugins.openai_asking import (
    ASKED,
    FIRST,
    PROVIDERS,
    body_of,
    get_failure,
    get_response,
    large,
    opened,
    served,
)

pytestmark = pytest.mark.anyio
REMOTE = [server for server in SERVERS if server.key_env]
LOCAL = [server for server in SERVERS if not server.key_env]
KEYS = {server.key_env: f"secret-of-{server.scheme}" for server in (VENDOR, *REMOTE)}


def each(servers: list[Server]) -> Any:
    return pytest.mark.parametrize("server", servers, ids=lambda server: server.scheme)


@pytest.fixture(autouse=True)
def every_key(without_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of each vendor in the environment, and what else OpenAI's SDK reads there."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setenv("OPENAI_ORG_ID", "secret-organization")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "secret-project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: secret-header\nAuthorization: Bearer secret-authorization")


def test_the_presets_are_those_the_docs_promise() -> None:
    assert [server.scheme for server in REMOTE] == [
        "openrouter", "together", "fireworks", "groq", "mistral", "xai", "deepseek", "dashscope",
    ]  # fmt: skip
    assert [server.scheme for server in LOCAL] == ["ollama", "lmstudio", "sglang", "vllm-server"]


@each(list(SERVERS))
def test_a_preset_keeps_the_contract_of_a_provider(server: Server) -> None:
    provider = PROVIDERS[server.scheme]
    check_provider(provider)
    assert provider.base == "openai"
    assert not {"azure_endpoint", "organization"} & {setting.name for setting in provider.settings}
    assert server.base_url in provider.description
    assert server.key_env in provider.description


@each(REMOTE)
async def test_a_vendor_is_asked_at_its_own_address_with_its_own_key(server: Server) -> None:
    async with opened("a/b", server.scheme) as model, opened("c", "openai", base_url=server.base_url) as same:
        assert model.info.ref == f"{server.scheme}/a/b"
        assert same.info.endpoint == model.info.endpoint, "two schemes at one server share its slots"
    assert key_env(server.base_url) == server.key_env
    assert server.base_url.startswith("https://")


@each(REMOTE)
async def test_a_vendor_without_its_key_is_refused_with_the_name_of_the_variable(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(server.key_env)
    with pytest.raises(HarnessError, match="there is no key for ") as refused:
        async with opened("x", server.scheme):
            pass
    assert refused.value.remedy == f"export {server.key_env}=…"


@each(LOCAL)
async def test_a_local_server_is_asked_on_this_machine_without_a_key(server: Server) -> None:
    assert server.base_url.startswith("http://127.0.0.1:")
    async with opened("x", server.scheme) as model:
        assert model.info.ref == f"{server.scheme}/x"
        assert not model.info.local, "it is the server that holds the accelerator"


@each(list(SERVERS))
async def test_no_key_in_the_environment_goes_to_a_server_it_is_not_for(server: Server) -> None:
    async with ChatServer() as other, opened("x", server.scheme, base_url=other.base_url) as model:
        assert isinstance(await model.generate(Request(messages=ASKED.messages[:1])), Response)
    (call,) = other.calls
    assert "secret" not in json.dumps(dict(call.headers))


@each(list(SERVERS))
async def test_a_server_at_another_address_gets_the_key_that_is_named_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "my-own-key")
    settings = {"api_key_env": "MY_KEY", "max_images": 2}
    async with ChatServer() as other, opened("x/y", server.scheme, base_url=other.base_url, **settings) as model:
        assert isinstance(await model.generate(ASKED), Response)
    (call,) = other.calls
    assert (call.path, call.model) == ("/v1/chat/completions", "x/y")
    assert call.headers["authorization"] == "Bearer my-own-key"
    assert "secret" not in json.dumps(dict(call.headers))
    seed = "random_seed" if server.scheme == "mistral" else "seed"
    assert body_of(call) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, seed: 3, "stop": ["END"]}


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://eu.api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://eu.openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
        ("https://me.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
        ("https://bucket.oss-cn-beijing.aliyuncs.com/v1", ""),
        ("https://dashscope.aliyuncs.com.example/v1", ""),
        ("https://notopenrouter.ai/api/v1", ""),
        ("https://example/openrouter.ai", ""),
        ("https://openrouter.ai@example/api/v1", ""),
        ("http://127.0.0.1:8000/v1", ""),
        ("no address", ""),
    ],
)
def test_a_key_belongs_to_the_hosts_of_one_vendor(url: str, variable: str) -> None:
    assert key_env(url) == variable


def test_no_host_belongs_to_two_vendors() -> None:
    for server in (VENDOR, *REMOTE):
        for host in server.hosts or (server.base_url.split("/")[2],):
            assert [other.scheme for other in (VENDOR, *REMOTE) if other.owns(f"https://{host}")] == [server.scheme]


async def test_deepseek_takes_no_images() -> None:
    async with opened("deepseek-chat", "deepseek") as model:
        assert model.info.max_images == 0
        assert "images" not in model.info.can


@pytest.mark.parametrize(("scheme", "most"), [("groq", 5), ("mistral", 8), ("fireworks", 30), ("openrouter", None)])
async def test_a_preset_says_how_many_images_a_request_may_hold(scheme: str, most: int | None) -> None:
    async with opened("x", scheme) as model:
        assert model.info.max_images == most
    async with opened("x", scheme, max_images=3) as model:
        assert model.info.max_images == 3


@pytest.mark.parametrize(("scheme", "megabytes"), [("groq", 4), ("fireworks", 10), ("dashscope", 2 * 10)])
def test_two_images_of_the_largest_size_fit_into_a_request(scheme: str, megabytes: int) -> None:
    """Limits are said of the base64, of which three bytes make four; for DashScope of each image."""
    (size,) = [setting.default for setting in PROVIDERS[scheme].settings if setting.name == "max_image_mb"]
    assert 2 * size * 4 / 3 <= megabytes


async def test_an_image_over_a_presets_limit_is_scaled_and_said() -> None:
    async with served(scheme="groq", max_image_side=100) as (model, _):
        said = await get_response(model, large())
    assert said.notes


async def test_xai_gets_a_png_of_an_image_of_another_type() -> None:
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").save(file, "WEBP", lossless=True)
    webp = open_image(inline_image("moved.webp", file.getvalue()))
    asked = Request(messages=(Message(role="user", content=(FIRST, webp)),))
    for scheme, expected in (("xai", "image/png"), ("together", "image/webp")):
        async with ChatServer() as server, opened("x", scheme, base_url=server.base_url) as model:
            said = await get_response(model, asked)
            assert bool(said.notes) == (scheme == "xai")
        sent = server.calls[0].parts
        assert sent[0].value == FIRST.opened.sha256, "what is taken is sent byte for byte"
        assert (sent[1].value == webp.opened.sha256) == (expected == "image/webp")


async def test_a_refused_seed_is_dropped_under_the_name_it_was_sent_by() -> None:
    body = {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "random_seed"]}]}}

    def play(call: Call) -> str | Reply:
        return Reply(status=422, body=json.dumps(body).encode()) if "random_seed" in call.parameters else "ok"

    async with served(play, scheme="mistral") as (model, _):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"seed"}


@pytest.mark.parametrize(
    "body",
    [
        {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: stop"},
        {"code": "invalid-argument", "error": "Model grok-4.6 does not support parameter stop."},
    ],
)
def test_both_ways_in_which_xai_refuses_a_parameter_are_heard(body: dict[str, str]) -> None:
    assert find_unsupported(ApiError.read(body), {"stop", "seed", "max_tokens"}) == "stop"


BLOCKS: dict[str, tuple[int, Any]] = {
    "openrouter": (
        403,
        {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "x", "reasons": ["violence"]}}},
    ),
    "xai": (403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY"}),
    "deepseek": (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
    "dashscope": (
        400,
        {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}},
    ),
}


@pytest.mark.parametrize("scheme", BLOCKS)
async def test_a_vendors_filter_is_a_block_and_no_error(scheme: str) -> None:
    status, body = BLOCKS[scheme]
    reply = Reply(status=status, body=json.dumps(body).encode())
    async with served(reply, scheme=scheme, max_images=2) as (model, _):
        said = await get_failure(model, replace(ASKED, messages=ASKED.messages[:1]))
    assert (said.outcome, said.reason) == ("input_blocked", "content_filter")


async def test_openrouters_routing_goes_out_as_it_was_given() -> None:
    routing = {"provider": {"order": ["deepinfra"], "allow_fallbacks": False, "require_parameters": True}}
    async with served(scheme="openrouter", extra=json.dumps(routing)) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
    assert body_of(server.calls[0])["provider"] == routing["provider"]


async def test_a_model_that_no_provider_of_openrouter_has_stops_the_run() -> None:
    gone = error(404, "No endpoints found that support image input")
    async with served(gone, scheme="openrouter") as (model, _):
        with pytest.raises(HarnessError, match="No endpoints found"):
            await model.generate(ASKED)


def test_openai_comes_first_and_each_preset_has_a_scheme_of_its_own() -> None:
    schemes = [provider.scheme for provider in harness_openai.harness_models()]
    assert schemes[0] == "openai"
    assert len(schemes) == len(set(schemes)) == 1 + len(SERVERS)
