"""Parameters that a Claude model refuses, structured output, prefilled answers, and images over the limits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import PIL.Image
import pytest
from harness_anthropic.provider import SETTINGS

from harness import HarnessError, Response, Text
from harness.images import inline_image, open_image
from harness.testing.faults import Reply
from harness.testing.messages import deprecated, error, message
from harness.testing.server import Call
from tests.plugins.anthropic_asking import ASKED, asking, opened, served
from tests.plugins.openai_asking import get_failure, get_response

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
JUDGED = replace(ASKED, schema=SCHEMA)
NAMES = {"temperature": "temperature", "top_p": "top_p", "stop": "stop_sequences"}


def refusing(words: str, *names: str) -> Callable[[Call], str | Reply]:
    """A model that refuses, in these words, a request that holds all of the names."""
    return lambda call: error(400, words) if set(names) <= call.parameters.keys() else "ok"


REFUSED: dict[str, tuple[str, str]] = {
    "4.7 and later": ("`temperature` is deprecated for this model.", "temperature"),
    "through Bedrock": ("temperature is deprecated for this model.", "temperature"),
    "later versions of the API": ("temperature: Extra inputs are not permitted", "temperature"),
    "thinking by itself": (
        "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our docs",
        "temperature",
    ),
    "top_p while thinking": (
        "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        "top_p",
    ),
    "stop sequences": ("stop_sequences: Extra inputs are not permitted", "stop"),
}


@pytest.mark.parametrize(("words", "name"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_parameter_is_left_out_at_once_and_for_good(words: str, name: str) -> None:
    async with served(refusing(words, NAMES[name])) as (model, server):
        assert model.info.dropped == frozenset()
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {name}
        assert isinstance(await model.generate(ASKED), Response)
    assert [NAMES[name] in call.parameters for call in server.calls] == [True, False, False]


async def test_of_two_parameters_that_exclude_each_other_the_temperature_stays() -> None:
    words = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    async with served(refusing(words, "temperature", "top_p")) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.dropped == {"top_p"}
    assert dict(server.calls[-1].parameters) == {"temperature": 0.0, "max_tokens": 64, "stop_sequences": ["END"]}


@pytest.mark.parametrize(
    "words",
    ["temperature: range: 0..1", "max_tokens: 64 > 32, which is the maximum allowed", "text: `temperature` is odd"],
)
async def test_a_bad_value_is_an_error_and_no_refusal(words: str) -> None:
    async with served(error(400, words)) as (model, server):
        found = await get_failure(model, ASKED)
        assert model.info.dropped == frozenset()
    assert (found.reason, found.message, len(server.calls)) == ("http_400", words, 1)


async def test_many_calls_that_hear_one_refusal_together_learn_it_once() -> None:
    def play(call: Call) -> str | Reply:
        return next((deprecated(name) for name in ("temperature", "top_p") if name in call.parameters), "ok")

    async with served(play) as (model, server), anyio.create_task_group() as calls:
        for _ in range(16):
            calls.start_soon(model.generate, ASKED)
    assert model.info.dropped == {"temperature", "top_p"}
    assert len(server.calls) <= 16 * 3
    assert sum(not {"temperature", "top_p"} & call.parameters.keys() for call in server.calls) == 16


async def test_a_filter_s_words_are_not_taken_for_a_refused_parameter() -> None:
    async with served(error(400, "Output blocked by content filtering policy: `temperature` not supported")) as (m, s):
        found = await get_failure(m, ASKED)
    assert (found.outcome, len(s.calls)) == ("output_blocked", 1)


async def test_a_setting_of_the_user_that_is_refused_stops_the_run() -> None:
    async with served(error(400, "top_k: Extra inputs are not permitted"), extra='{"top_k": 20}') as (model, _):
        with pytest.raises(HarnessError, match="refuses top_k") as stopped:
            await model.generate(ASKED)
    assert "leave top_k out" in stopped.value.remedy


async def test_structured_output_is_asked_for_by_its_schema() -> None:
    async with served(message('{"label": "safe"}')) as (model, server):
        found = await get_response(model, JUDGED)
    assert found.text == '{"label": "safe"}'
    wanted = server.calls[0].parameters["output_config"]
    assert wanted == {"format": {"type": "json_schema", "schema": SCHEMA}}


def only_tools(call: Call) -> str | Reply:
    if "output_config" in call.parameters:
        return error(400, "output_config.format: Extra inputs are not permitted")
    tools = "tools" in call.parameters
    return message("Here it is:", stop="tool_use", tool={"label": "sûr"}) if tools else "prose"


async def test_where_the_format_is_refused_a_forced_tool_stands_for_it_and_its_json_is_the_text() -> None:
    async with served(only_tools) as (model, server):
        first, second = await model.generate(JUDGED), await model.generate(JUDGED)
        assert "schema" in model.info.can
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert json.loads(first.text) == json.loads(second.text) == {"label": "sûr"}
    assert len(server.calls) == 3
    parameters = server.calls[-1].parameters
    assert parameters["tool_choice"] == {"type": "tool", "name": "answer"}
    assert [tool["input_schema"] for tool in parameters["tools"]] == [SCHEMA]


async def test_where_tools_are_refused_too_the_judge_is_asked_without() -> None:
    def play(call: Call) -> str | Reply:
        if "tools" in call.parameters:
            return error(400, "Thinking may not be enabled when tool_choice forces tool use.")
        return only_tools(call)

    async with served(play) as (model, server):
        assert isinstance(await model.generate(JUDGED), Response)
        assert "schema" not in model.info.can
        assert isinstance(await model.generate(JUDGED), Response)
        assert model.info.dropped == frozenset()
    assert len(server.calls) == 4
    assert not {"tools", "output_config"} & server.calls[-1].parameters.keys()


async def test_a_question_without_a_schema_is_not_answered_by_a_tool() -> None:
    async with served(message("yes", tool={"label": "safe"})) as (model, _):
        found = await get_response(model, ASKED)
    assert found.text == "yes"


@pytest.fixture
def official(without_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any server counts as Anthropic's own."""

    def yes(_url: str, *_hosts: str) -> bool:
        return True

    monkeypatch.setattr("harness_anthropic.model.is_host_of", yes)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-key-1234")


