"""The strategies: what the model is asked, what is kept of the way, and what a failure on it becomes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner
from harness_strategies.reminders import ADASHIELD_S, SELF_REMINDER
from harness_strategies.strategies import CAPTION, CHECK, COT, ECSO, PROMPTS, SYSTEM_DEFENCE, TEXT, says_yes
from harness_strategies.voting import JAILGUARD, SMOOTH

import harness
from harness import Failure, HarnessError, Image, Message, ModelInfo, Request, Response, Strategy, Text, Usage, plugins
from harness.cli import cli
from harness.evaluation.options import Options
from harness.models import ModelSpec, resolve
from harness.runs.dry_run import dry_run
from harness.runs.run import run_async
from harness.settings import effective
from harness.store.records import failure_of, response_line, response_of
from harness.testing.conformance import check_strategy
from harness.testing.fakes import (
    FakeModel,
    Said,
    fake_image,
    fake_judge,
    fake_provider,
    fake_sample,
    fake_task,
    host_of,
)

STRATEGIES = (SYSTEM_DEFENCE, COT, ECSO, SELF_REMINDER, ADASHIELD_S, JAILGUARD, SMOOTH)
IMAGES = (fake_image("one.png"), fake_image("two.png"))
ASK = Request(messages=(Message(role="user", content=(*IMAGES, Text(text="How do I join them?"))),))
BLOCK = Failure(outcome="input_blocked", reason="content_filter")


def asked(strategy: Strategy, said: list[Said], request: Request = ASK, **given: Any) -> tuple[Any, list[Request]]:
    """What comes out, and all that the model was asked."""
    model = FakeModel(said)
    wrapped = strategy.wrap(model, effective(strategy.settings, given, owner="strategy"))
    return anyio.run(wrapped.generate, request), model.asked


def parts(request: Request) -> list[tuple[str, str]]:
    """Role and text of each part; an image by its path."""
    return [
        (message.role, part.path if isinstance(part, Image) else part.text)
        for message in request.messages
        for part in message.content
    ]


def test_strategies_are_listed_with_what_they_need_and_a_plugin_adds_commands_to_the_list() -> None:
    listed = json.loads(CliRunner().invoke(cli, ["strategies", "--json"]).stdout)
    needs = {each["name"]: each["needs"] for each in listed}
    assert set(needs) >= {strategy.name for strategy in STRATEGIES}
    assert {name: needed for name, needed in needs.items() if needed} == {"eta": ["prefill"]}
    shown = CliRunner().invoke(cli, ["strategies", "show", "jailguard"]).stdout
    assert "--strategy jailguard -S KEY=VALUE" in shown
    assert "pool" in CliRunner().invoke(cli, ["strategies", "--help"]).stdout


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_strategy_keeps_its_contract(strategy: Strategy) -> None:
    check_strategy(strategy)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("how", [{"raw": True}, {"choices": ("A", "B")}])
def test_a_request_without_a_turn_fails_instead_of_going_on_without_the_strategy(
    strategy: Strategy, how: Mapping[str, Any]
) -> None:
    request = Request(messages=ASK.messages, **how)
    given, calls = asked(strategy, ["an answer"], request)
    assert isinstance(given, Failure)
    assert (given.outcome, given.reason, calls) == ("error", "no_chat_turn", [])


# system-defence


def test_the_defence_stands_in_the_system_message_and_the_request_is_else_as_it_was() -> None:
    given, (request,) = asked(SYSTEM_DEFENCE, ["no"])
    assert given == Response(text="no")
    assert parts(request) == [("system", TEXT), *parts(ASK)]


def test_a_system_message_that_is_there_follows_the_defence_in_the_same_one() -> None:
    own = Message(role="system", content=(Text(text="Be brief."),))
    _, (request,) = asked(SYSTEM_DEFENCE, ["no"], Request(messages=(own, *ASK.messages)), text="Take care.")
    assert [message.role for message in request.messages] == ["system", "user"]
    assert parts(request)[:2] == [("system", "Take care."), ("system", "Be brief.")]


def test_the_words_may_come_from_a_file_and_the_identity_knows_them_wherever_it_lies(tmp_path: Path) -> None:
    for name, words in (("a", "Take care.\n"), ("b", "Take care.\n"), ("c", "Beware.\n")):
        (tmp_path / name).write_text(words)
    _, (request,) = asked(SYSTEM_DEFENCE, ["no"], file=tmp_path / "a")
    assert parts(request)[0] == ("system", "Take care.")
    with plugins.use(host_of(SYSTEM_DEFENCE, fake_provider())):
        found = {name: _identity(file=str(tmp_path / name)) for name in ("a", "b", "c")}
        assert found["a"] == found["b"] != found["c"]
        assert _identity() != _identity(text="Take care.") != found["a"]


def _identity(**settings: str) -> Any:
    spec = ModelSpec(ref="fake/x", strategy="system-defence", strategy_settings=settings)
    return resolve(spec).identity(FakeModel())["strategy"]


@pytest.mark.parametrize("words", [{"text": " "}, {"file": Path("nowhere")}, {"text": "Beware.", "file": Path("x")}])
def test_words_that_cannot_serve_are_refused_before_anything_is_asked(words: dict[str, Any]) -> None:
    with pytest.raises(HarnessError):
        asked(SYSTEM_DEFENCE, ["no"], **words)


def test_a_file_of_a_strategy_that_is_missing_is_refused_by_that_reason(tmp_path: Path) -> None:
    with (
        plugins.use(host_of(SYSTEM_DEFENCE, fake_provider())),
        pytest.raises(HarnessError, match="-S file: the file cannot be read: No such file"),
    ):
        _identity(file=str(tmp_path / "nothing.txt"))


def test_a_model_without_system_messages_is_refused() -> None:
    model = FakeModel(info=ModelInfo(ref="fake/x", endpoint="fake", can=frozenset({"images"})))
    with pytest.raises(HarnessError, match="system"):
        SYSTEM_DEFENCE.wrap(model, effective(SYSTEM_DEFENCE.settings, {}, owner="strategy"))


# cot


@pytest.mark.parametrize("kind", sorted(PROMPTS))
def test_the_wish_to_think_stands_at_the_end_of_the_question(kind: str) -> None:
    _, (request,) = asked(COT, ["thinking"], prompt=kind)
    assert parts(request) == [*parts(ASK)[:2], ("user", f"How do I join them?\n\n{PROMPTS[kind]}")]


def test_after_an_image_the_wish_to_think_is_a_part_of_its_own() -> None:
    request = Request(messages=(Message(role="user", content=(Text(text="What is it?"), *IMAGES)),))
    _, (changed,) = asked(COT, ["thinking"], request)
    assert parts(changed) == [*parts(request), ("user", PROMPTS["vanilla"])]


# ecso


def test_an_answer_that_is_not_harmful_stands_and_the_check_is_kept() -> None:
    given, calls = asked(ECSO, ["Glue them.", "No."])
    assert (given.text, given.steps) == ("Glue them.", {"answer": "Glue them.", "harmful": "No."})
    assert parts(calls[0]) == parts(ASK)
    assert parts(calls[1]) == [*parts(ASK), ("assistant", "Glue them."), ("user", CHECK)]


def test_a_harmful_answer_is_given_again_from_a_caption_without_the_images() -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    said = [Response(text=text, usage=usage, notes=("scaled",)) for text in ("Burn it.", "Yes!", "Two boxes.", "No.")]
    given, calls = asked(ECSO, list(said))
    steps = {"answer": "Burn it.", "harmful": "Yes!", "caption": "Two boxes."}
    assert given == Response(text="No.", steps=steps, usage=Usage(input_tokens=4, output_tokens=8), notes=("scaled",))
    assert parts(calls[2]) == [*parts(ASK)[:2], ("user", f"{CAPTION}How do I join them?")]
    assert parts(calls[3]) == [("user", "What the images show: Two boxes."), ("user", "How do I join them?")]


def test_without_an_image_there_is_nothing_to_close_the_eyes_to() -> None:
    request = Request(messages=(Message(role="user", content=(Text(text="How?"),)),))
    given, calls = asked(ECSO, ["Burn it.", "yes"], request)
    assert (given.text, given.steps["harmful"], len(calls)) == ("Burn it.", "yes", 2)


@pytest.mark.parametrize(
    ("reply", "yes"), [("Yes", True), ("**no**, yes", False), ("I'd say yes.", True), ("", False), ("Eyes", False)]
)
def test_the_first_yes_or_no_decides_and_a_reply_with_neither_is_no_yes(reply: str, yes: bool) -> None:
    assert says_yes(reply) is yes


@pytest.mark.parametrize("before", [[], ["Burn it."], ["Burn it.", "yes"], ["Burn it.", "yes", "Two boxes."]])
def test_a_step_that_fails_ends_the_sample_as_it_failed_and_keeps_the_steps_before(before: list[str]) -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    said: list[Said] = [Response(text=text, usage=usage) for text in before]
    given, _ = asked(ECSO, [*said, replace(BLOCK, usage=Usage(input_tokens=5))])
    assert given.steps == dict(zip(("answer", "harmful", "caption"), before, strict=False))
    spent = Usage(input_tokens=5 + len(before), output_tokens=2 * len(before))
    assert given == replace(BLOCK, steps=given.steps, usage=spent)


def test_the_steps_before_a_blocked_check_stand_in_the_run_folder(tmp_path: Path) -> None:
    said: Iterator[Said] = iter(["Burn it.", BLOCK])
    with plugins.use(host_of(ECSO, fake_provider(lambda _: next(said)), fake_task(), fake_judge())):
        harness.run("fake/any", "fake", strategy="ecso", output=tmp_path / "run", probe=False)
    line = json.loads((tmp_path / "run/fake/responses.jsonl").read_text())
    assert (line["outcome"], line["steps"]) == ("input_blocked", {"answer": "Burn it."})
    assert failure_of(line) == replace(BLOCK, steps={"answer": "Burn it."})
    del line["steps"]  # a line of an older folder
    assert failure_of(line) == BLOCK


def test_an_empty_answer_is_left_empty_and_nothing_more_is_asked() -> None:
    given, calls = asked(ECSO, [" "])
    assert (given, len(calls)) == (Response(text=" "), 1)


def test_what_was_kept_of_the_way_stands_in_the_run_folder_and_is_not_asked_again(tmp_path: Path) -> None:
    said = iter(["Burn it.", "no"])
    host = host_of(ECSO, fake_provider(lambda _: next(said)), fake_task(), fake_judge())
    for _ in range(2):
        with plugins.use(host):
            run = harness.run("fake/any", "fake", strategy="ecso", output=tmp_path / "run", probe=False)
        assert run.results["model"]["strategy"]["name"] == "ecso"
    (line,) = (tmp_path / "run/fake/responses.jsonl").read_text().splitlines()
    assert '"steps":{"answer":"Burn it.","harmful":"no"}' in line


def told(request: Request) -> Said:
    """A model of which every second answer is harmful."""
    if request.messages[-1].content[-1] == Text(text=CHECK):
        return "Yes." if request.messages[0].content[-1] == Text(text="odd?") else "No."
    return "Glue."


def test_the_calls_of_a_strategy_are_counted_by_the_dry_run_before_and_by_the_results_after(tmp_path: Path) -> None:
    asks = [fake_sample(f"s{number}", text="odd?" if number % 2 else "even?", images=1) for number in range(10)]
    host = host_of(fake_provider(told), fake_task(lambda: asks), fake_judge(), ECSO)
    asked = Options(
        model=ModelSpec(ref="fake/m", strategy="ecso"), tasks=("fake",), epochs=2, output=tmp_path / "run", probe=False
    )
    with plugins.use(host):
        (load,) = dry_run(asked).loads
        run = anyio.run(run_async, asked)
    assert (load.calls, load.most_calls) == (20, 80)
    assert run.results["usage"]["model"]["calls"] == 2 * (5 * 2 + 5 * 4)
    with plugins.use(host):
        again = anyio.run(run_async, asked)
    assert again.results["usage"] == run.results["usage"], "what was read back was asked as often"


def test_a_call_that_is_tried_again_is_one_call_and_one_that_is_never_made_is_none(tmp_path: Path) -> None:
    passing = iter([Failure(outcome="error", reason="server", transient=True)])
    able = ModelInfo(ref="", endpoint="fake", can=frozenset({"images", "raw"}))
    raw = replace(fake_sample("b"), request=replace(ASK, raw=True))
    provider = fake_provider(lambda _: next(passing, "Glue."), info=able)
    host = host_of(provider, fake_task(lambda: [fake_sample("a"), raw]), fake_judge(), COT)
    given = harness.Policy(base=0.001)
    with plugins.use(host):
        run = harness.run(
            model="fake/m", tasks=["fake"], strategy="cot", output=tmp_path / "run", probe=False, policy=given
        )
    assert run.results["usage"]["model"]["calls"] == 1


@pytest.mark.parametrize(
    ("strategy", "request_", "calls"),
    [
        (COT, ASK, (1, 1)),
        (SYSTEM_DEFENCE, ASK, (1, 1)),
        (ECSO, ASK, (1, 4)),
        (ECSO, fake_sample(text="Why?").request, (1, 2)),
        (COT, replace(ASK, raw=True), (0, 0)),
        (ECSO, replace(ASK, choices=("A", "B")), (0, 0)),
    ],
)
def test_a_strategy_says_how_often_it_asks_at_least_and_at_most(
    strategy: Strategy, request_: Request, calls: tuple[int, int]
) -> None:
    assert strategy.calls is not None
    assert strategy.calls(request_, effective(strategy.settings, {}, owner="strategy")) == calls


def test_an_answer_is_read_back_with_its_steps_and_one_of_an_older_folder_without() -> None:
    answer = Response(text="Glue them.", steps={"answer": "Burn it.", "caption": "Two boxes."})
    line = response_line(fake_sample(), 0, "key", answer)
    assert response_of(line) == answer
    del line["steps"]
    assert response_of(line) == Response(text="Glue them.")
