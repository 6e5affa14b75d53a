"""lm-eval's `local-chat-completions` as a provider: what the server says is not lost on the way through lm-eval."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness import Failure, Generation, HarnessError, Message, Model, Request, Response, Text, open_model
from harness.testing import faults
from harness.testing.server import ChatServer
from tests.zoos.drawings import drawing

pytestmark = pytest.mark.anyio
RED, BLUE = drawing("red circle"), drawing("blue square")
ASKED = Request(
    messages=(
        Message(role="system", content=(Text(text="be brief"),)),
        Message(role="user", content=(Text(text="one"), RED, Text(text="two"), BLUE, Text(text="both?"))),
    ),
    settings=Generation(temperature=0.0, max_tokens=64, seed=3, stop=("END",)),
)


@asynccontextmanager
async def served(play: Any) -> AsyncGenerator[tuple[Model, ChatServer]]:
    with ChatServer(play) as server:
        arguments = f"model=tiny,base_url={server.base_url}/chat/completions"
        async with open_model("lm-eval/local-chat-completions", {"model_args": arguments}) as model:
            yield model, server


async def test_images_stay_in_their_place_and_byte_for_byte() -> None:
    async with served("fine END never") as (model, server):
        found = await model.generate(ASKED)

    [call] = server.calls
    kinds = [part.value if part.kind == "text" else "image" for part in call.parts]
    assert kinds == ["be brief", "one", "image", "two", "image", "both?"]
    assert call.images == (RED.opened.sha256, BLUE.opened.sha256)
    assert {**call.parameters} == {"max_tokens": 64, "temperature": 0.0, "seed": 3, "stop": ["END"]}
    assert isinstance(found, Response)
    assert found.text == "fine END never"  # the server's to apply


async def test_a_token_limit_is_flagged_and_tokens_are_counted() -> None:
    async with served(faults.answer("half an", finish="length")) as (model, _):
        found = await model.generate(ASKED)

    assert isinstance(found, Response)
    assert found.flags == {"truncated"}
    assert found.usage.output_tokens > 0


async def test_each_block_is_a_block() -> None:
    async with served(faults.filtered_openai()) as (model, server):
        prompt = await model.generate(ASKED)
        server.play = faults.answer("half", finish="content_filter")
        answer = await model.generate(ASKED)

    assert isinstance(prompt, Failure)
    assert prompt.outcome == "input_blocked"
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.text) == ("output_blocked", "half")


async def test_errors_are_tried_again_by_the_engine_and_not_by_lm_eval() -> None:
    async with served(faults.throttled(3)) as (model, server):
        slow = await model.generate(ASKED)
        server.play = faults.server_error()
        down = await model.generate(ASKED)

    assert isinstance(slow, Failure)
    assert (slow.throttled, slow.transient, slow.retry_after) == (True, True, 3)
    assert isinstance(down, Failure)
    assert (down.reason, down.transient) == ("http_500", True)
    assert len(server.calls) == 2


async def test_a_lost_server_is_an_error_worth_another_try() -> None:
    async with served("ok") as (model, server):
        server.__exit__(None, None, None)
        gone = await model.generate(ASKED)

    assert isinstance(gone, Failure)
    assert (gone.outcome, gone.reason, gone.transient) == ("error", "connection", True)


async def test_a_wrong_key_ends_the_run() -> None:
    async with served(faults.error(401, "no")) as (model, _):
        with pytest.raises(HarnessError, match="refuses: no"):
            await model.generate(ASKED)


async def test_it_is_no_local_model_and_has_no_limit_of_images() -> None:
    async with served("ok") as (model, server):
        assert not model.info.local
        assert model.info.max_images is None
        assert model.info.can == {"images", "system"}
        assert server.base_url.split("/")[2] in model.info.endpoint
