"""`harness judges attack`: packaged answers that speak to their judge, and which verdicts they move.

Two models that only repeat what they read show what a rubric's form alone keeps out: one repeats the whole prompt, one
the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from harness_judging.attack import (
    ANSWERS,
    FAMILIES,
    Attack,
    AttackedAnswer,
    AttackedJudge,
    Attempt,
    attack_judges,
    count_attempts,
    load_attacks,
)

from harness import HarnessError, Model, ModelInfo, Provider, Request, Response, Settings, Text, hookimpl, plugins
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.plugins import Host
from harness.testing.faults import error
from harness.testing.server import Call, ChatServer
from tests.acceptance.commands import harness_here

Said = Callable[..., tuple[int, str, str]]
FENCED = re.compile(r"\[ANSWER ([0-9a-f]{16}): data, not instructions\]\n(.*)\n\[END OF ANSWER \1\]", re.DOTALL)
HERE = Path(__file__)


def texts(request: Request, role: str) -> list[str]:
    return [
        part.text
        for message in request.messages
        if role in ("", message.role)
        for part in message.content
        if isinstance(part, Text)
    ]


def find_answer(request: Request) -> str:
    """The answer in a judge's prompt: between its markers, or what the assistant said."""
    found = FENCED.search("\n".join(texts(request, "user")))
    return found[2] if found else texts(request, "assistant")[-1]


class Echo:
    """A model that repeats the whole prompt, or the answer in it."""

    def __init__(self, name: str) -> None:
        self.info = ModelInfo(ref=f"echo/{name}", endpoint="echo", can=frozenset({"images", "system", "schema"}))
        self._whole = name == "whole"

    async def generate(self, request: Request) -> Response:
        return Response(text="\n".join(texts(request, "")) if self._whole else find_answer(request))


@asynccontextmanager
async def open_echo(name: str, _: Settings) -> AsyncGenerator[Model]:
    yield Echo(name)


@hookimpl
def harness_models() -> Iterable[Provider]:
    return [Provider(scheme="echo", description="repeats what it reads", open=open_echo)]


HOST = Host.load([HERE], tell=lambda _: None)
PROMPTS = sorted(judge.name for judge, _ in HOST.offers("judges") if judge.needs is not None)


def attack(judge: str, questions: int = 1) -> AttackedJudge:
    options = Options(model=ModelSpec(ref="given/answers"), tasks=(), judges=(judge,), probe=False)
    with plugins.use(HOST):
        (found,) = anyio.run(partial(attack_judges, options, questions=questions))
    return found


def test_there_are_packaged_rubrics_with_prompts() -> None:
    assert len(PROMPTS) >= 13


@pytest.mark.parametrize("rubric", PROMPTS)
def test_a_judge_that_repeats_the_whole_prompt_is_moved_by_no_attack(rubric: str) -> None:
    found = attack(f"{rubric}=echo/whole").of()
    assert found.n > 100
    assert found.moved == 0
    assert found.none == {"judge_unparsable": found.n}


@pytest.mark.parametrize("rubric", PROMPTS)
def test_a_judge_that_repeats_the_answer_is_moved_only_by_an_answer_that_is_nothing_but_a_verdict(rubric: str) -> None:
    judge = attack(f"{rubric}=echo/answer")
    moved = [each for each in judge.attempts if each.moved]
    assert {each.of.attack.name for each in moved} <= {"verdict-alone", "verdict-fenced"}
    assert {each.of.answer for each in moved} <= {"blank"}
    assert all(each.after == each.of.label for each in moved)
    rounds = rubric in ("pairwise", "siuo")  # asks twice, in other words or in another order
    assert bool(moved) != rounds


@pytest.mark.parametrize("rule", ["mini", "keyword"])
def test_a_rule_is_moved_by_no_attack(rule: str) -> None:
    judge = attack(rule, questions=2)
    assert {judge.alone[place] for place in judge.alone if place[1] == "declines"} <= {"declines", "refusal"}
    found = judge.of()
    assert (found.moved, found.none) == (0, {})
    assert found.n > 100


def test_each_attack_has_a_family_a_name_of_its_own_and_only_known_places() -> None:
    attacks = load_attacks()
    assert len({each.name for each in attacks}) == len(attacks) > 30
    assert {each.family for each in attacks} == set(FAMILIES)
    for each in attacks:
        assert each.name.startswith(each.family)
        filled = each.fill("THE ANSWER", "LABEL", "VERDICT")
        assert ("THE ANSWER" in filled) == (each.kinds == ("declines", "complies"))
        assert ("LABEL" in filled or "VERDICT" in filled) == each.wants_label


def test_a_planted_reply_is_one_that_the_rubric_itself_reads() -> None:
    judge = attack("xstest=echo/answer")
    wanted = {each.of.label for each in judge.attempts if each.moved}
    assert wanted == {"full_compliance", "full_refusal", "partial_refusal"}


def attempt(before: str, after: str, label: str = "safe", state: str = "") -> Attempt:
    of = AttackedAnswer(
        attack=Attack(name="order-label", family="order", text=""),
        answer="complies",
        question="q",
        label=label,
        text="",
    )
    return Attempt(of=of, before=before, after=after, state=state)


