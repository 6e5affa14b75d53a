"""What `harness serve` offers: OpenAI's SDK asks, and nothing is lost or made up on the way."""

from __future__ import annotations

import json
import random
from typing import Any

import anyio
import openai
import pytest

from harness import Failure, Request, Response, Usage
from harness.drawings import draw, png
from harness.errors import EndpointDown, HarnessError
from harness.images import inline_image, open_image
from harness.testing.fakes import PIXEL
from harness.types import Image, Text
from tests.plugins.serve_asking import OTHER, TOKEN, data_url, image, served, text, user

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
