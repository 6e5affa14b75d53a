"""`-T RUBRIC.sees`: a run, its judge's id and card, and what is refused before anything is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import Judge, Request, Sample, Task, Text, plugins, rubric
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions
from harness.runs.run import Run, judge_async
from harness.settings import identity
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Setting, Settings
from tests.core.carried import Server, go

SAID = '{"reason": "", "label": "safe"}'


def asker(tmp_path: Path, **fields: Any) -> Judge:
    """A rubric of a stranger's plugin, in three lines; it knows nothing of `sees`."""
    template = tmp_path / "tone.j2"
    template.write_text("Is it calm? {{ question }} {{ answer }} {{ form }}", encoding="utf-8")
    return rubric.judge(
        name="tone",
        version="1",
        description="calm or not",
        template=template,
        fields={"reason": str, "label": ("unsafe", "safe")},
        label="label",
        **fields,
    )


def task_of(listed: list[Sample]) -> Task:
    def read(_root: Path, _split: str, _settings: Settings) -> Iterator[Sample]:
        return iter(listed)

    return replace(fake_task({}, judges={"fake": {}, "tone": {}}), samples=read)


def samples(**fields: Any) -> Task:
    return task_of([fake_sample(f"q{n}", text=f"question {n}", **fields) for n in range(3)])


def run(folder: Path, task: Task, judge: Judge, sees: str | None, asked: list[Request] | None = None) -> Run:
    def say(request: Request) -> str:
        if asked is not None:
            asked.append(request)
        return SAID

    given = {} if sees is None else {"tone.sees": sees}
    provider = fake_provider(say, scheme="judging")
    return go(
        Server(),
        folder,
        judge,
        provider,
        task=task,
        judges=("tone=judging/any",),
        task_settings=given,
    )


def card(run: Run) -> tuple[str, Any]:
    ((name, found),) = run.results["judges"].items()
    return name, found


def words(request: Request) -> str:
    return "\n".join(p.text for m in request.messages for p in m.content if isinstance(p, Text))


def test_a_run_shows_its_judge_what_the_setting_names_and_says_so_on_the_judges_card(tmp_path: Path) -> None:
    asked: list[Request] = []
    made = run(tmp_path / "one", samples(), asker(tmp_path), "answer", asked)
    name, found = card(made)
    assert (found["sees"], found["settings"]["sees"]) == (["answer"], "answer")
    assert [re.findall(r"^question \d$", words(request), re.MULTILINE) for request in asked] == [[], [], []]
    usual, plain = card(run(tmp_path / "two", samples(), asker(tmp_path), None))
    assert (plain["sees"], "sees" in plain["settings"]) == (["question", "answer"], False)
    assert name != usual
    assert card(run(tmp_path / "three", samples(), asker(tmp_path), "answer, prompt"))[0] == usual


def test_stored_answers_are_judged_with_other_parts_beside_the_first_judge(tmp_path: Path) -> None:
    task, judge = samples(target={"intent": "the goal"}), asker(tmp_path)
    made = run(tmp_path / "run", task, judge, None)
    asked: list[Request] = []

    def say(request: Request) -> str:
        asked.append(request)
        return SAID

    options = JudgeOptions(judges=("tone=judging/any",), task_settings={"tone.sees": "goal,answer"}, probe=False)
    with plugins.use(host_of(Server().provider, task, fake_judge(), judge, fake_provider(say, scheme="judging"))):
        again = anyio.run(partial(judge_async, made.folder, options))
    assert len(again.results["judges"]) == 2
    assert len(asked) == 3
    assert all("the goal" in words(request) for request in asked)


@pytest.mark.parametrize(
    ("sees", "said"),
    [
        ("images,question,answer", "rubric tone is to show the images, and no sample of fake:all has that"),
        ("caption,question,answer", "is to show the images in words, and no sample of fake:all has that"),
        ("goal,answer", "is to show the goal behind the text, and no sample of fake:all has that"),
        ("question", "tone.sees=question: the rubric cannot do without the answer"),
        ("", "tone.sees= names nothing to show"),
        ("question,picture,answer", "there is no part 'picture'"),
    ],
)
def test_parts_that_no_sample_has_and_wrong_ones_are_refused_before_anything_is_asked(
    sees: str, said: str, tmp_path: Path
) -> None:
    asked: list[Request] = []
    with pytest.raises(HarnessError) as caught:
        run(tmp_path / "run", samples(), asker(tmp_path), sees, asked)
    assert said in str(caught.value)
    assert asked == []
    assert caught.value.remedy


def test_stored_answers_are_refused_such_a_judge_too(tmp_path: Path) -> None:
    task, judge = samples(), asker(tmp_path)
    made = run(tmp_path / "run", task, judge, None)
    options = JudgeOptions(judges=("tone=judging/any",), task_settings={"tone.sees": "caption,answer"})
    host = host_of(Server().provider, task, fake_judge(), judge, fake_provider(SAID, scheme="judging"))
    with plugins.use(host), pytest.raises(HarnessError, match="no sample of fake:all has that"):
        anyio.run(partial(judge_async, made.folder, options))


def test_one_sample_without_a_caption_is_a_judge_error_that_says_what_is_lacking(tmp_path: Path) -> None:
    listed = [fake_sample("q0", target={"caption": "a bridge"}), fake_sample("q1")]
    made = run(tmp_path / "run", task_of(listed), asker(tmp_path), "caption,question,answer")
    (split,) = made.results["tasks"]["fake"]["splits"].values()
    assert split["verdicts"]["judge_error"] == 1
    assert split["verdicts"]["scored"] == 1
    lines = next((tmp_path / "run" / "fake").glob("verdicts-*.jsonl")).read_text(encoding="utf-8")
    assert "sample q1 has no caption" in lines


def test_a_rule_has_no_such_setting_and_the_error_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"-T fake\.sees: fake is a rule, which asks no model"):
        go(Server(), tmp_path, task_settings={"fake.sees": "answer"}, judges=("fake",))


def test_the_default_of_a_setting_that_was_added_later_is_in_no_id() -> None:
    added = Setting(name="sees", type=str, default=None, identity=True, added=True)
    old = Setting(name="partial", type=str, default="strict", identity=True)
    assert identity((added, old), {"sees": None, "partial": "strict"}) == {"partial": "strict"}
    assert identity((added, old), {"sees": "answer", "partial": "strict"}) == {"sees": "answer", "partial": "strict"}
