"""Thinking before the answer: asked for in the form a model takes, split off, and given tokens of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness import HarnessError, Response
from harness.testing.faults import Reply
from harness.testing.messages import error, message
from harness.testing.server import Call, in_turn
from tests.plugins.anthropic_asking import ASKED, asking, opened, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]
ENABLED = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" '
    "to control thinking behavior."
)
ADAPTIVE = "adaptive thinking is not supported on this model"
DISABLED = '"thinking.type.disabled" is not supported for this model.'
DISPLAY = "thinking.enabled.display: Extra inputs are not permitted"


def kind(call: Call) -> str:
    return str(call.parameters.get("thinking", {}).get("type", "none"))


def takes(**refused: str) -> Callable[[Call], str | Reply]:
    """A model that refuses these forms of thinking, each in its words."""
    return lambda call: error(400, refused[kind(call)]) if kind(call) in refused else message("yes", thinking="hm")


async def test_thinking_is_the_model_s_own_affair_unless_it_is_asked_for() -> None:
    async with served() as (model, server):
        await model.generate(ASKED)
        assert (model.info.notes, model.info.dropped) == ((), frozenset())
    assert "thinking" not in server.calls[0].parameters


async def test_thinking_is_split_off_and_has_tokens_beside_the_answer_s() -> None:
    async with served(message("yes", thinking="Let me see."), thinking="on") as (model, server):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.reasoning) == ("yes", "Let me see.")
    parameters = server.calls[0].parameters
    assert parameters["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert parameters["max_tokens"] == 64 + 8192


async def test_sampling_is_left_out_where_the_model_is_told_to_think() -> None:
    async with served(thinking="on") as (model, server):
        await model.generate(ASKED)
        assert model.info.dropped == {"temperature", "top_p"}
    assert not {"temperature", "top_p"} & server.calls[0].parameters.keys()


async def test_a_budget_is_sent_to_a_model_that_has_one() -> None:
    async with served(takes(), thinking="on", thinking_budget=2048) as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
        assert model.info.notes == ()
    parameters = server.calls[0].parameters
    assert parameters["thinking"] == {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}
    assert parameters["max_tokens"] == 64 + 2048


FORMS: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "older models": ({"thinking": "on"}, {"adaptive": ADAPTIVE}, ["adaptive", "enabled", "enabled"]),
    "newer models": (
        {"thinking": "on", "thinking_budget": 2048},
        {"enabled": ENABLED},
        ["enabled", "adaptive", "adaptive"],
    ),
    "off": ({"thinking": "off"}, {}, ["disabled", "disabled"]),
    "off, by its other name": (
        {"thinking": "off"},
        {"disabled": DISABLED},
        ["disabled", "between_tools", "between_tools"],
    ),
}


@pytest.mark.parametrize(("settings", "refused", "sent"), FORMS.values(), ids=FORMS)
async def test_a_form_that_is_refused_is_exchanged_at_once_and_for_good(
    settings: dict[str, Any], refused: dict[str, str], sent: list[str]
) -> None:
    async with served(takes(**refused), **settings) as (model, server):
        for _ in range(2):
            assert isinstance(await model.generate(ASKED), Response)
    assert [kind(call) for call in server.calls] == sent


async def test_a_model_without_a_fixed_budget_says_so() -> None:
    async with served(takes(enabled=ENABLED), thinking="on", thinking_budget=2048) as (model, _):
        await model.generate(ASKED)
        [note] = model.info.notes
    assert "no fixed budget" in note


async def test_a_server_that_cannot_be_asked_to_show_its_thinking_is_not_asked_to() -> None:
    def play(call: Call) -> str | Reply:
        return error(400, DISPLAY) if "display" in call.parameters["thinking"] else takes(adaptive=ADAPTIVE)(call)

    async with served(play, thinking="on") as (model, server):
        assert isinstance(await model.generate(ASKED), Response)
    assert server.calls[-1].parameters["thinking"] == {"type": "enabled", "budget_tokens": 8192}


@pytest.mark.parametrize(("wanted", "forms"), [("on", 4), ("off", 2)])
async def test_a_model_that_cannot_do_as_it_is_told_stops_the_run(wanted: str, forms: int) -> None:
    words = "thinking: this is not supported by the model"
    async with served(error(400, words), thinking=wanted) as (model, server):
        with pytest.raises(HarnessError, match=f"refuses thinking={wanted}"):
            await model.generate(ASKED)
    assert len(server.calls) == forms


async def test_a_budget_that_no_model_takes_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(HarnessError, match="is less than 1024"):
        async with opened(base_url="http://127.0.0.1:1", thinking="on", thinking_budget=1000):
            pass


# ---- a model that thinks without being asked ---------------------------------------------------------------------


def thinker(needs: int) -> Callable[[Call], Reply]:
    """A model that thinks for so many tokens before each answer, and keeps its thoughts to itself."""

    def play(call: Call) -> Reply:
        enough = call.parameters["max_tokens"] > needs
        return message("yes", thinking="") if enough else message(thinking="", stop="max_tokens")

    return play


async def test_an_answer_that_thinking_left_no_room_for_is_asked_for_again_with_room() -> None:
    async with served(thinker(5000)) as (model, server):
        found = [await model.generate(ASKED) for _ in range(2)]
        [note] = model.info.notes
    assert [answer.text for answer in found if isinstance(answer, Response)] == ["yes", "yes"]
    assert [call.parameters["max_tokens"] for call in server.calls] == [64, 64 + 8192, 64 + 8192]
    assert "thinks unasked" in note


async def test_an_answer_that_had_room_enough_is_not_asked_for_again() -> None:
    async with served(thinker(10)) as (model, server):
        await model.generate(ASKED)
        await model.generate(ASKED)
    assert [call.parameters["max_tokens"] for call in server.calls] == [64, 64 + 8192]


async def test_a_budget_that_does_not_suffice_leaves_an_empty_answer_that_is_marked() -> None:
    async with served(thinker(5000), thinking_budget=1024) as (model, server):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.flags, len(server.calls)) == ("", frozenset({"truncated"}), 2)


async def test_a_long_answer_without_a_thought_is_cut_as_it_should_be() -> None:
    async with served(in_turn(message("yes", thinking="hm"), message("A long", stop="max_tokens"))) as (model, server):
        await model.generate(ASKED)
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.flags, len(server.calls)) == (frozenset({"truncated"}), 2)


# ---- effort ------------------------------------------------------------------------------------------------------


async def test_effort_is_sent_beside_the_schema() -> None:
    async with served(effort="low") as (model, server):
        await model.generate(replace(ASKED, schema={"type": "object"}))
        await model.generate(asking())
    wanted = [call.parameters["output_config"] for call in server.calls]
    assert [sorted(each) for each in wanted] == [["effort", "format"], ["effort"]]
    assert wanted[0]["effort"] == "low"


async def test_an_effort_that_the_model_does_not_know_stops_the_run() -> None:
    async with served(error(400, "This model does not support the effort parameter."), effort="max") as (model, _):
        with pytest.raises(HarnessError, match="refuses effort=max"):
            await model.generate(ASKED)


async def test_a_refused_form_of_thinking_that_speaks_of_effort_is_no_refusal_of_effort() -> None:
    async with served(takes(enabled=ENABLED), thinking="on", thinking_budget=2048, effort="low") as (model, _):
        assert isinstance(await model.generate(ASKED), Response)


async def test_a_schema_is_asked_for_without_a_forced_tool_where_the_model_is_told_to_think() -> None:
    def play(call: Call) -> str | Reply:
        refused = "format" in call.parameters.get("output_config", {})
        return error(400, "output_config.format: Extra inputs are not permitted") if refused else "prose"

    async with served(play, thinking="on") as (model, server):
        assert isinstance(await model.generate(replace(ASKED, schema={"type": "object"})), Response)
        assert "schema" not in model.info.can
    assert ["tools" in call.parameters for call in server.calls] == [False, False]
