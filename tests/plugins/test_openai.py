"""The `openai` provider: the real SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import harness_openai
import PIL.Image
import pytest
from harness_openai.dialect import refused

from harness import Failure, Generation, HarnessError, Message, Model, Request, Response, Text
from harness.http.status import Complaint
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.calls import Call
from harness.testing.fakes import PIXEL
from harness.testing.faults import ROWS, Reply, Row, answer, bad_request, error, throttled, unsupported, wrong_key
from harness.testing.server import ChatServer, in_turn

pytestmark = pytest.mark.anyio
KEY = "secret-key-1234"
FIRST = open_image(inline_image("first.png", PIXEL))
SECOND = open_image(inline_image("second.png", PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]))
ASKED = Request(
    messages=(
        Message(role="system", content=(Text(text="be brief"),)),
        Message(role="user", content=(Text(text="one"), FIRST, Text(text="two"), SECOND, Text(text="both?"))),
    ),
    settings=Generation(temperature=0.0, max_tokens=64, top_p=0.9, seed=3, stop=("END",)),
)
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def opened(name: str = "tiny", **settings: Any) -> AsyncIterator[Model]:
    [provider] = harness_openai.harness_models()
    async with provider.open(name, effective(provider.settings, settings, owner="provider openai")) as model:
        yield model


@asynccontextmanager
async def served(play: Any = "ok", **settings: Any) -> AsyncIterator[tuple[Model, ChatServer]]:
    async with ChatServer(play) as server, opened(base_url=server.base_url, **settings) as model:
        yield model, server


def body_of(call: Call) -> dict[str, Any]:
    return dict(call.parameters)


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_reply_ends_in_its_outcome_after_one_attempt(row: Row) -> None:
    timeout = 0.3 if row.endless else 30.0
    async with served(row.reply, timeout=timeout) as (model, server):
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


async def test_an_answer_carries_usage_the_reported_model_and_its_time() -> None:
    async with served(answer("yes", reasoning="hm", reasoning_tokens=4)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.reasoning, found.model) == ("yes", "hm", "test-model-2026-01-01")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (12, 7, 4)
    assert 0 < found.seconds < 30


async def test_a_blocked_answer_keeps_what_was_said() -> None:
    async with served(answer("Mix the", finish="content_filter")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.text, found.usage.output_tokens) == ("Mix the", 7)


async def test_a_stall_and_a_lost_connection_are_told_apart() -> None:
    async with served(Reply(fault="stall"), timeout=0.3) as (model, server):
        stalled = await model.generate(ASKED)
        server.play = Reply(fault="drop")
        dropped = await model.generate(ASKED)
    assert isinstance(stalled, Failure)
    assert isinstance(dropped, Failure)
    assert (stalled.reason, dropped.reason) == ("timeout", "connection")


async def test_nobody_listening_is_said_with_the_address() -> None:
    async with ChatServer() as server:
        url = server.base_url
    async with opened(base_url=url) as model:
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("connection", True)
    assert url in found.message


async def test_a_throttled_call_hands_on_how_long_to_wait_and_the_next_succeeds() -> None:
    async with served(in_turn(throttled(3), "ok")) as (model, _):
        first, second = await model.generate(ASKED), await model.generate(ASKED)
    assert isinstance(first, Failure)
    assert (first.throttled, first.retry_after) == (True, 3.0)
    assert isinstance(second, Response)


# ---- what goes out -----------------------------------------------------------------------------------------------


async def test_texts_and_images_arrive_in_order_and_byte_for_byte() -> None:
    async with served(lambda call: str(call.pictures == (FIRST.opened.data, SECOND.opened.data))) as (model, server):
        found = await model.generate(ASKED)
        [call] = server.calls
    assert isinstance(found, Response)
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
    assert (call.model, call.path) == ("tiny", "/v1/chat/completions")
    assert call.headers["content-type"] == "application/json"
    assert "transfer-encoding" not in call.headers
    assert body_of(call) == {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "seed": 3, "stop": ["END"]}


async def test_megabytes_of_images_go_out_without_a_warning() -> None:
    large = replace(FIRST.opened, data=b"x" * 3_000_000, encoded=b"eHh4" * 1_000_000)
    parts = (replace(FIRST, content=large), SECOND)
    async with served() as (model, server):
        found = await model.generate(Request(messages=(Message(role="user", content=parts),)))
    assert isinstance(found, Response)
    assert server.calls[0].images[1] == SECOND.opened.sha256


async def test_settings_that_are_not_set_are_left_to_the_server() -> None:
    async with served() as (model, server):
        await model.generate(replace(ASKED, settings=Generation(temperature=None, max_tokens=None)))
    assert body_of(server.calls[0]) == {}


async def test_detail_effort_and_extra_are_sent() -> None:
    async with served(detail="low", reasoning_effort="high", extra='{"top_k": 20}') as (model, server):
        await model.generate(ASKED)
    [call] = server.calls
    assert {part.detail for part in call.parts if part.kind == "image"} == {"low"}
    assert (call.parameters["reasoning_effort"], call.parameters["top_k"]) == ("high", 20)


@pytest.mark.parametrize(
    "extra", ["[1]", "top_k=20", "null", '{"temperature": 1}', '{"stream": true}', '{"model": "m"}']
)
async def test_extra_must_be_an_object_and_not_what_the_run_records(extra: str) -> None:
    with pytest.raises(HarnessError, match="extra"):
        async with served(extra=extra):
            pass


@pytest.mark.parametrize("change", [{"raw": True}, {"choices": ("Yes", "No")}, {"prefill": "Sure"}])
async def test_what_chat_completions_has_not_is_an_error_and_not_sent(change: dict[str, Any]) -> None:
    async with served() as (model, server):
        found = await model.generate(replace(ASKED, **change))
        assert model.info.can == {"images", "system", "schema"}
    assert isinstance(found, Failure)
    assert (found.reason, found.transient, server.calls) == ("unsupported_request", False, [])


# ---- keys and servers --------------------------------------------------------------------------------------------


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


# ---- parameters a model refuses ----------------------------------------------------------------------------------


def without(*names: str) -> Callable[[Call], str | Reply]:
    """A model that takes none of these parameters."""
    return lambda call: next((unsupported(name) for name in names if name in call.parameters), "ok")


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "stop"])
async def test_a_refused_parameter_is_left_out_at_once_and_for_good(name: str) -> None:
    async with served(without(name)) as (model, server):
        assert model.info.dropped == frozenset()
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {name}
        assert isinstance(await model.generate(ASKED), Response)
    assert [name in call.parameters for call in server.calls] == [True, False, False]


async def test_a_refused_value_is_left_out_as_a_refused_parameter() -> None:
    def play(call: Call) -> str | Reply:
        return unsupported("temperature", value=0) if "temperature" in call.parameters else "ok"

    async with served(play) as (model, _):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"temperature"}


async def test_a_model_that_refuses_everything_is_asked_with_nothing() -> None:
    names = ("temperature", "top_p", "seed", "stop", "max_tokens", "max_completion_tokens")
    async with served(without(*names)) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"temperature", "top_p", "seed", "stop", "max_tokens"}
    assert body_of(server.calls[-1]) == {}


async def test_the_other_name_of_the_token_limit_is_taken_where_one_is_refused() -> None:
    async with served(without("max_tokens")) as (model, server):
        await model.generate(ASKED)
        await model.generate(ASKED)
        assert model.info.dropped == frozenset()
    assert [call.parameters.get("max_completion_tokens") for call in server.calls] == [None, 64, 64]


async def test_a_name_of_the_token_limit_that_was_given_is_not_exchanged() -> None:
    async with served(without("max_tokens"), max_tokens_field="max_tokens") as (model, server):
        await model.generate(ASKED)
        assert model.info.dropped == {"max_tokens"}
    assert not {"max_tokens", "max_completion_tokens"} & set(server.calls[-1].parameters)


async def test_many_calls_that_hear_one_refusal_together_learn_it_once() -> None:
    async with served(without("max_tokens", "temperature")) as (model, server), anyio.create_task_group() as calls:
        for _ in range(16):
            calls.start_soon(model.generate, ASKED)
    assert model.info.dropped == {"temperature"}
    assert len(server.calls) <= 16 * 3
    assert (
        sum(
            "max_completion_tokens" in call.parameters and "temperature" not in call.parameters for call in server.calls
        )
        == 16
    )


async def test_structured_output_is_asked_for_strictly() -> None:
    async with served() as (model, server):
        await model.generate(replace(ASKED, schema=SCHEMA))
    wanted = server.calls[0].parameters["response_format"]
    assert wanted == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


async def test_a_server_without_structured_output_is_asked_without_it() -> None:
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."

    def play(call: Call) -> str | Reply:
        return error(400, words, param="response_format") if "response_format" in call.parameters else "ok"

    async with served(play) as (model, server):
        assert "schema" in model.info.can
        assert isinstance(await model.generate(replace(ASKED, schema=SCHEMA)), Response)
        assert "schema" not in model.info.can
        await model.generate(replace(ASKED, schema=SCHEMA))
        assert model.info.dropped == frozenset()
    assert len(server.calls) == 3


async def test_a_setting_of_the_user_that_is_refused_stops_the_run() -> None:
    async with served(without("reasoning_effort"), reasoning_effort="high") as (model, _):
        with pytest.raises(HarnessError, match="refuses reasoning_effort") as stopped:
            await model.generate(ASKED)
    assert "leave reasoning_effort out" in stopped.value.remedy


REFUSALS: dict[str, tuple[Any, str | None]] = {
    "openai": (json.loads(unsupported("seed").body), "seed"),
    "azure": (
        {"error": {"message": "Unrecognized request argument supplied: max_completion_tokens", "code": None}},
        "max_completion_tokens",
    ),
    "mistral": (
        {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}]}},
        "seed",
    ),
    "vllm": ({"message": "[{'type': 'extra_forbidden', 'loc': ('body', 'top_p'), 'msg': 'no'}]", "code": 400}, "top_p"),
    "code alone": ({"error": {"message": "no", "code": "unsupported_parameter", "param": "stop"}}, "stop"),
    "too large": (
        {"error": {"message": "max_tokens is too large", "param": "max_tokens", "code": "invalid_value"}},
        None,
    ),
    "not sent": (json.loads(unsupported("logprobs").body), None),
    "the word stop": ({"error": {"message": "Unsupported image. Please stop and look at the temperature."}}, None),
    "role": (json.loads(unsupported("messages[0].role", value="'system'").body), None),
    "schema": ({"error": {"message": "Invalid schema for response_format 'answer'"}}, "response_format"),
    "grammar": (
        {"error": {"message": "The JSON schema contains features not supported by xgrammar"}},
        "response_format",
    ),
}


@pytest.mark.parametrize(("body", "name"), REFUSALS.values(), ids=REFUSALS)
def test_only_what_a_server_says_it_does_not_support_counts_as_refused(body: Any, name: str | None) -> None:
    sent = {"temperature", "max_tokens", "max_completion_tokens", "top_p", "seed", "stop"}
    if name == "response_format":
        sent.add("response_format")
    assert refused(Complaint.read(body), sent) == name


async def test_a_filter_s_400_is_not_taken_for_a_refused_parameter() -> None:
    reply = error(400, "'temperature' is not supported", code="content_filter", param="temperature")
    async with served(reply) as (model, server):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.outcome, len(server.calls)) == ("input_blocked", 1)


# ---- images over the limit ---------------------------------------------------------------------------------------


def large() -> Request:
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((300, 150)).save(file, "PNG")
    image = open_image(inline_image("large.png", file.getvalue()))
    return Request(messages=(Message(role="user", content=(FIRST, image)),))


async def test_an_image_over_the_limit_is_scaled_and_noted() -> None:
    async with served(max_image_side=100) as (model, server):
        found = await model.generate(large())
    assert isinstance(found, Response)
    assert found.notes == ("large.png: scaled from 300x150 to 100x50 (longest side, Lanczos)",)
    assert server.calls[0].images[0] == FIRST.opened.sha256
    assert server.calls[0].images[1] != large().images[1].opened.sha256


async def test_a_file_over_the_limit_is_scaled_too() -> None:
    size = len(large().images[1].opened.data)
    async with served(max_image_mb=(size - 1) / 1_000_000) as (model, _):
        found = await model.generate(large())
    assert isinstance(found, Response)
    assert [note.partition(":")[0] for note in found.notes] == ["large.png"]


async def test_with_resizing_off_an_image_over_the_limit_is_an_error_and_not_sent() -> None:
    async with served(max_image_side=100, resize="off") as (model, server):
        found = await model.generate(large())
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, server.calls) == ("error", "image_too_large", [])


async def test_a_model_s_number_of_images_is_what_the_user_says() -> None:
    async with opened(base_url="http://127.0.0.1:1/v1", max_images=4) as model:
        assert (model.info.max_images, "images" in model.info.can) == (4, True)
    async with opened(base_url="http://127.0.0.1:1/v1", max_images=0) as model:
        assert (model.info.max_images, "images" in model.info.can) == (0, False)


# ---- the plugin --------------------------------------------------------------------------------------------------


def test_every_setting_says_whether_it_is_part_of_the_identity() -> None:
    transport = {setting.name for setting in harness_openai.SETTINGS if not setting.identity}
    assert transport == {"api_key_env", "organization", "project", "timeout", "max_images"}
    assert all(setting.help for setting in harness_openai.SETTINGS)


def test_offering_the_provider_loads_neither_the_sdk_nor_a_client() -> None:
    code = (
        "import sys, harness_openai; harness_openai.harness_models(); "
        "print([m for m in ('openai', 'aiohttp', 'httpx', 'anyio', 'pydantic', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "openai.md").read_text("utf-8")
    assert [setting.name for setting in harness_openai.SETTINGS if f"`{setting.name}`" not in page] == []
