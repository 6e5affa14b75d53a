"""lm-eval's own models as `lm-eval/TYPE`, with the mini world's model in them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness import Failure, Generation, HarnessError, Message, Model, Request, Response, Text, UnknownName, open_model
from harness.models import resolve
from harness.testing import faults
from harness.testing.conformance import check_provider
from harness.testing.server import ChatServer
from harness.types import Part
from tests.zoos.lm_eval_tasks import QUESTION, drawing

pytestmark = pytest.mark.anyio
RED, BLUE = drawing("red circle"), drawing("blue square")


def asked(*parts: Part, **fields: Any) -> Request:
    return Request(messages=(Message(role="user", content=parts),), settings=Generation(max_tokens=40), **fields)


async def answers(model: Model, *requests: Request) -> list[Response | Failure]:
    """Asked together, so that they may share a batch."""
    found: dict[int, Response | Failure] = {}

    async def one(at: int) -> None:
        found[at] = await model.generate(requests[at])

    async with anyio.create_task_group() as tasks:
        for at in range(len(requests)):
            tasks.start_soon(one, at)
    return [found[at] for at in range(len(requests))]


def settings(kind: str, base: str) -> Mapping[str, Any]:
    more = ",add_bos_token=False" if kind == "hf" else ""
    return {"model_args": f"pretrained={base},dtype=float32{more}", "device": "cpu", "batch_wait": 100.0}


@asynccontextmanager
async def pictures(base: str) -> AsyncGenerator[Model]:
    async with open_model("lm-eval/hf-multimodal", settings("hf-multimodal", base)) as model:
        yield model


async def test_its_multimodal_model_answers_as_our_own_provider_does(base: str) -> None:
    requests = [
        asked(RED, BLUE, Text(text=QUESTION)),
        asked(BLUE, RED, Text(text=QUESTION)),
        asked(Text(text="Answer with one word: ready.")),
    ]
    async with pictures(base) as theirs, open_model("mini/base") as ours:
        found = await answers(theirs, *requests)
        expected = await answers(ours, *requests)
    assert [each.text for each in found] == [each.text for each in expected]
    assert "first image shows a red circle" in found[0].text
    assert "first image shows a blue square" in found[1].text


async def test_choices_have_the_probabilities_of_our_own_provider(base: str) -> None:
    request = asked(Text(text="Sure. Take the"), raw=True, choices=(" red", " blue"))
    async with pictures(base) as theirs, open_model("mini/base") as ours:
        [found], [expected] = await answers(theirs, request), await answers(ours, request)
    assert isinstance(found, Response)
    assert isinstance(expected, Response)
    assert found.choices == pytest.approx(expected.choices, abs=1e-4)
    assert found.text == expected.text


async def test_a_sample_that_cannot_be_asked_fails_alone_and_says_why(base: str) -> None:
    async with pictures(base) as model:
        mark, fine, *long = await answers(
            model,
            asked(RED, Text(text="what is <image>?")),
            asked(Text(text="Answer with one word: ready.")),
            asked(Text(text="long " * 3000)),
            asked(RED, Text(text="long " * 3000)),
            asked(Text(text="long " * 3000), raw=True, choices=(" a", " b")),
        )
    assert isinstance(mark, Failure)
    assert (mark.outcome, mark.reason) == ("error", "unsupported_request")
    for each in long:
        assert isinstance(each, Failure)
        assert (each.outcome, each.reason) == ("error", "context_length")
        assert "tokens, but" in each.message
    assert isinstance(fine, Response)


async def test_a_stop_ends_the_answer_and_is_not_in_it(base: str) -> None:
    request = Request(
        messages=(Message(role="user", content=(RED, BLUE, Text(text=QUESTION))),),
        settings=Generation(max_tokens=40, stop=("circle",)),
    )
    async with pictures(base) as model:
        [found] = await answers(model, request)
    assert found.text == "The first image shows a red "


async def test_what_it_says_of_itself_is_what_it_can_do(base: str) -> None:
    async with pictures(base) as model:
        assert model.info.can >= {"images", "raw", "choices", "system"}
        assert model.info.max_images == 999
        assert model.info.dropped == frozenset()
        await model.generate(replace(asked(Text(text="hello")), settings=Generation(max_tokens=1, seed=3)))
        assert model.info.dropped == {"seed"}
        assert "model.safetensors" in model.info.fingerprint
        assert model.info.fingerprint["type"] == "HFMultimodalLM"
        [note] = model.info.notes
        assert "truncated" in note


async def test_a_text_model_takes_no_images(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.plugins import tiny_models

    folder = tiny_models.save_lm(tmp_path_factory.mktemp("models") / "tiny-lm")
    async with open_model("lm-eval/hf", settings("hf", str(folder))) as model:
        [found] = await answers(model, asked(Text(text="hello")))
        assert model.info.max_images == 0
        assert "images" not in model.info.can
        assert isinstance(found, Response)


async def test_an_unknown_type_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="no model type 'hf-multimodl'") as fault:
        async with open_model("lm-eval/hf-multimodl"):
            pass
    assert "did you mean 'hf-multimodal'?" in fault.value.remedy


@pytest.mark.parametrize("arguments", ["", "pretrained=/there/is/none", "nonsense=1"])
async def test_arguments_it_cannot_be_opened_with_are_the_users_to_mend(arguments: str) -> None:
    with pytest.raises(HarnessError, match="lm-eval/hf-multimodal cannot be opened") as fault:
        async with open_model("lm-eval/hf-multimodal", {"model_args": arguments, "device": "cpu"}):
            pass
    assert "model_args" in fault.value.remedy


@pytest.mark.parametrize("key", ["api_key=sk-secret1", "token=hf_secret1"])
async def test_a_key_among_the_arguments_is_refused_since_they_are_recorded(key: str) -> None:
    with pytest.raises(HarnessError, match="settings are recorded") as fault:
        async with open_model("lm-eval/hf-multimodal", {"model_args": f"pretrained=/there/is/none,{key}"}):
            pass
    assert "secret1" not in str(fault.value)


async def test_the_words_it_could_not_be_opened_with_stand_on_one_line(base: str) -> None:
    with pytest.raises(HarnessError, match="cannot be opened: ValueError: Unrecognized configuration") as fault:
        async with open_model("lm-eval/hf", {"model_args": f"pretrained={base}", "device": "cpu"}):
            pass
    assert "\n" not in fault.value.what


def test_the_provider_keeps_its_contract_with_a_real_model(base: str) -> None:
    from harness.models import ModelSpec

    provider = resolve(ModelSpec(ref="lm-eval/hf-multimodal")).provider
    check_provider(provider, "hf-multimodal", settings=settings("hf-multimodal", base))


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
