"""harness serve over real HTTP: what is answered, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest

from harness import Failure, Request, Response, Usage
from harness.drawings import draw, png
from harness.errors import EndpointDown, HarnessError
from harness.images import inline_image, open_image
from harness.testing.fakes import PIXEL, FakeModel
from harness.types import Image, Text
from harness.web import BODY_LIMIT, chat_app, guarded, serving
from tests.plugins.serve_asking import HELLO, OTHER, TOKEN, data_url, image, served, text, user

pytestmark = pytest.mark.anyio


async def test_an_answer_comes_whole_with_its_reasoning_and_its_tokens() -> None:
    usage = Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)
    async with served(Response(text="hi", reasoning="let me see", usage=usage)) as asked:
        done = await asked.complete()
    [choice] = done.choices
    assert (done.model, choice.message.content, choice.finish_reason) == ("m", "hi", "stop")
    assert choice.message.refusal is None
    assert choice.message.reasoning_content == "let me see"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (3, 2, 5)
    assert done.usage.completion_tokens_details.reasoning_tokens == 1


async def test_the_model_is_asked_what_the_client_asks_with_images_in_their_place() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    async with served() as asked:
        await asked.complete(
            [
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": "before"},
                {"role": "assistant", "content": "yes"},
                *user(text("one"), image(data_url()), text("two"), image(data_url(OTHER)), text("both?")),
            ],
            temperature=0.5,
            max_completion_tokens=7,
            top_p=0.9,
            seed=3,
            stop=["END", "FIN"],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        )
    [request] = asked.model.asked
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    parts = request.messages[-1].content
    assert [part.text if isinstance(part, Text) else part.opened.data for part in parts] == [
        "one", PIXEL, "two", OTHER, "both?",
    ]  # fmt: skip
    given = request.settings
    assert (given.temperature, given.max_tokens, given.top_p, given.seed) == (0.5, 7, 0.9, 3)
    assert given.stop == ("END", "FIN")
    assert request.schema == schema


async def test_what_is_not_given_is_left_to_the_model() -> None:
    async with served() as asked:
        await asked.complete(max_tokens=9, stop="END")
        await asked.complete()
    first, second = asked.model.asked
    assert (first.settings.max_tokens, first.settings.stop) == (9, ("END",))
    assert (second.settings.temperature, second.settings.max_tokens, second.settings.stop) == (None, None, ())


async def test_a_stream_is_the_same_answer_and_ends() -> None:
    refused = Response(text="I can't", flags=frozenset({"refusal", "truncated"}), usage=Usage(output_tokens=2))
    async with served(refused) as asked:
        chunks = [c async for c in await asked.complete(stream=True, stream_options={"include_usage": True})]
        bare = [c async for c in await asked.complete(stream=True)]
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "I can't"
    assert chunks[0].choices[0].delta.refusal == "I can't"
    assert [c.choices[0].finish_reason for c in chunks if c.choices] == [None, "length"]
    assert chunks[-1].usage.completion_tokens == 2
    assert all(chunk.usage is None for chunk in bare)


@pytest.mark.parametrize(
    ("result", "finish", "content", "refusal"),
    [
        (Response(text=""), "stop", "", None),
        (Response(text="", flags=frozenset({"truncated"})), "length", "", None),
        (Response(text="No.", flags=frozenset({"refusal"})), "stop", "No.", "No."),
        (Failure(outcome="output_blocked", reason="content_filter", text="half"), "content_filter", "half", None),
        (Response(text="\ud800 half a pair"), "stop", "\ud800 half a pair", None),
    ],
)
async def test_each_outcome_with_a_completion_is_told_in_it(
    result: Response | Failure, finish: str, content: str, refusal: str | None
) -> None:
    async with served(result) as asked:
        reply = await asked.post()
    [choice] = json.loads(reply.content)["choices"]
    assert choice["finish_reason"] == finish
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (content, refusal)


def failing(**fields: Any) -> Failure:
    return Failure(**{"outcome": "error", "reason": "r", "message": "why", **fields})


@pytest.mark.parametrize(
    ("result", "status", "code", "headers"),
    [
        (failing(outcome="input_blocked"), 400, "content_filter", {"x-should-retry": "false"}),
        (failing(outcome="bad_sample", reason="truncated"), 400, "truncated", {"x-should-retry": "false"}),
        (failing(reason="http_400"), 400, "http_400", {"x-should-retry": "false"}),
        (failing(reason="context_length"), 400, "context_length", {"x-should-retry": "false"}),
        (failing(reason="out_of_memory"), 500, "out_of_memory", {"x-should-retry": "false"}),
        (failing(transient=True), 503, "r", {"retry-after": "1"}),
        (failing(transient=True, throttled=True, retry_after=2.5), 429, "r", {"retry-after": "3"}),
    ],
)
async def test_each_failure_has_its_status_its_code_and_its_wait(
    result: Failure, status: int, code: str, headers: dict[str, str]
) -> None:
    async with served(result) as asked:
        whole, stream = await asked.post(), await asked.post(stream=True)
    for reply in (whole, stream):  # a stream that cannot begin is an error like any other
        assert reply.status_code == status
        error = reply.json()["error"]
        assert (error["message"], error["code"]) == ("why", code)
        assert {name: reply.headers.get(name) for name in headers} == headers


async def test_a_block_of_the_prompt_is_read_back_as_one_by_our_own_provider() -> None:
    from tests.plugins.openai_asking import ASKED, opened

    script = [
        Failure(outcome="input_blocked", reason="content_filter", message="no"),
        Failure(outcome="output_blocked", reason="content_filter", text="half"),
        Response(text="No.", flags=frozenset({"refusal"})),
        Response(text="cut", flags=frozenset({"truncated"}), reasoning="hm"),
    ]
    async with served(script) as asked:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OURS", TOKEN)
            async with opened("m", base_url=str(asked.sdk.base_url), api_key_env="OURS") as client:
                found = [await client.generate(ASKED) for _ in script]
    assert [each.outcome for each in found[:2] if isinstance(each, Failure)] == ["input_blocked", "output_blocked"]
    assert [(each.text, each.flags, each.reasoning) for each in found[2:] if isinstance(each, Response)] == [
        ("No.", {"refusal"}, ""),
        ("cut", {"truncated"}, "hm"),
    ]


class Raising:
    """A model that nothing will make work."""

    def __init__(self, error: Exception) -> None:
        from harness import ModelInfo

        self.info = ModelInfo(ref="fake/m", endpoint="fake")
        self._error = error

    async def generate(self, request: Request) -> Response:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (HarnessError("the key is wrong", remedy="export KEY=…"), 500, "the key is wrong"),
        (EndpointDown("gone", where="there"), 503, "gone"),
        (ZeroDivisionError("odd"), 500, "odd"),
    ],
)
async def test_a_model_that_does_not_work_is_an_error_without_the_operators_remedy(
    error: Exception, status: int, message: str
) -> None:
    async with served(model=Raising(error)) as asked:
        reply = await asked.post()
    assert (reply.status_code, reply.json()["error"]["message"]) == (status, message)


async def test_who_goes_away_does_not_leave_a_call_behind() -> None:
    started, cancelled = anyio.Event(), anyio.Event()

    class Slow(Raising):
        async def generate(self, request: Request) -> Response:
            started.set()
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.set()

    async with served(model=Slow(ValueError())) as asked, anyio.create_task_group() as tasks:
        tasks.start_soon(asked.post)
        await started.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(20):
            await cancelled.wait()


async def test_many_calls_are_answered_at_once() -> None:
    together = anyio.Event()
    waiting = 0

    class Meeting(Raising):
        async def generate(self, request: Request) -> Response:
            nonlocal waiting
            waiting += 1
            if waiting == 8:
                together.set()
            await together.wait()
            return Response(text="met")

    async with served(model=Meeting(ValueError())) as asked, anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            for _ in range(8):
                tasks.start_soon(asked.post)
            await together.wait()


def drawn(color: str, shape: str) -> Image:
    drawing = draw(color, shape, random.Random(f"{color} {shape}"))
    return open_image(inline_image(f"{color}-{shape}.png", png(drawing)))


async def test_the_mini_model_tells_two_images_apart_over_http_as_it_does_here() -> None:
    from harness import Generation, Message, open_model
    from harness.evaluation.probe import PROBE_QUESTION
    from harness.web import chat_app, serving

    things = [drawn("red", "circle"), drawn("blue", "square")]
    parts = [*things, Text(text=PROBE_QUESTION)]
    request = Request(messages=(Message(role="user", content=tuple(parts)),), settings=Generation(max_tokens=40))
    async with open_model("mini/base") as model, serving(chat_app(model, name="mini/base", token=TOKEN)) as place:
        here = await model.generate(request)
        async with openai.AsyncOpenAI(base_url=f"{place.url}/v1", api_key=TOKEN) as sdk:
            [card] = (await sdk.models.list()).data
            there = await sdk.chat.completions.create(
                model=card.id,
                messages=user(*(image(data_url(thing.opened.data)) for thing in things), text(PROBE_QUESTION)),
                temperature=0,
                max_tokens=40,
            )
    assert there.choices[0].message.content == here.text
    assert "first image shows a red circle" in here.text


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Bearer a-token-of-the-tests2", "Basic YTpi"])
async def test_nothing_is_told_to_whoever_has_no_token(sent: str) -> None:
    async with served() as asked:
        headers = {"authorization": sent} if sent else {}
        async with httpx.AsyncClient(base_url=asked.http.base_url, headers=headers, timeout=None) as stranger:
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
    with pytest.raises(HarnessError, match="is not a folder"):
        chat_app(FakeModel(), name="m", token="t", files=tmp_path / "none")
    app = chat_app(FakeModel(), name="m", token="t")
    async with serving(app) as place:
        with pytest.raises(HarnessError, match="cannot listen on"):
            async with serving(app, port=place.port):
                pass
    with pytest.raises(HarnessError, match="is not an address of this machine"):
        async with serving(app, host="no.such.host.invalid"):
            pass
