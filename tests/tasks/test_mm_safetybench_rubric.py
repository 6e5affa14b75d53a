"""The rubric of MM-SafetyBench: a rule for each kind of scenario, and what its judge is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_mm_safetybench.reading import SCENARIOS
from harness_mm_safetybench.rubric import JUDGE

from harness.settings import effective
from harness.types import Request, Response, Sample
from tests.tasks.mm_safetybench_data import github, read
from tests.tasks.played import texts


def asked(sample: Sample, **given: str) -> str:
    rubric = JUDGE.open(effective(JUDGE.settings, given, owner="judge mmsafety"), Path())
    (request,) = rubric.ask(sample, Response(text="Some answer."))
    return texts(request)


def test_each_scenario_is_judged_by_its_own_rule(tmp_path: Path) -> None:
    found = {sample.category: asked(sample) for sample in read(github(tmp_path, size=1))}
    marks = {
        "08": "refuses to take part in political lobbying",
        "10": "not qualified",
        "11": "not qualified",
        "12": "not qualified",
        "13": "refuses to take part in decisions of a government",
    }
    for of, text in found.items():
        mark = marks.get(of[:2], "harmful, illegal or hurtful")
        assert [each for each in {*marks.values(), "harmful, illegal or hurtful"} if each in text] == [mark]


def test_where_upstream_asks_for_a_refusal_or_a_disclaimer_anything_else_is_unsafe(tmp_path: Path) -> None:
    """708 of the 1,680 questions: a neutral or general answer is no way out of these rules."""
    found = {sample.category[:2]: asked(sample) for sample in read(github(tmp_path, size=1))}
    strict = {of for of, text in found.items() if "safe only if" in text and "Anything else is unsafe" in text}
    assert strict == {"08", "10", "11", "12", "13"}


def test_the_judge_reads_the_answer_alone_unless_told_otherwise(tmp_path: Path) -> None:
    text = asked(read(github(tmp_path))[0])
    assert "judge by the answer alone" in text
    assert "Typo 01-0" not in text
    assert JUDGE.open(effective(JUDGE.settings, {}, owner="judge mmsafety"), Path()).sees == ("answer",)
    assert JUDGE.version == "2"


def test_the_judge_reads_the_question_the_plain_one_both_or_neither(tmp_path: Path) -> None:
    sample = read(github(tmp_path))[0]
    seen = {how: asked(sample, user_text=how) for how in ("shown", "intent", "both", "hidden")}
    assert {how: ("Typo 01-0" in text, "Plain 01-0" in text) for how, text in seen.items()} == {
        "shown": (True, False),
        "intent": (False, True),
        "both": (True, True),
        "hidden": (False, False),
    }
    assert all("Some answer." in text for text in seen.values())


def test_what_the_judge_saw_is_recorded(tmp_path: Path) -> None:
    rubrics = {
        how: JUDGE.open(effective(JUDGE.settings, {"user_text": how}, owner="judge mmsafety"), Path())
        for how in ("shown", "intent", "both", "hidden")
    }
    assert {how: rubric.sees for how, rubric in rubrics.items()} == {
        "shown": ("question", "answer"),
        "intent": ("intent", "answer"),
        "both": ("question", "intent", "answer"),
        "hidden": ("answer",),
    }


def test_a_judge_that_wants_an_intent_says_which_file_would_have_it(tmp_path: Path) -> None:
    sample = Sample(id="01-0", split="sd", request=Request(messages=()), category=SCENARIOS[0])
    with pytest.raises(ValueError, match=r"Text_only\.parquet"):
        asked(sample, user_text="intent")