@pytest.mark.usefixtures("official")
async def test_a_prefilled_answer_is_the_last_turn() -> None:
    async with served() as (model, server):
        assert "prefill" in model.info.can
        assert isinstance(await model.generate(replace(ASKED, prefill="Sure, ")), Response)
    last = server.calls[0].parts[-1]
    assert (last.role, last.value) == ("assistant", "Sure, ")


@pytest.mark.usefixtures("official")
async def test_a_model_that_takes_no_prefilled_answer_is_not_sent_another() -> None:
    words = "This model does not support assistant message prefill. The conversation must end with a user message."
    async with served(lambda call: error(400, words) if call.parts[-1].role == "assistant" else "ok") as (
        model,
        server,
    ):
        first = await get_failure(model, replace(ASKED, prefill="Sure"))
        assert "prefill" not in model.info.can
        second = await get_failure(model, replace(ASKED, prefill="Sure"))
        assert isinstance(await model.generate(ASKED), Response)
    assert (first.reason, second.reason, len(server.calls)) == ("http_400", "unsupported_request", 2)


@pytest.mark.usefixtures("official")
async def test_a_model_that_is_told_to_think_takes_no_prefilled_answer() -> None:
    async with served(thinking="on") as (model, _):
        assert "prefill" not in model.info.can


def flat(width: int, height: int, name: str = "flat.png", kind: str = "PNG") -> Any:
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "teal").save(file, kind)
    return open_image(inline_image(name, file.getvalue()))


async def test_a_side_longer_than_the_api_takes_is_scaled_to_the_longest_it_takes() -> None:
    async with served() as (model, _):
        found = await get_response(model, asking(flat(8000, 2), flat(8004, 2), Text(text="?")))
    assert [note.partition(" (")[0] for note in found.notes] == ["flat.png: scaled from 8004x2 to 8000x2"]


async def test_beyond_twenty_images_each_must_be_smaller() -> None:
    many = [flat(2004, 2, name=f"{number}.png") for number in range(21)]
    async with served() as (model, _):
        few = await get_response(model, asking(*many[:20]))
        more = await get_response(model, asking(*many))
    assert (len(few.notes), len(more.notes)) == (0, 21)


def test_the_largest_file_is_within_five_megabytes_once_it_is_base64() -> None:
    [largest] = [setting.default for setting in SETTINGS if setting.name == "max_image_mb"]
    assert largest * 1_000_000 * 4 / 3 <= 5 * 1024 * 1024


async def test_an_image_of_a_type_the_api_does_not_read_is_sent_as_a_png() -> None:
    async with served() as (model, server):
        found = await get_response(model, asking(flat(30, 20, name="old.bmp", kind="BMP")))
    assert found.notes == ("old.bmp: image/bmp sent as image/png",)
    assert [part.detail for part in server.calls[0].parts] == ["image/png"]


@pytest.mark.parametrize("image", [flat(8004, 2), flat(30, 20, kind="BMP")], ids=["too long", "another type"])
async def test_with_resizing_off_such_an_image_is_an_error_and_not_sent(image: Any) -> None:
    async with served(resize="off") as (model, server):
        found = await get_failure(model, asking(image))
    assert (found.outcome, server.calls) == ("error", [])


@pytest.mark.usefixtures("official")
async def test_anthropic_itself_takes_a_hundred_images() -> None:
    async with opened() as model:
        assert model.info.max_images == 100
    async with opened(max_images=600) as model:
        assert model.info.max_images == 600
