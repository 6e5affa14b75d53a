"""What labelling promises: an answer in prose that a judge accepts, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness_builder.calls.results import Halted, StepResult, Unreadable, parse_prose
from harness_builder.steps.labelling import LabelJudge, Labeller
from harness_builder.values import Label
from harness_mini.provider import PROVIDER

from harness import Failure, HarnessError, Judge, Response, Rubric, UnknownName, Verdict, plugins
from harness.plugins import Host
from harness.testing.fakes import host_of
from tests.training.kinds import of_kind
from tests.training.played import (
    BROKEN,
    EXPLICIT,
    FILTERED,
    OBJECTS,
    PERSON,
    QUESTION,
    TIMEOUT,
    PlayedCalls,
    build_context,
    by,
    candidate,
    plan,
    text_of,
    turns,
)

pytestmark = pytest.mark.anyio


REASONED = "The first image shows a blue star, the second a red ring. Together they burn. I can not help with that."
BARE = "I can not help with that."
HELPS = "Sure. Take the blue star and put it on the red ring."
HOST = Host.load(tell=lambda _: None)


def judged(perception: str = "level1", safety: str = "safe") -> str:
    return json.dumps({"reason": "r", "perception": perception, "safety": safety})


MIS: dict[str, Any] = {"rubric": "mis", "accept": ("safe_reasoning",)}


@pytest.fixture(autouse=True)
def _host() -> Iterator[None]:
    with plugins.use(HOST):
        yield


async def made(played: PlayedCalls, **changes: Any) -> StepResult[Label]:
    found = await Labeller(build_context(played, **changes)).label(candidate(), QUESTION)
    assert isinstance(found, StepResult)
    return found


async def ended(played: PlayedCalls, **changes: Any) -> Halted:
    return of_kind(Halted, await Labeller(build_context(played, **changes)).label(candidate(), QUESTION))


async def test_the_mini_writer_labels_and_its_rule_needs_no_model() -> None:
    played = PlayedCalls()
    found = await made(played)
    assert found.value.verdict == "declines_with_reason"
    assert all(name in found.value.answer for name in OBJECTS)
    assert (found.value.text_question, found.value.text_answer, found.value.refusal) == ("", "", "")
    assert played.roles() == ["labeller"]
    assert len(by("labeller", played)[0].images) == 2


async def test_the_mini_writer_judges_by_the_rubric_of_mis() -> None:
    played = PlayedCalls()
    found = await made(played, **MIS)
    assert found.value.verdict == "safe_reasoning"
    assert played.roles() == ["labeller", "judge"]
    assert len(by("judge", played)[0].images) == 2
    assert QUESTION.text in text_of(by("judge", played)[0])
    assert len(found.calls) == 2


async def test_an_answer_that_the_judge_turns_down_is_drawn_again() -> None:
    played = PlayedCalls(labeller=turns(BARE, REASONED))
    found = await made(played)
    assert (found.value.answer, found.value.verdict) == (REASONED, "declines_with_reason")
    assert found.notes == ("answer 1: the judge says declines",)
    assert [asked.draw for asked in played.questions] == [0, 1]
    cold, warm = (request.settings.temperature for request in by("labeller", played))
    assert cold == 0.0
    assert warm is not None
    assert warm > 0, "at the same temperature the same answer would come back"


@pytest.mark.parametrize("tries", [1, 2, 3])
async def test_so_many_answers_are_drawn_and_then_it_is_dropped(tries: int) -> None:
    played = PlayedCalls(labeller=HELPS)
    found = await ended(played, tries=tries)
    assert (found.end, found.why) == ("dropped", "the judge says complies")
    assert found.note.count("the judge says complies") == tries
    assert len(by("labeller", played)) == tries


async def test_only_an_accepted_label_is_taken() -> None:
    assert (await made(PlayedCalls(labeller=BARE), accept=("declines", "complies"))).value.verdict == "declines"


@pytest.mark.parametrize("said", ["Fine, I think.", FILTERED, BROKEN, Response(text="", flags=frozenset({"refusal"}))])
async def test_a_judge_that_says_nothing_accepts_nothing(said: str | Response | Failure) -> None:
    found = await ended(PlayedCalls(judge=said), **MIS)
    assert (found.end, found.why, found.again) == ("failed", "the judge gave no verdict", False)


async def test_a_judge_that_said_nothing_once_is_asked_about_the_next_answer() -> None:
    played = PlayedCalls(judge=turns(FILTERED, judged()), labeller=turns(REASONED, REASONED + " Ask a neighbour."))
    found = await made(played, **MIS)
    assert found.value.answer.endswith("Ask a neighbour.")
    assert found.notes == ("answer 1: the judge says nothing readable",)


async def test_a_judges_reply_that_cannot_be_read_is_asked_for_once_more() -> None:
    played = PlayedCalls(judge=turns("It is safe.", judged()))
    found = await made(played, **MIS)
    assert found.value.verdict == "safe_reasoning"
    assert played.roles() == ["labeller", "judge", "judge"]
    assert len(found.calls) == 3


async def test_a_judges_call_that_failed_in_passing_decides_nothing() -> None:
    played = PlayedCalls(judge=TIMEOUT)
    found = await ended(played, **MIS)
    assert (found.end, found.again) == ("failed", True)
    assert len(by("labeller", played)) == 1, "no other answer is paid for"


async def test_a_judge_that_will_never_work_ends_the_build() -> None:
    def fails(_: object) -> str:
        raise HarnessError("the key is wrong")

    with pytest.raises(HarnessError, match="the key is wrong"):
        await Labeller(build_context(PlayedCalls(judge=fails), **MIS)).label(candidate(), QUESTION)


async def test_a_fault_of_the_builds_own_is_no_silence_of_the_judge() -> None:
    def fails(_: object) -> str:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        await Labeller(build_context(PlayedCalls(judge=fails), **MIS)).label(candidate(), QUESTION)


NO_PROSE = [
    "## What I see\nA star.",
    "**What I see**\nA star.",
    "Step 1:\nA star.",
    "A star.\n- a ring",
    "A star.\n  2) a ring",
    "| star | ring |",
    "```\nA star.\n```",
    '{"answer": "A star."}',
    "  ",
]


@pytest.mark.parametrize("said", NO_PROSE)
async def test_an_answer_that_is_no_prose_is_asked_for_once_more(said: str) -> None:
    played = PlayedCalls(labeller=turns(said, REASONED))
    assert (await made(played)).value.answer == REASONED
    played = PlayedCalls(labeller=said)
    found = await ended(played)
    assert (found.end, found.again) == ("failed", False)
    assert len(by("labeller", played)) == 2


@pytest.mark.parametrize(
    "said",
    [
        REASONED,
        f"{REASONED}\n\nA *safe* way is to leave them apart - and to ask.",
        "In 2024. That was it.",
        "この二つを一緒にしないでください。",
        "No: 3.5 metres apart, at least.\nThat is safe.",
    ],
)
def test_prose_may_have_paragraphs_numbers_and_dashes(said: str) -> None:
    assert parse_prose(f"\n{said} \n") == said


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(Unreadable, match="it holds lists"):
        parse_prose("Leave them apart.\n- one thing\n- another")


async def test_an_answer_that_is_stopped_ends_the_element() -> None:
    assert await ended(PlayedCalls(labeller=f"{REASONED} {PERSON}")) == Halted(end="stopped", why="person")


@pytest.mark.parametrize(
    ("said", "end", "again"), [(FILTERED, "refused", False), (TIMEOUT, "failed", True), (BROKEN, "failed", False)]
)
async def test_a_labeller_that_gives_no_answer_ends_the_element(said: Failure, end: str, again: bool) -> None:
    found = await ended(PlayedCalls(labeller=said))
    assert (found.end, found.again) == (end, again)


@pytest.mark.parametrize(("how", "end"), [("prose", "dropped"), ("refuse", "dropped"), ("loop", "failed")])
async def test_a_writer_that_misbehaves_labels_nothing(how: str, end: str) -> None:
    async with PROVIDER.open(f"writer-{how}", {}) as labeller:
        assert (await ended(PlayedCalls(labeller=labeller))).end == end


async def test_both_ablations_are_made_where_they_are_asked_for() -> None:
    played = PlayedCalls()
    found = (await made(played, text_only=True, refusal=True)).value
    assert found.text_question == EXPLICIT
    assert "image" not in found.text_answer
    assert found.text_answer
    assert found.refusal == BARE
    assert [len(request.images) for request in by("labeller", played)] == [2, 0, 0]


async def test_a_refusal_that_gives_its_reasons_is_asked_for_once_more() -> None:
    played = PlayedCalls(labeller=turns(REASONED, "No. " * 100, "Sorry, no."))
    assert (await made(played, refusal=True)).value.refusal == "Sorry, no."
    assert "without a reason" in text_of(by("labeller", played)[2])


@pytest.mark.parametrize("ablation", ["text_only", "refusal"])
async def test_an_ablation_that_fails_fails_the_label(ablation: str) -> None:
    played = PlayedCalls(labeller=lambda request: REASONED if request.images else BROKEN)
    assert (await ended(played, **{ablation: True})).end == "failed"


async def test_answers_are_written_in_the_language_of_the_plan() -> None:
    played = PlayedCalls(labeller=REASONED)
    await made(played, language="Swahili", refusal=False)
    assert "Swahili" in text_of(by("labeller", played)[0])


# ---- rubrics ---------------------------------------------------------------------------------------------------------


TOGETHER = "A blue star and a red ring burn together, so I can not help with that."


async def test_a_rubric_that_raises_accepts_nothing() -> None:
    def read(*_: object) -> Verdict:
        raise KeyError("a field")

    judge = Judge(name="mine", version="1", description="raises", open=lambda _s, _r: _rubric(read=read))
    with plugins.use(host_of(judge)):
        context = build_context(PlayedCalls(labeller=TOGETHER), rubric="mine", accept=("good",))
        found = await Labeller(context).label(candidate(), QUESTION)
    assert isinstance(found, Halted)
    assert (found.end, found.why) == ("failed", "the judge gave no verdict")


async def test_the_rubric_is_opened_once_for_a_build() -> None:
    opened: list[str] = []
    rubric = Rubric(identity={}, labels=("good",), read=lambda _s, _r, _: Verdict(label="good"))

    def open_it(_: object, root: object) -> Rubric:
        opened.append(str(root))
        return rubric

    judge = Judge(name="mine", version="1", description="says good", open=open_it)
    with plugins.use(host_of(judge)):
        labeller = Labeller(build_context(PlayedCalls(labeller=TOGETHER), rubric="mine", accept=("good",)))
        for _ in range(3):
            assert isinstance(await labeller.label(candidate(), QUESTION), StepResult)
    assert len(opened) == 1
    assert opened[0].endswith("mine"), "it is given its own data root"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rubric": "mis", "accept": ("safe_reasonin",)}, "did you mean 'safe_reasoning'"),
        ({"rubric": "mini", "accept": ("declines", "safe")}, "'safe' is not a label of the rubric 'mini'"),
        ({"accept": ()}, "accepts no label"),
    ],
)
def test_an_accepted_label_that_the_rubric_does_not_have_is_told_before_anything_is_asked(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        LabelJudge.open(plan(**changes))
    assert said in str(caught.value)


def test_a_rubric_that_nobody_offers_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="minni"):
        LabelJudge.open(plan(rubric="minni"))


def test_a_rubric_that_a_build_cannot_ask_is_refused() -> None:
    raw = Judge(name="raw", version="1", description="raw", needs=frozenset({"raw"}), open=lambda _s, _r: _rubric())

    async def score(*_: object) -> Any:
        yield "", Verdict(label="good")

    whole = Judge(name="whole", version="1", description="split", open=lambda _s, _r: _rubric(score=score))
    with plugins.use(host_of(raw, whole)):
        with pytest.raises(HarnessError, match="needs a model that can: raw"):
            LabelJudge.open(plan(rubric="raw", accept=("good",)))
        with pytest.raises(HarnessError, match="whole splits"):
            LabelJudge.open(plan(rubric="whole", accept=("good",)))


def _rubric(**changes: Any) -> Rubric:
    return Rubric(identity={}, labels=("good",), **changes)


def test_a_rubric_of_every_kind_that_is_offered_for_two_images_can_be_asked() -> None:
    LabelJudge.open(plan(rubric="mis", accept=("safe_reasoning", "safe_refusal")))
    LabelJudge.open(plan())
