"""What `harness serve` refuses: callers without the token, files outside the folder, all that it could not honour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest

from harness import HarnessError
from harness.testing.fakes import PIXEL, FakeModel
from harness.web import BODY_LIMIT, chat_app, guarded, serving
from tests.plugins.serve_asking import HELLO, OTHER, TOKEN, data_url, image, served, text, user

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Bearer a-token-of-the-tests2", "Basic YTpi"])
async def test_nothing_is_told_to_whoever_has_no_token(sent: str) -> None:
    async with served() as asked:
        headers = {"authorization": sent} if sent else {}
        async with httpx.AsyncClient(base_url=asked.http.base_url, headers=headers) as stranger:
            replies = [await stranger.get("/models"), await stranger.post("/chat/completions", content=b"{")]
            replies.append(await stranger.get("/nowhere"))

    assert [reply.status_code for reply in replies] == [401, 401, 401]
    assert replies[0].json()["error"]["code"] == "invalid_api_key"
    assert asked.model.asked == []


async def test_the_sdk_knows_a_wrong_token_for_what_it_is() -> None:
    async with served() as asked:
        with pytest.raises(openai.AuthenticationError):
            await asked.sdk.with_options(api_key="wrong").models.list()


def test_an_empty_token_guards_nothing_and_is_refused() -> None:
    async def app(*_: object) -> None: ...

    with pytest.raises(ValueError, match="guards nothing"):
        guarded(app, "")


async def test_the_one_model_is_listed_and_another_is_not_found() -> None:
    async with served() as asked:
        [card] = (await asked.sdk.models.list()).data
        with pytest.raises(openai.NotFoundError, match="there is no model 'n'") as fault:
            await asked.sdk.chat.completions.create(model="n", messages=HELLO)

    assert card.id == "m"
    assert fault.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"top_k": 5}, "top_k"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "0"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_p": 1.5}, "top_p"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": user({"type": "input_audio", "input_audio": {}})}, "messages.0.content"),
        ({"messages": user(image("https://example.org/a.png"))}, "messages.0.content.0"),
        ({"messages": user(text("a"), image("data:text/html;base64,QQ=="))}, "messages.0.content.1"),
        ({"messages": user(image("data:image/png;base64,!!"))}, "messages.0.content.0"),
        ({"messages": user(image(data_url(PIXEL[:-20])))}, "messages.0.content.0"),
        ({"messages": user(image(data_url(b"<svg/>")))}, "messages.0.content.0"),
        ({"messages": user(image("file:///etc/hostname"))}, "messages.0.content.0"),
    ],
)
async def test_what_would_not_be_honoured_is_a_400_that_names_it(fields: dict[str, Any], param: str) -> None:
    async with served() as asked:
        reply = await asked.post(**fields)

    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert asked.model.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        {
            "n": 1,
            "logprobs": False,
            "tools": [],
            "tool_choice": "auto",
            "frequency_penalty": 0,
            "presence_penalty": 0.0,
        },
        {"logit_bias": {}, "user": "me", "presence_penalty": 0.0, "store": True, "parallel_tool_calls": True},
        {"temperature": None, "seed": None, "stop": None, "top_k": None, "response_format": {"type": "text"}},
    ],
)
async def test_what_changes_no_answer_is_taken(fields: dict[str, Any]) -> None:
    async with served() as asked:
        assert (await asked.post(**fields)).status_code == 200


async def test_what_the_model_cannot_take_is_refused_and_never_dropped() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    async with served(can=frozenset({"images"}), max_images=1) as asked:
        two = await asked.post(messages=user(image(data_url()), image(data_url(OTHER))))
        system = await asked.post(messages=[{"role": "system", "content": "x"}, *HELLO])
        structured = await asked.post(response_format=schema)
    async with served(can=frozenset({"system"})) as blind:
        one = await blind.post(messages=user(image(data_url())))

    codes = [reply.json()["error"]["code"] for reply in (two, system, structured, one)]
    assert codes == ["too_many_images", "unsupported_value", "unsupported_parameter", "too_many_images"]
    assert asked.model.asked == blind.model.asked == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": "m", "messages": NaN}', b"[" * 100_000])
async def test_a_body_that_is_no_request_is_a_400_in_openais_shape(body: bytes) -> None:
    async with served() as asked:
        reply = await asked.http.post("/chat/completions", content=body)

    assert reply.status_code == 400
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_body_over_the_limit_is_not_kept() -> None:
    async with served(body_limit=1000) as asked:
        reply = await asked.post(messages=user(text("x" * 1000)))

    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_body_that_says_it_is_over_the_limit_is_refused_before_it_comes() -> None:
    async with served(body_limit=1000) as asked:
        url = asked.http.base_url
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\n"
        async with await anyio.connect_tcp(url.host, url.port or 80) as wire:
            await wire.send(f"{head}content-length: 2000000000\r\n\r\n{{".encode())
            with anyio.fail_after(20):
                reply = await wire.receive()

    assert reply.startswith(b"HTTP/1.1 413 ")


def test_a_request_may_have_64_mib_unless_it_is_said_otherwise() -> None:
    assert BODY_LIMIT == 64 << 20


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/completions", 404), ("GET", "/chat/completions", 405)]
)
async def test_an_address_that_is_not_there_is_an_error_in_openais_shape(method: str, path: str, status: int) -> None:
    async with served() as asked:
        reply = await asked.http.request(method, path)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, "unknown_url")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder of images, a secret beside it, and links that lead out."""
    folder = tmp_path / "shared"
    (folder / "in 100%41").mkdir(parents=True)
    (folder / "a.png").write_bytes(PIXEL)
    (folder / "in 100%41" / "b.png").write_bytes(OTHER)
    (tmp_path / "secret.png").write_bytes(PIXEL)
    (tmp_path / "shared2").mkdir()
    (tmp_path / "shared2" / "a.png").write_bytes(PIXEL)
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    (tmp_path / "way").symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    "url",
    [
        "file://{shared}/a.png",
        "file://localhost{shared}/a.png",
        "file://{shared}/../shared/a.png",
        "file://{parent}/way/a.png",
    ],
)
async def test_a_file_in_the_folder_is_read_byte_for_byte(shared: Path, url: str) -> None:
    async with served(files=shared) as asked:
        reply = await asked.post(messages=user(image(url.format(shared=shared, parent=shared.parent))))

    assert reply.status_code == 200, reply.text
    assert asked.model.asked[0].images[0].opened.data == PIXEL


