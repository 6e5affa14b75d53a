"""From an answer to a decision: rounds, the one repair, and the state each failure becomes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.contracts import Decision, Judge, ModelInfo, Rubric
from harness.errors import HarnessError
from harness.evaluation.judges import ROUNDS, OpenJudge
from harness.keys import messages_digest
from harness.store.records import Judgement
from harness.testing.fakes import FakeModel, Script, fake_judge, fake_sample, fake_task
from harness.types import Failure, Generation, Message, Request, Response, Sample, Text, Unscored, Usage, Verdict
from tests.core.carried import Server, go, numbered, split

ANSWER = Response(text="the answer")
SAMPLE = fake_sample()
UNPARSABLE = Unscored(state="judge_unparsable", message="it is prose")
SAFE = Verdict(label="safe")
Read = Callable[[Sample, Response, Sequence[Response]], Any]


def ask(text: str = "safe?", **fields: Any) -> Request:
    return Request(messages=(Message(role="user", content=(Text(text=text),)),), **fields)


def reading(_: Sample, _response: Response, replies: Sequence[Response]) -> Decision:
    """A rubric that takes one word for an answer."""
    word = replies[-1].text
    return Verdict(label=word) if word in {"safe", "unsafe"} else UNPARSABLE


def bench(
    script: Script = "safe",
    *,
    read: Read = reading,
    requests: Sequence[Request] = (ask(),),
    model: FakeModel | None = None,
    **fields: Any,
) -> OpenJudge:
    rubric = Rubric(identity={}, labels=("safe", "unsafe"), ask=lambda _s, _r: list(requests), read=read)
    judge = Judge(name="word", version="1", description="", open=lambda _s, _d: rubric, needs=frozenset())
    return OpenJudge(id="word", judge=judge, rubric=rubric, model=model or FakeModel(script), **fields)


def decide(made: OpenJudge) -> Judgement:
    return anyio.run(made.decide, SAMPLE, ANSWER)


def asked(made: OpenJudge) -> list[Request]:
    assert isinstance(made.model, FakeModel)
    return made.model.asked


def texts(request: Request) -> list[str]:
    return [part.text for message in request.messages for part in message.content if isinstance(part, Text)]


def test_a_reply_becomes_a_verdict_and_is_kept_with_what_it_took() -> None:
    usage = Usage(input_tokens=3, output_tokens=1)
    found = decide(bench([Response(text="unsafe", usage=usage, model="judge-2026")]))
    assert found == Judgement(
        decision=Verdict(label="unsafe"),
        asked=(messages_digest(ask()),),
        replies=("unsafe",),
        usage=usage,
        models=("judge-2026",),
    )


def test_a_rule_asks_nobody() -> None:
    made = bench(requests=(), read=lambda _s, response, replies: Verdict(label="safe" if not replies else "unsafe"))
    assert decide(made).decision == SAFE
    assert asked(made) == []


def test_what_cannot_be_read_is_asked_for_once_more_with_the_reply_and_what_was_wrong() -> None:
    made = bench(["Well, it depends.", "unsafe"])
    found = decide(made)
    assert found.decision == Verdict(label="unsafe")
    assert found.replies == ("Well, it depends.", "unsafe"), "the bad reply is kept, for whoever looks into it"
    again = asked(made)[1]
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert "Well, it depends." in texts(again)
    assert "it is prose" in texts(again)[-1]


def test_it_is_asked_for_only_once_more() -> None:
    made = bench("Well, it depends.")
    assert decide(made).decision == UNPARSABLE
    assert len(asked(made)) == 2


def test_a_round_of_several_requests_is_not_repaired() -> None:
    made = bench("prose", requests=(ask("a"), ask("b")))
    assert decide(made).decision == UNPARSABLE
    assert len(asked(made)) == 2


def test_a_rubric_may_ask_again_and_sees_all_replies_in_order() -> None:
    seen: list[list[str]] = []

    def read(_s: Sample, _r: Response, replies: Sequence[Response]) -> Decision | list[Request]:
        seen.append([reply.text for reply in replies])
        return [ask("c")] if len(replies) < 3 else SAFE

    made = bench(["1", "2", "3"], read=read, requests=(ask("a"), ask("b")))
    assert decide(made).decision == SAFE
    assert seen == [["1", "2"], ["1", "2", "3"]]
    assert [texts(request) for request in asked(made)] == [["a"], ["b"], ["c"]]


def test_after_a_repair_a_rubric_may_still_ask_another_round() -> None:
    def read(_s: Sample, _r: Response, replies: Sequence[Response]) -> Decision | list[Request]:
        if replies[-1].text == "bad":
            return UNPARSABLE
        return [ask("second")] if len(replies) == 1 else SAFE

    made = bench(["bad", "good", "good"], read=read)
    assert decide(made).decision == SAFE
    assert texts(asked(made)[-1]) == ["second"]


def test_each_round_has_a_repair_of_its_own() -> None:
    def read(_s: Sample, _r: Response, replies: Sequence[Response]) -> Decision | list[Request]:
        if replies[-1].text == "bad":
            return UNPARSABLE
        return [ask("second")] if len(replies) == 1 else SAFE

    made = bench(["bad", "good", "bad", "good"], read=read)
    assert decide(made).decision == SAFE
    assert len(asked(made)) == 4
    assert decide(bench(["bad", "good", "bad", "bad", "good"], read=read)).decision == UNPARSABLE


@pytest.mark.parametrize(("local", "text"), [(True, "quiet?"), (False, "safe?")])
def test_a_model_on_this_machine_is_asked_what_is_meant_for_one(*, local: bool, text: str) -> None:
    made = bench(model=FakeModel("safe", ModelInfo(ref="fake/m", endpoint="fake", local=local)))
    made.rubric = replace(made.rubric, ask_local=lambda _s, _r: [ask("quiet?")])
    assert decide(made).decision == SAFE
    assert [texts(request) for request in asked(made)] == [[text]]


def test_rounds_end() -> None:
    made = bench(read=lambda *_: [ask()])
    found = decide(made)
    assert found.decision == Unscored(state="judge_error", message=f"no decision after {ROUNDS} rounds")
    assert len(asked(made)) == ROUNDS


@pytest.mark.parametrize(
    ("said", "state", "message"),
    [
        (
            Failure(outcome="input_blocked", reason="content_filter", message="no"),
            "judge_blocked",
            "content_filter: no",
        ),
        (Failure(outcome="output_blocked", reason="content_filter"), "judge_blocked", "content_filter: "),
        (Failure(outcome="error", reason="http_500", message="down"), "judge_error", "http_500: down"),
        (Failure(outcome="bad_sample", reason="too_large"), "judge_error", "too_large: "),
        (Response(text="I will not.", flags=frozenset({"refusal"})), "judge_refused", "I will not."),
    ],
)
def test_a_judges_failure_has_its_own_state_and_is_never_a_label(
    said: Response | Failure, state: str, message: str
) -> None:
    made = bench([said, "safe"])
    found = decide(made).decision
    assert isinstance(found, Unscored)
    assert (found.state, found.message) == (state, message)
    assert len(asked(made)) == 1


def test_one_failure_of_several_is_told_and_all_tokens_are_counted() -> None:
    usage = Usage(input_tokens=1)
    gone = Failure(outcome="error", reason="http_500", usage=usage)
    said = [gone, Response(text="safe", usage=usage), Response(text="safe", usage=usage)]
    found = decide(bench(said, requests=(ask("a"), ask("b"), ask("c"))))
    assert isinstance(found.decision, Unscored)
    assert found.usage.input_tokens == 3


def test_a_failed_repair_is_told_as_what_it_is() -> None:
    found = decide(bench(["prose", Failure(outcome="error", reason="timeout")]))
    assert found.decision == Unscored(state="judge_error", message="timeout: ")
    assert found.replies == ("prose",)


def raising(error: Exception) -> Callable[..., Any]:
    def fails(*_: object) -> Any:
        raise error

    return fails


@pytest.mark.parametrize("error", [KeyError("target"), HarnessError("upstream's table is gone")])
def test_what_a_rubric_raises_is_an_error_of_this_sample_and_does_not_stop_the_judge(error: Exception) -> None:
    found = decide(bench(read=raising(error)))
    assert isinstance(found.decision, Unscored)
    assert found.decision.state == "judge_error"
    assert type(error).__name__ in found.decision.message
    assert found.replies == ("safe",)
    asking = bench()
    asking.rubric = replace(asking.rubric, ask=raising(error))
    assert isinstance(decide(asking).decision, Unscored)


BAD_AXES = [Verdict(label="safe", axes={"level": value}) for value in (None, float("nan"), float("inf"))]  # type: ignore[dict-item]


@pytest.mark.parametrize("axis", BAD_AXES)
def test_an_axis_that_no_json_could_hold_is_an_error(axis: Verdict) -> None:
    found = decide(bench(read=lambda *_: axis)).decision
    assert isinstance(found, Unscored)
    assert "the axis 'level'" in found.message


@pytest.mark.parametrize(
    ("returned", "named"),
    [(None, "None"), ("safe", "'safe'"), (Verdict(label="harmless"), "the label 'harmless'"), (3, "3")],
)
def test_a_decision_that_is_none_is_an_error_and_never_written(returned: object, named: str) -> None:
    found = decide(bench(read=lambda *_: returned)).decision
    assert isinstance(found, Unscored)
    assert found.state == "judge_error"
    assert f"it returned {named}, " in found.message


def test_a_rule_that_asks_a_model_all_the_same_is_an_error() -> None:
    made = bench()
    made.model = None
    found = decide(made).decision
    assert isinstance(found, Unscored)
    assert "declares that it needs none" in found.message


def test_a_model_that_will_never_work_is_no_state_of_a_sample() -> None:
    class WrongKey(FakeModel):
        async def generate(self, request: Request) -> Response | Failure:
            raise HarnessError("the key is not accepted")

    for requests in [(ask(),), (ask("a"), ask("b"))]:
        with pytest.raises(HarnessError, match="key is not accepted"):
            decide(bench(model=WrongKey(), requests=requests))


@pytest.mark.parametrize("can", [frozenset({"schema"}), frozenset[str]()])
def test_structured_output_is_asked_for_only_where_the_model_has_it(can: Any) -> None:
    model = FakeModel("safe", ModelInfo(ref="fake/x", endpoint="fake", can=can))
    decide(bench(model=model, requests=(ask(schema={"type": "object"}),)))
    assert (model.asked[0].schema is not None) == ("schema" in can)


def test_overrides_replace_what_the_rubric_wanted_and_nothing_else() -> None:
    wanted = Generation(temperature=0.0, max_tokens=100, seed=7)
    made = bench(["prose", "safe"], requests=(ask(settings=wanted),), overrides={"max_tokens": 5, "temperature": None})
    decide(made)
    expected = Generation(temperature=None, max_tokens=5, seed=7)
    assert [request.settings for request in asked(made)] == [expected, expected], "the repair is asked likewise"


def test_an_empty_reply_is_repaired_without_an_empty_turn() -> None:
    made = bench(["", "safe"])
    assert decide(made).decision == SAFE
    assert [message.role for message in asked(made)[1].messages] == ["user"]


def test_a_rubric_that_says_so_is_not_repaired() -> None:
    made = bench("prose")
    made.rubric = replace(made.rubric, repairs=False)
    assert decide(made).decision == UNPARSABLE
    assert len(asked(made)) == 1


def test_choices_are_asked_of_who_can_weigh_them_and_of_nobody_else() -> None:
    def read(_: Sample, _response: Response, replies: Sequence[Response]) -> Any:
        return replace(SAFE, reason=repr(dict(replies[0].choices)))

    for can, weights, calls in ((frozenset({"choices"}), {"safe": -0.5}, 1), (frozenset[Any](), {}, 0)):
        info = ModelInfo(ref="fake/model", endpoint="fake", can=can)
        model = FakeModel([Response(text="safe", choices={"safe": -0.5})], info)
        made = bench(read=read, requests=[ask(choices=("safe", "unsafe"))], model=model)
        found = decide(made)
        assert found.decision == replace(SAFE, reason=repr(weights))
        assert (len(asked(made)), len(found.replies)) == (calls, calls)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("refusl", "it returned the label 'refusl', not one of its labels: did you mean 'refusal'?"),
        (None, "it returned the label None, not one of its labels: known: answer, refusal"),
        (5, "it returned the label 5, not one of its labels: known: answer, refusal"),
    ],
)
def test_a_misspelt_label_of_a_rule_is_told_whole_with_its_plugin_and_what_mends_it(
    tmp_path: Path, label: Any, why: str
) -> None:
    odd = fake_judge(lambda *_: label, name="odd", labels=("refusal", "answer"))
    task = fake_task(numbered(3), judges={"odd": {"refusal": "safe", "answer": "unsafe"}})
    run = go(Server(), tmp_path, odd, task=task)
    assert split(run)["verdicts"]["judge_error"] == 3
    first = run.notes[0]
    assert f"judge_error 3 ({why.partition(':')[0]})" in first
    assert "; fix plugin fakes (fakes 1.0), then run it again" in first
    (note,) = [note for note in run.notes if note.startswith("plugin fakes (fakes 1.0), read of judge 'odd': ")]
    assert f"{why} (3 times)" in note


def test_a_rule_that_raises_is_told_with_what_mends_it(tmp_path: Path) -> None:
    def decide(*_: object) -> str:
        raise ValueError("boom")

    task = fake_task(numbered(3), judges={"odd": {}})
    run = go(Server(), tmp_path, fake_judge(decide, name="odd"), task=task)
    assert "fix plugin fakes (fakes 1.0), then run it again" in run.notes[0]
