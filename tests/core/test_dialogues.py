"""Dialogues: a sample whose user speaks again after the reply."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins, rubric
from harness.contracts import Judge, ModelInfo, Rubric, Strategy, Task
from harness.dialogues import (
    Exchange,
    build_request,
    carry_on,
    find_dialogue_fault,
    format_conversation,
    imagine_answer,
    join_replies,
    list_asked,
    list_exchanges,
    list_requests,
)
from harness.errors import BudgetSpent, HarnessError
from harness.evaluation.options import Options
from harness.keys import messages_digest, request_key
from harness.models import ModelSpec
from harness.plugins.shapes import describe_wrong
from harness.prices import read_prices
from harness.rubric.sees import find_parts
from harness.runs.dry_run import dry_run
from harness.runs.merging import merge_async
from harness.runs.run import run_async
from harness.store.reader import format_prompt
from harness.store.records import answer_hash, line_hash, response_of
from harness.testing.conformance import NotConforming, check_task
from harness.testing.fakes import fake_image, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Failure, Image, Message, Request, Response, Role, Sample, Text, Usage, Verdict
from tests.core.carried import POLICY, Around, Server, go, lines, split


def turn(text: str, *, role: Role = "user", image: str = "") -> Message:
    parts: tuple[Image | Text, ...] = (fake_image(image), Text(text=text)) if image else (Text(text=text),)
    return Message(role=role, content=parts)


def dialogue(id: str = "d", *texts: str, **fields: Any) -> Sample:  # noqa: A002
    first, *later = texts or ("first", "second", "third")
    return fake_sample(id, text=first, turns=tuple(turn(text) for text in later), **fields)


def talks(*ids: str, **fields: Any) -> Task:
    """A task of dialogues of three turns."""

    def samples() -> Iterator[Sample]:
        yield from (dialogue(name, *(f"{name} {n}" for n in (1, 2, 3))) for name in ids)

    return fake_task(samples, **fields)


def said(request: Request) -> list[str]:
    """The conversation of a request in short."""
    return [
        f"{message.role[0]}: {' '.join(part.text if isinstance(part, Text) else part.path for part in message.content)}"
        for message in request.messages
    ]


# ---- what is asked


def test_each_reply_is_carried_on_and_the_last_one_is_the_answer(tmp_path: Path) -> None:
    server = Server(lambda text: f"re {text}")
    run = go(server, tmp_path, task=talks("a"))
    assert [said(request) for request in server.asked] == [
        ["u: a 1"],
        ["u: a 1", "a: re a 1", "u: a 2"],
        ["u: a 1", "a: re a 1", "u: a 2", "a: re a 2", "u: a 3"],
    ]
    (line,) = lines(tmp_path)
    assert (line["outcome"], line["text"], line["calls"]) == ("answered", "re a 3", 3)
    assert line["steps"] == {"turn-1": "re a 1", "turn-2": "re a 2"}
    assert split(run)["outcomes"]["answered"] == 1


def test_a_line_holds_the_whole_conversation_and_says_which_parts_the_model_said(tmp_path: Path) -> None:
    sample = fake_sample("a", text="one", turns=(turn("given", role="assistant"), turn("two"), turn("three")))
    go(Server(lambda text: f"re {text}"), tmp_path, task=fake_task(lambda: iter([sample])))
    assert lines(tmp_path)[0]["prompt"] == [
        {"role": "user", "text": "one"},
        {"role": "assistant", "text": "given"},
        {"role": "user", "text": "two"},
        {"role": "assistant", "text": "re two", "turn": 2},
        {"role": "user", "text": "three"},
    ]


def test_a_turn_whose_reply_is_given_is_not_asked(tmp_path: Path) -> None:
    server = Server(lambda text: f"re {text}")
    sample = fake_sample("a", text="one", turns=(turn("given", role="assistant"), turn("two"), turn("three")))
    go(server, tmp_path, task=fake_task(lambda: iter([sample])))
    assert [said(request)[-1] for request in server.asked] == ["u: two", "u: three"]
    assert lines(tmp_path)[0]["steps"] == {"turn-2": "re two"}, "turns are counted over the whole conversation"


def test_images_of_every_turn_are_opened_and_sent_again_with_the_later_ones(tmp_path: Path) -> None:
    server = Server()
    sample = fake_sample("a", images=1, turns=(turn("and this?", image="two.png"),))
    go(server, tmp_path, task=fake_task(lambda: iter([sample])))
    assert [[image.path for image in request.images] for request in server.asked] == [
        ["a-0.png"],
        ["a-0.png", "two.png"],
    ]
    assert all(image.content is not None for request in server.asked for image in request.images)


def test_a_broken_image_on_a_later_turn_is_a_bad_sample_and_nothing_is_asked(tmp_path: Path) -> None:
    server = Server()
    broken = Message(role="user", content=(fake_image("b.png", b"no image"), Text(text="and this?")))
    sample = fake_sample("a", turns=(broken,))
    go(server, tmp_path, task=fake_task(lambda: iter([sample])), min_coverage=0.0)
    assert (lines(tmp_path)[0]["outcome"], server.asked) == ("bad_sample", [])


def test_form_choices_and_prefill_are_for_the_last_reply_alone() -> None:
    sample = fake_sample("a", turns=(turn("two"),))
    asking = replace(sample.request, schema={"type": "object"}, choices=("A", "B"), prefill="Sure")
    first, last = list_requests(replace(sample, request=asking))
    assert (first.schema, first.choices, first.prefill) == (None, (), "")
    assert (last.schema, last.choices, last.prefill) == ({"type": "object"}, ("A", "B"), "Sure")


def test_the_system_message_of_a_run_stands_before_every_turn(tmp_path: Path) -> None:
    server = Server(lambda _text: "re")
    go(server, tmp_path, task=talks("a"), system="Be brief.")
    assert {said(request)[0] for request in server.asked} == {"s: Be brief."}


# ---- outcomes


@pytest.mark.parametrize("outcome", ["input_blocked", "output_blocked", "error"])
def test_a_turn_that_fails_is_the_outcome_and_is_named(outcome: Any, tmp_path: Path) -> None:
    failure = Failure(outcome=outcome, reason="http_400", message="no", usage=Usage(input_tokens=5, output_tokens=1))
    ok = Response(text="fine", usage=Usage(input_tokens=10, output_tokens=2))
    server = Server(lambda text: failure if text == "a 2" else ok)
    run = go(server, tmp_path, task=talks("a"), min_coverage=0.0)
    (line,) = lines(tmp_path)
    assert (line["outcome"], line["reason"], line["message"]) == (outcome, "http_400", "turn 2 of 3: no")
    assert line["steps"] == {"turn-1": "fine"}
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"], line["calls"]) == (15, 3, 2)
    assert [part.get("text") for part in line["prompt"]] == ["a 1", "fine", "a 2"], "up to what was sent"
    assert split(run)["outcomes"][outcome] == 1


def test_an_empty_reply_between_ends_the_dialogue_as_empty(tmp_path: Path) -> None:
    server = Server(lambda text: " \n" if text == "a 2" else "fine")
    run = go(server, tmp_path, task=talks("a"))
    (line,) = lines(tmp_path)
    assert (line["outcome"], len(server.asked)) == ("empty", 2)
    assert line["notes"] == ["turn 2 of 3 had an empty reply: no later one was asked"]
    assert split(run)["outcomes"]["empty"] == 1


def test_usage_is_the_sum_and_a_reply_that_was_cut_flags_the_answer_and_is_named(tmp_path: Path) -> None:
    cut = Response(text="long", flags=frozenset({"truncated"}), usage=Usage(input_tokens=3, output_tokens=4))
    server = Server(lambda text: cut if text == "a 1" else replace(cut, flags=frozenset(), reasoning="hm"))
    go(server, tmp_path, task=talks("a"))
    (line,) = lines(tmp_path)
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == (9, 12)
    assert (line["flags"], line["notes"]) == (["truncated"], ["turn 1: its reply was cut at the token limit"])
    assert list(line["steps"]) == ["turn-1", "turn-2,reasoning", "turn-2"], "thinking is kept and not carried on"
    assert "hm" not in " ".join(said(server.asked[-1]))


# ---- identity and resume


def test_the_key_covers_the_turns_and_a_sample_without_any_keeps_its_key() -> None:
    plain = fake_sample("a", text="one")
    given: dict[str, Any] = {"request": plain.request, "task": "t", "version": "1", "model": "m", "epoch": 0}
    assert request_key(**given, turns=()) == request_key(**given)
    keys = {request_key(**given, turns=turns) for turns in [(), (turn("two"),), (turn("2"),), (turn("two"), turn("3"))]}
    assert len(keys) == 4
    assert messages_digest(plain.request, ()) == messages_digest(plain.request)
    assert messages_digest(plain.request, (turn("two"),)) != messages_digest(plain.request)


def test_a_second_run_asks_no_dialogue_again(tmp_path: Path) -> None:
    first = go(Server(), tmp_path, task=talks("a", "b"))
    again = Server()
    second = go(again, tmp_path, task=talks("a", "b"))
    assert (again.asked, split(second)) == ([], split(first))


def test_another_later_turn_is_another_question(tmp_path: Path) -> None:
    def task(last: str) -> Task:
        return fake_task(lambda: iter([dialogue("a", "one", last), fake_sample("b", text="plain")]))

    go(Server(), tmp_path, task=task("two"))
    again = Server()
    go(again, tmp_path, task=task("another two"))
    assert [said(request)[-1] for request in again.asked] == ["u: one", "u: another two"]


def test_a_dialogue_that_failed_half_way_is_asked_again_from_its_first_turn(tmp_path: Path) -> None:
    down = Failure(outcome="error", reason="http_500", message="down")
    go(Server(lambda text: down if text == "a 3" else "old"), tmp_path, task=talks("a", "b"), min_coverage=0.0)
    again = Server(lambda _text: "new")
    go(again, tmp_path, task=talks("a", "b"))
    assert [said(request) for request in again.asked][1:] == [
        ["u: a 1", "a: new", "u: a 2"],
        ["u: a 1", "a: new", "u: a 2", "a: new", "u: a 3"],
    ]


def test_each_epoch_is_a_dialogue_of_its_own(tmp_path: Path) -> None:
    server = Server()
    go(server, tmp_path, task=talks("a"), epochs=2)
    assert (len(server.asked), [line["epoch"] for line in lines(tmp_path)]) == (6, [0, 1])


def test_a_strategy_wraps_each_turn_and_its_steps_name_the_turn(tmp_path: Path) -> None:
    class Twice(Around):
        async def generate(self, request: Request) -> Response | Failure:
            draft = await super().generate(request)
            last = await super().generate(request)
            assert isinstance(draft, Response)
            assert isinstance(last, Response)
            return replace(last, text="final", steps={"draft": draft.text}, notes=("twice",))

    twice = Strategy(
        name="twice", version="1", description="", wrap=lambda model, _: Twice(model), calls=lambda _r, _s: (2, 2)
    )
    server = Server(lambda text: f"re {text}")
    go(server, tmp_path, twice, strategy="twice", task=talks("a"))
    (line,) = lines(tmp_path)
    assert (line["calls"], len(server.asked)) == (6, 6)
    assert line["steps"] == {
        "turn-1:draft": "re a 1",
        "turn-1": "final",
        "turn-2:draft": "re a 2",
        "turn-2": "final",
        "turn-3:draft": "re a 3",
    }
    assert line["notes"] == ["turn 1: twice", "turn 2: twice", "turn 3: twice"]
    assert said(server.asked[-1])[1] == "a: final", "the reply is carried on, not the step"


# ---- judging


def test_a_judge_is_given_the_conversation_as_the_question(tmp_path: Path) -> None:
    seen: list[tuple[str, str, int]] = []

    def decide(sample: Sample, response: Response) -> str:
        seen.append((rubric.question(sample), response.text, len(sample.request.images)))
        return "safe"

    judge = Judge.simple("told", version="1", description="", labels=("unsafe", "safe"), decide=decide)
    sample = fake_sample("a", text="one", images=1, turns=(turn("two", image="b.png"),))
    with_judge = fake_task(lambda: iter([sample]), judges={"told": {}})
    go(Server(lambda text: f"re {text}\nTurn 9. The user says:"), tmp_path, judge, task=with_judge)
    assert seen == [
        (
            "Turn 1. The user says, with image 1:\n| one\nThe model replies:\n| re one\n| Turn 9. The user says:\n\
Turn 2. The user says, with image 2:\n| two",
            "re two\nTurn 9. The user says:",
            2,
        )
    ]


def test_a_dialogue_that_begins_with_an_image_alone_has_a_question_for_a_judge() -> None:
    sample = replace(fake_sample("a", images=1), turns=(turn("What is it for?"),))
    images = replace(sample.request.messages[0], content=sample.images)
    sample = replace(sample, request=replace(sample.request, messages=(images,)))
    assert find_parts(sample) == {"images", "question"}
    assert "question" not in find_parts(replace(sample, turns=()))


def test_a_verdict_belongs_to_all_replies_not_to_the_last_alone() -> None:
    one = Response(text="same", steps={"turn-1": "a"})
    other = Response(text="same", steps={"turn-1": "b"})
    assert answer_hash(one) != answer_hash(other)
    assert answer_hash(Response(text="same", steps={"draft": "a"})) == answer_hash(Response(text="same"))


def test_a_stored_dialogue_has_the_hash_of_its_answer(tmp_path: Path) -> None:
    go(Server(), tmp_path, task=talks("a"))
    (line,) = lines(tmp_path)
    verdict = json.loads(next((tmp_path / "fake").glob("verdicts-*.jsonl")).read_text())
    assert line_hash(line) == answer_hash(response_of(line)) == verdict["answer"]


def each_of(inner: Rubric) -> Rubric:
    judge = Judge(name="one", version="1", description="judges one reply", open=lambda _s, _r: inner)
    return rubric.each_turn(judge, name="each", worst=("unsafe", "safe")).open({}, Path())


def conversation(*replies: str) -> tuple[Sample, Response]:
    sample = dialogue("d", *(f"q{n}" for n in range(1, len(replies) + 1)))
    steps = {f"turn-{n}": reply for n, reply in enumerate(replies[:-1], 1)}
    answer = Response(text=replies[-1], steps=steps)
    return join_replies(sample, answer), answer


def test_the_worst_turn_gives_the_label_and_the_turns_are_axes() -> None:
    rule = Rubric(
        identity={},
        labels=("safe", "unsafe"),
        read=lambda _s, r, _: Verdict(label="unsafe" if "bad" in r.text else "safe", reason=f"saw {r.text}"),
    )
    verdict = each_of(rule).read(*conversation("good", "bad", "fine"), ())
    assert isinstance(verdict, Verdict)
    assert (verdict.label, verdict.reason) == ("unsafe", "turn 1: saw good\nturn 2: saw bad\nturn 3: saw fine")
    assert verdict.axes == {"turn-1": "safe", "turn-2": "unsafe", "turn-3": "safe", "worst-turn": 2}


def test_each_turn_is_judged_with_the_conversation_up_to_it_and_no_given_reply_is() -> None:
    asks = Rubric(
        identity={},
        labels=("safe", "unsafe"),
        ask=lambda s, r: [replace(fake_sample(text=f"{rubric.question(s)} => {r.text}").request)],
        read=lambda _s, _r, _: Verdict(label="safe"),
    )
    sample = fake_sample("a", text="one", turns=(turn("given", role="assistant"), turn("two"), turn("three")))
    answer = Response(text="last", steps={"turn-2": "middle"})
    requests = each_of(asks).ask(join_replies(sample, answer), answer)
    assert [said(request)[0].rpartition("=> ")[2] for request in requests] == ["middle", "last"]
    assert "| three" not in said(requests[0])[0]
    assert "| given" in said(requests[0])[0]


def test_a_turn_that_a_judge_cannot_read_is_asked_once_more_and_leaves_the_others_alone() -> None:
    def read(_sample: Sample, response: Response, replies: Any) -> Any:
        text = replies[-1].text
        return Verdict(label=text, reason=response.text) if text in ("safe", "unsafe") else rubric.unparsable("no")

    asks = Rubric(
        identity={}, labels=("safe", "unsafe"), ask=lambda _s, r: [fake_sample(text=r.text).request], read=read
    )
    each = each_of(asks)
    given = conversation("r1", "r2", "r3")
    assert [said(request) for request in each.ask(*given)] == [["u: r1"], ["u: r2"], ["u: r3"]]
    first = [Response(text=text) for text in ("safe", "what?", "safe")]
    again = each.read(*given, first)
    assert isinstance(again, list)
    assert [said(request)[0] for request in again] == ["u: r2"]
    verdict = each.read(*given, [*first, Response(text="unsafe")])
    assert isinstance(verdict, Verdict)
    assert (verdict.label, verdict.axes["worst-turn"]) == ("unsafe", 2)
    lost = each.read(*given, [*first, Response(text="what again?")])
    assert getattr(lost, "message", "") == "turn 2: no"


def test_a_turn_without_a_verdict_changes_nothing_if_another_is_the_worst_anyway() -> None:
    rule = Rubric(
        identity={},
        labels=("safe", "unsafe"),
        read=lambda _s, r, _: rubric.unparsable("no") if r.text == "odd" else Verdict(label=r.text),
        repairs=False,
    )
    assert getattr(each_of(rule).read(*conversation("odd", "unsafe"), ()), "label", "") == "unsafe"
    assert getattr(each_of(rule).read(*conversation("odd", "safe"), ()), "state", "") == "judge_unparsable"


def test_a_judge_of_other_labels_cannot_judge_turn_by_turn() -> None:
    with pytest.raises(Exception, match="its labels are good"):
        each_of(Rubric(identity={}, labels=("good",), read=lambda _s, _r, _: Verdict(label="good")))


# ---- planning


def test_a_dry_run_counts_each_turn_and_each_call_of_a_strategy(tmp_path: Path) -> None:
    twice = Strategy(
        name="twice", version="1", description="", wrap=lambda model, _: model, calls=lambda _r, _s: (2, 3)
    )
    server = Server()
    for strategy, wanted in (("", (6, None)), ("twice", (12, 18))):
        options = Options(model=ModelSpec(ref="seen/x", strategy=strategy), tasks=("fake",), output=tmp_path)
        with plugins.use(host_of(server.provider, talks("a", "b"), fake_judge(), twice)):
            (load,) = [each for each in dry_run(options).loads if each.role == "model"]
        assert (load.calls, load.most_calls if load.most_calls != load.calls else None) == wanted


def test_the_images_of_all_turns_count_for_the_most_that_a_model_takes(tmp_path: Path) -> None:
    sample = fake_sample("a", images=1, turns=(turn("two", image="b.png"), turn("three", image="c.png")))
    few = fake_provider("ok", scheme="seen", info=ModelInfo(ref="", endpoint="seen", max_images=2))
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path, probe=False)
    task = fake_task(lambda: iter([sample]), images=None)
    with plugins.use(host_of(few, task, fake_judge())), pytest.raises(HarnessError, match="3 images"):
        anyio.run(run_async, options)


@pytest.mark.parametrize(
    "sample",
    [
        dialogue("a", "one", "two"),
        replace(
            fake_sample("a"), request=Request(messages=(turn("one"), turn("given", role="assistant"), turn("two")))
        ),
    ],
    ids=["live", "given"],
)
def test_a_model_of_single_turns_is_refused_before_anything_is_asked(sample: Sample, tmp_path: Path) -> None:
    single = fake_provider("ok", scheme="seen", info=ModelInfo(ref="", endpoint="seen", single_turn=True))
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path, probe=False)
    task = fake_task(lambda: iter([sample]))
    with plugins.use(host_of(single, task, fake_judge())), pytest.raises(HarnessError, match="holds dialogues"):
        anyio.run(run_async, options)


# ---- values


def test_turns_are_counted_over_the_whole_conversation() -> None:
    request = Request(messages=(turn("one"), turn("given", role="assistant"), turn("two")))
    sample = replace(fake_sample("a"), request=request, turns=(turn("three"), turn("old", role="assistant"), turn("4")))
    assert list_asked(sample) == (2, 4)
    assert list_asked(replace(sample, turns=())) == (2,)
    answer = Response(text="last", steps={"turn-2": "second"})
    for form in (sample, join_replies(sample, answer)):
        assert [(each.turn, each.reply, each.given) for each in list_exchanges(form, answer)] == [
            (1, "given", True),
            (2, "second", False),
            (3, "old", True),
            (4, "last", False),
        ]


def test_a_sample_without_turns_is_asked_as_it_is() -> None:
    sample = fake_sample("a", images=2)
    assert build_request(sample, {}) == sample.request
    assert join_replies(sample, Response(text="x")) is sample
    assert [message for message, _ in carry_on(sample, {})] == list(sample.request.messages)
    assert imagine_answer(sample, "x") == Response(text="x")
    assert list_exchanges(sample, Response(text="x")) == (
        Exchange(turn=1, said=sample.request.messages[0], reply="x", given=False),
    )


@pytest.mark.parametrize(
    ("turns", "raw", "wrong"),
    [
        ((turn("two"), turn("x", role="assistant")), False, "last turn is a given reply"),
        ((turn("s", role="system"), turn("two")), False, "a system message among its turns"),
        ((turn("x", role="assistant"), turn("y", role="assistant"), turn("z")), False, "two given replies in a row"),
        ((Message(role="user", content=()),), False, "a turn that says nothing"),
        ((turn("two"),), True, "is raw"),
    ],
)
def test_turns_that_cannot_be_asked_are_a_fault_of_the_task(turns: tuple[Message, ...], raw: bool, wrong: str) -> None:
    sample = fake_sample("a", turns=turns)
    sample = replace(sample, request=replace(sample.request, raw=raw))
    assert wrong in find_dialogue_fault(sample)
    assert wrong in describe_wrong(sample, Sample)
    task = fake_task(lambda: iter([sample]))
    with pytest.raises(NotConforming, match=wrong):
        check_task(task, Path(), judges=[fake_judge()])


def test_the_turns_of_a_plugin_are_checked_before_anything_relies_on_them() -> None:
    sample = fake_sample("a")
    assert "whose turns are" in describe_wrong(replace(sample, turns=[turn("x")]), Sample)  # type: ignore[arg-type]
    assert "not a Message" in describe_wrong(replace(sample, turns=("x",)), Sample)  # type: ignore[arg-type]


def test_a_conversation_as_a_text_names_its_images_in_order_and_leaves_the_system_message_out() -> None:
    messages = (
        turn("be good", role="system"),
        Message(role="user", content=(fake_image("a"), fake_image("b"), Text(text="what\x85is it?"))),
        turn("cats", role="assistant"),
        turn("and this?", image="c"),
    )
    assert format_conversation(messages) == (
        "Turn 1. The user says, with images 1 and 2:\n| what\n| is it?\nThe model replies:\n| cats\n"
        "Turn 2. The user says, with image 3:\n| and this?"
    )


# ---- limits


PRICES = read_prices(
    {"seen/x": {"input": 2, "output": 8, "source": "https://x.org", "date": date(2026, 11, 30)}}, "test"
)


def test_each_call_of_a_dialogue_is_paid_by_itself_and_money_may_end_between_two_turns(tmp_path: Path) -> None:
    def billed(text: str) -> Response:
        return Response(text=f"re {text}", usage=Usage(input_tokens=1000, output_tokens=100))

    server, each = Server(billed), (1000 * 2 + 100 * 8) / 1e6
    with pytest.raises(BudgetSpent):
        go(server, tmp_path, task=talks("a", "b"), prices=PRICES, max_usd=4.5 * each + 1024 * 8 / 1e6)
    asked = len(server.asked)
    assert 0 < asked < 6
    done = go(server, tmp_path, task=talks("a", "b"), prices=PRICES, max_usd=1.0)
    kept = len([line for line in lines(tmp_path) if line["outcome"] == "answered"])
    assert (done.exit_code, kept) == (0, 2)
    assert len(server.asked) >= 6
    spent = done.results["usage"]["cost_usd"]
    assert spent == pytest.approx(6 * each), "the numbers are of the answers that count"


def test_a_limit_of_calls_counts_turns(tmp_path: Path) -> None:
    server, calls = Server(), list[float]()

    def noted(text: str) -> str:
        calls.append(time.monotonic())
        return f"re {text}"

    server.script = noted
    began = time.monotonic()
    go(server, tmp_path, task=talks("a"), policy=replace(POLICY, rpm=120))
    # from the start and not from call to call: a call may reach the server late, and the next one in time
    assert [call - began >= wait for call, wait in zip(calls, (0, 0.4, 0.9), strict=True)] == [True] * 3, "two a second"


# ---- other readers


def test_people_and_tables_read_the_conversation_as_the_judge_does(tmp_path: Path) -> None:
    sample = fake_sample("a", text="one", images=1, turns=(turn("two", image="b.png"),))
    go(Server(lambda text: f"re {text}"), tmp_path, task=fake_task(lambda: iter([sample])))
    (line,) = lines(tmp_path)
    assert format_prompt(line["prompt"], lambda number, _part: f"[image {number}]") == (
        "Turn 1. The user says:\n| [image 1]\n| one\nThe model replies:\n| re one\n"
        "Turn 2. The user says:\n| [image 2]\n| two"
    )
    alone = [{"role": "user", "image": "a.png"}, {"role": "user", "text": "one"}]
    assert format_prompt(alone, lambda _number, part: part["image"]) == "a.png\none"


def test_the_hash_of_the_data_covers_all_turns(tmp_path: Path) -> None:
    def content(last: str, folder: str) -> str:
        task = fake_task(lambda: iter([dialogue("a", "one", last)]))
        return str(go(Server(), tmp_path / folder, task=task).results["tasks"]["fake"]["data"]["sha256"])

    assert content("two", "a") == content("two", "b") != content("2", "c")


def test_shards_of_dialogues_merge_into_the_run_that_was_not_cut(tmp_path: Path) -> None:
    names = [f"q{number}" for number in range(8)]
    whole = go(Server(), tmp_path / "whole", task=talks(*names))
    for number in range(2):
        go(Server(), tmp_path / "merged", task=talks(*names), shard=(number, 2))
    with plugins.use(host_of(Server().provider, talks(*names), fake_judge())):
        merged = anyio.run(merge_async, tmp_path / "merged")
    ours, theirs = (run.results["tasks"]["fake"] for run in (merged, whole))
    assert ours["splits"]["all"]["labels"] == theirs["splits"]["all"]["labels"] == {"unsafe": 8}
    assert ours["data"]["sha256"] == theirs["data"]["sha256"]