@pytest.mark.parametrize("name", ["in 100%41/b.png", "in%20100%2541/b.png"])
async def test_names_are_understood_quoted_or_not(shared: Path, name: str) -> None:
    async with served(files=shared) as asked:
        reply = await asked.post(messages=user(image(f"file://{shared}/{name}")))

    assert reply.status_code == 200, reply.text
    assert asked.model.asked[0].images[0].opened.data == OTHER


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file://{shared}/../secret.png", "outside_root"),
        ("file://{shared}/%2e%2e/secret.png", "outside_root"),
        ("file://{shared}/out.png", "outside_root"),
        ("file://{shared}/up/secret.png", "outside_root"),
        ("file://{parent}/secret.png", "outside_root"),
        ("file://{parent}/shared2/a.png", "outside_root"),
        ("file://{parent}/there-is-none.png", "outside_root"),
        ("file://a.png", "outside_root"),
        ("file://example.org{shared}/a.png", "outside_root"),
        ("file://{shared}/none.png", "missing"),
        ("file://{shared}/loop", "missing"),
        ("file://{shared}/a\0.png", "missing"),
        ("file://{shared}", "missing"),
    ],
)
async def test_no_other_file_can_be_read_nor_its_being_there_be_learnt(shared: Path, url: str, code: str) -> None:
    async with served(files=shared) as asked:
        reply = await asked.post(messages=user(image(url.format(shared=shared, parent=shared.parent))))

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)
    assert asked.model.asked == []


async def test_a_folder_that_is_not_there_and_a_port_that_is_taken_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is no folder"):
        chat_app(FakeModel(), name="m", token="t", files=tmp_path / "none")
    app = chat_app(FakeModel(), name="m", token="t")
    async with serving(app) as place:
        with pytest.raises(HarnessError, match="cannot listen on"):
            async with serving(app, port=place.port):
                pass
    with pytest.raises(HarnessError, match="no address of this machine"):
        async with serving(app, host="no.such.host.invalid"):
            pass