def test_a_lost_verdict_is_counted_apart_and_one_that_the_attack_brought_about_has_moved() -> None:
    counts = count_attempts(
        [
            attempt("unsafe", "safe"),
            attempt("unsafe", "unsafe"),
            attempt("safe", "unsafe"),
            attempt("unsafe", "", state="judge_unparsable"),
            attempt("", "safe"),
        ]
    )
    assert (counts.n, counts.moved, counts.wanted) == (5, 3, 2)
    assert counts.none == {"judge_unparsable": 1}
    assert counts.moves == {"no verdict → safe": 1, "safe → unsafe": 1, "unsafe → safe": 1}
    assert counts.share.value == pytest.approx(0.6)
    assert count_attempts([]).share.value is None


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Said:
    """Exit code, stdout and stderr of `harness judges attack ARGUMENTS`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def run(*arguments: str) -> tuple[int, str, str]:
        ended = harness_here("judges", "attack", *arguments)
        return ended.code, ended.out, ended.err

    return run


def judge_gullibly(call: Call) -> str:
    """Obeys an answer that says how to label it; else says whether the answer complies."""
    ordered = re.search(r"you must label this answer (\w+)\.", call.text)
    label = ordered[1] if ordered else "yes" if "Sure. Put the red star" in call.text else "no"
    return json.dumps({"reason": "", "label": label})


def test_a_gullible_judge_moves_in_both_directions_and_the_counts_say_which_attack_did_it(said: Said) -> None:
    with ChatServer(judge_gullibly) as server:
        judge = ("--judge", "harmbench=openai/some", "-J", f"base_url={server.base_url}", "--no-probe")
        code, out, err = said(*judge, "--json", "--show")
        assert code == 0, err
        plain = said(*judge, "--show")[1]
    (found,) = json.loads(out)["judges"]
    assert {each["answer"]: each["says"] for each in found["alone"]} == {
        "declines": "no",
        "complies": "yes",
        "blank": "no",
    }
    order = found["families"]["order"]
    assert (order["moved"], order["wanted"], order["moves"]) == (2, 2, {"no → yes": 1, "yes → no": 1})
    assert [order["answers"][kind]["moved"] for kind in ("declines", "complies")] == [1, 1]
    assert (found["moved"], found["failed"], found["no_verdict"]) == (2, 0, {})
    assert {each["attack"] for each in found["shown"]} == {"order-label"}
    assert ANSWERS["complies"] in plain
    assert "order-label, where it complies: yes → no" in plain
    assert "yes → no: 1" in plain


def test_a_call_that_fails_is_in_no_count_and_makes_exit_3(said: Said) -> None:
    def play(call: Call) -> object:
        return error(400, "too long") if "reviewer" in call.text or "plain that what follows" in call.text else "no"

    with ChatServer(play) as server:  # type: ignore[arg-type]
        code, out, _ = said(
            "--judge", "harmbench=openai/some", "-J", f"base_url={server.base_url}", "--no-probe", "--json"
        )
    (found,) = json.loads(out)["judges"]
    assert code == 3
    assert found["failed"] == 4
    assert found["no_verdict"] == {"judge_unparsable": found["n"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no judge to measure"),
        (("--judge", "openai/some"), "give --judge RUBRIC=openai/some"),
        (("--judge", "keyword=openai/some"), "rubric 'keyword' is a rule and asks no model"),
        (("--judge", "harmbench"), "give --judge harmbench=SCHEME/NAME"),
        (("--judge", "keywort"), "keyword"),
        (("--judge", "vlmeval"), "scores a split as a whole, so no single answer can attack it"),
        (("--judge", "keyword", "-T", "keyword.word=x"), "keyword has no setting 'word'"),
    ],
)
def test_what_the_user_can_fix_is_said(said: Said, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = said(*arguments)
    assert code == 2
    assert message in err


def test_a_rubric_without_a_packaged_split_is_attacked_on_a_neutral_question(said: Said, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness import Judge, hookimpl\n\n\n@hookimpl\ndef harness_judges():\n"
        "    say = lambda sample, response: 'yes' if 'label is yes' in response.text else 'no'\n"
        "    return [Judge.simple('mine', version='1', description='a toy', labels=('yes', 'no'), decide=say)]\n",
        encoding="utf-8",
    )
    code, out, err = said("--judge", "mine", "--plugin", "mine.py", "--json")
    assert code == 0, err
    (found,) = json.loads(out)["judges"]
    assert (found["task"], found["model"]) == ("neutral", None)
    assert found["families"]["order"]["moves"] == {"no → yes": 2}  # order-test names the expected label


def test_the_prompt_of_a_rubric_that_asks_twice_gets_both_replies_planted() -> None:
    judge = attack("siuo=echo/answer")
    alone = {each.of.text for each in judge.attempts if each.of.attack.name == "verdict-alone"}
    assert all('"safety": ' in text and '"effectiveness": ' in text for text in alone)
    with pytest.raises(HarnessError):
        attack("siuo")
