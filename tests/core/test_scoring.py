"""Rubrics that score a split at once: when, over which answers, and what becomes of what they do wrong."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Answered, Ask, Decision, Judge, Rubric
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.runs.additions import combine_judges
from harness.runs.run import Run, judge_async
from harness.store.folder import RunFolder
from harness.store.reader import read_answers
from harness.testing.conformance import NotConforming, check_judge
from harness.testing.fakes import FakeModel, fake_image, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Failure, Image, Message, Request, Response, Sample, Text, Unscored, Verdict
from tests.core.carried import Server, go, lines, numbered, split

YES, NO = Verdict(label="unsafe"), Verdict(label="safe")


class Scorer:
    """Scores a split by `each`; keeps what it was given, once for each time it was called."""

    def __init__(self, each: Callable[[Answered], Decision] = lambda row: YES if "yes" in row.response.text else NO):
        self.given: list[list[Answered]] = []
        self.folders: list[Path] = []
        self._each = each

    async def score(self, rows: Sequence[Answered], folder: Path, _: Ask) -> AsyncIterator[tuple[str, Decision]]:
        note(folder)
        self.given.append(list(rows))
        self.folders.append(folder)
        for row in rows:
            yield row.item, self._each(row)

    @property
    def judge(self) -> Judge:
        return judge_of(self.score)


def note(folder: Path) -> None:
    """A scorer's folder is its own and empty, so that nothing of an earlier one is read."""
    assert list(folder.iterdir()) == []
    (folder / "left behind.tsv").touch()


def judge_of(score: Any, **fields: Any) -> Judge:
    rubric = Rubric(identity={}, labels=("unsafe", "safe"), score=score)
    return Judge(name="whole", version="1", description="a fake", open=lambda *_: rubric, **fields)


def scored(server: Server, folder: Path, judge: Judge, *extra: Any, **fields: Any) -> Run:
    fields = {"task": fake_task(numbered(6), judges={"whole": {}}), **fields}
    return go(server, folder, judge, *extra, **fields)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    [file] = (folder / "fake").glob("verdicts-whole-*.jsonl")
    return lines(folder, file.stem)


def test_a_split_is_scored_once_after_its_last_answer(tmp_path: Path) -> None:
    scorer, server = Scorer(), Server()
    run = scored(server, tmp_path, scorer.judge)
    [rows] = scorer.given
    assert [row.sample.id for row in rows] == [f"q{n}" for n in range(6)]
    assert {row.response.text for row in rows} == {f"yes question {n}" for n in range(6)}
    assert split(run)["labels"] == {"unsafe": 6}
    assert (split(run)["verdicts"]["scored"], run.exit_code) == (6, 0)
    assert not scorer.folders[0].exists(), "the folder is gone"


def test_what_failed_was_blocked_or_is_empty_is_never_handed_over(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "question 0": Failure(outcome="error", reason="http_400"),
        "question 1": Failure(outcome="output_blocked", reason="content_filter", text="yes, but"),
        "question 2": " \n",
    }
    scorer = Scorer()
    run = scored(Server(lambda text: said.get(text, "yes")), tmp_path, scorer.judge)
    assert {row.sample.id for row in scorer.given[0]} == {"q3", "q4", "q5"}
    assert split(run)["outcomes"]["answered"] == 3
    assert split(run)["verdicts"]["scored"] == 3


def test_images_of_the_samples_are_not_held_open(tmp_path: Path) -> None:
    def one() -> list[Sample]:
        parts = (fake_image(), Text(text="question 0"))
        return [Sample(id="q0", split="all", request=Request(messages=(Message(role="user", content=parts),)))]

    scorer = Scorer()
    scored(Server(), tmp_path, scorer.judge, task=fake_task(one, judges={"whole": {}}, images=1))
    [image] = scorer.given[0][0].sample.request.images
    assert isinstance(image, Image)
    assert image.content is None


def test_a_second_run_scores_nothing_and_ends_alike(tmp_path: Path) -> None:
    first = scored(Server(), tmp_path, Scorer().judge)
    again = Scorer()
    second = scored(Server(), tmp_path, again.judge)
    assert again.given == []
    assert split(second) == split(first)


def test_one_answer_that_changes_has_all_of_them_scored_anew(tmp_path: Path) -> None:
    said: dict[str, Any] = {"question 0": Failure(outcome="error", reason="http_400")}
    scored(Server(lambda text: said.get(text, "no")), tmp_path, Scorer().judge)
    again = Scorer()
    run = scored(Server(lambda _: "yes"), tmp_path, again.judge)
    assert [len(rows) for rows in again.given] == [6]
    assert split(run)["labels"] == {"safe": 5, "unsafe": 1}


async def stopped_after_two(rows: Sequence[Answered], _folder: Path, _: Ask) -> AsyncIterator[tuple[str, Decision]]:
    for row in rows[:2]:
        yield row.item, YES if "yes" in row.response.text else NO
    raise KeyboardInterrupt


def combined(folder: Path) -> list[dict[str, Any]]:
    """The lines of an ensemble of this judge and a rule that says the same."""
    task = fake_task(numbered(6), judges={"whole": {}, "fake": {}})
    with plugins.use(host_of(Server().provider, task, fake_judge(), Scorer().judge)):
        anyio.run(partial(judge_async, folder, JudgeOptions(judges=("fake",))))
        combine_judges(folder, JudgeOptions())
    [file] = (folder / "fake").glob("verdicts-combine-*.jsonl")
    return lines(folder, file.stem)


def test_verdicts_on_other_answers_count_for_nothing_until_all_are_scored_anew(tmp_path: Path) -> None:
    said: dict[str, Any] = {"question 0": Failure(outcome="error", reason="http_400")}
    scored(Server(lambda text: said.get(text, "no")), tmp_path, Scorer().judge)
    with pytest.raises(KeyboardInterrupt):
        scored(Server(), tmp_path, judge_of(stopped_after_two))
    assert len(verdicts(tmp_path)) == 5 + 2, "what was stopped halfway left two lines"
    task = RunFolder(tmp_path).task("fake")
    counting = {each.asked["id"] for each in read_answers(task, "all", task.judges()) if each.verdicts}
    assert counting == {"q0", "q1"}
    assert {line["id"] for line in combined(tmp_path) if line["state"] == "scored"} == {"q0", "q1"}
    again = Scorer()
    run = scored(Server(), tmp_path, again.judge)
    assert [len(rows) for rows in again.given] == [6]
    assert split(run)["labels"] == {"safe": 5, "unsafe": 1}


def test_a_lower_limit_leaves_a_score_as_it_stands_and_asks_for_no_part_of_it(tmp_path: Path) -> None:
    first = scored(Server(), tmp_path, Scorer().judge)
    again = Scorer()
    run = scored(Server(), tmp_path, again.judge, limit=3)
    assert again.given == []
    assert split(run)["labels"] == split(first)["labels"] == {"unsafe": 6}
    assert run.exit_code == 0


def test_where_not_all_answers_are_at_hand_nothing_is_scored_and_the_run_says_what_to_do(tmp_path: Path) -> None:
    one = Scorer()
    scored(Server(), tmp_path / "one", one.judge, limit=1)
    [[first]] = one.given
    said: dict[str, Any] = {f"question {first.sample.id[1:]}": Failure(outcome="error", reason="http_400")}
    scored(Server(lambda text: said.get(text, "yes")), tmp_path, Scorer().judge)
    again = Scorer()
    run = scored(Server(), tmp_path, again.judge, limit=1)
    assert again.given == []
    found = split(run)
    assert (found["labels"], run.exit_code) == ({}, 3)
    assert found["verdicts"]["unjudged"] == found["outcomes"]["answered"] == 6
    [note] = [note for note in run.notes if "scores all answers at once" in note]
    assert "--limit" in note
    whole = Scorer()
    done = scored(Server(), tmp_path, whole.judge)
    assert ([len(rows) for rows in whole.given], split(done)["labels"]) == ([6], {"unsafe": 6})


def test_each_epoch_is_scored_by_itself(tmp_path: Path) -> None:
    scorer = Scorer()
    run = scored(Server(), tmp_path, scorer.judge, epochs=3)
    assert [len({row.sample.id for row in rows}) for rows in scorer.given] == [6, 6, 6]
    assert split(run)["verdicts"]["scored"] == 18


def crash_after_two(row: Answered) -> Decision:
    if row.sample.id == "q2":
        raise KeyError("l2-category")
    return NO


@pytest.mark.parametrize(
    ("each", "told"),
    [
        (crash_after_two, "KeyError: 'l2-category'"),
        (lambda row: Verdict(label="perhaps") if row.sample.id == "q2" else NO, "not one of its labels"),
    ],
)
def test_a_scorer_that_breaks_is_a_judge_error_of_what_it_left_and_the_next_run_scores_again(
    each: Callable[[Answered], Decision], told: str, tmp_path: Path
) -> None:
    run = scored(Server(), tmp_path, Scorer(each).judge)
    assert (run.exit_code, split(run)["verdicts"]["judge_error"], split(run)["verdicts"]["scored"]) == (3, 4, 2)
    broken = [line for line in verdicts(tmp_path) if line["state"] == "judge_error"]
    assert len(broken) == 4
    assert all(told in line["reason"] for line in broken)
    again = Scorer()
    second = scored(Server(), tmp_path, again.judge)
    assert ([len(rows) for rows in again.given], second.exit_code) == ([6], 0)


async def twice(rows: Sequence[Answered], _folder: Path, _ask: Ask) -> AsyncIterator[tuple[str, Decision]]:
    for row in [*rows[:2], rows[0]]:
        yield row.item, NO


async def strange(rows: Sequence[Answered], _folder: Path, _ask: Ask) -> AsyncIterator[tuple[str, Decision]]:
    yield "nobody", NO


async def silent(rows: Sequence[Answered], _folder: Path, _ask: Ask) -> AsyncIterator[tuple[str, Decision]]:
    for row in rows[:4]:
        yield row.item, NO


@pytest.mark.parametrize(("score", "errors"), [(twice, 4), (strange, 6), (silent, 2)])
def test_an_item_that_is_not_decided_on_once_is_a_judge_error(score: Any, errors: int, tmp_path: Path) -> None:
    run = scored(Server(), tmp_path, judge_of(score))
    assert split(run)["verdicts"]["judge_error"] == errors


def test_a_scorer_that_breaks_costs_its_own_task_alone(tmp_path: Path) -> None:
    other = fake_task(numbered(3), name="other")
    run = scored(Server(), tmp_path, judge_of(strange), other, tasks=("fake", "other"))
    assert run.results["tasks"]["other"]["splits"]["all"]["labels"] == {"unsafe": 3}


async def asking(rows: Sequence[Answered], _folder: Path, ask: Ask) -> AsyncIterator[tuple[str, Decision]]:
    for row in rows:
        request = Request(messages=(Message(role="user", content=(Text(text=row.response.text),)),))
        reply = await ask(row.item, request)
        yield row.item, reply if isinstance(reply, Unscored) else Verdict(label=reply.text)


def test_a_scorer_asks_the_judges_model_and_its_failures_are_states_of_their_items(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "yes question 0": Failure(outcome="input_blocked", reason="content_filter"),
        "yes question 1": Response(text="I cannot", flags=frozenset({"refusal"})),
    }
    judge = judge_of(asking, needs=frozenset())
    provider = fake_provider(lambda request: said.get(text_of(request), "safe"), scheme="judge")
    run = scored(Server(), tmp_path, judge, provider, judges=("judge/m",))
    found = split(run)["verdicts"]
    assert (found["scored"], found["judge_blocked"], found["judge_refused"]) == (4, 1, 1)
    assert {tuple(line["raw"]) for line in verdicts(tmp_path)} == {("safe",), (), ("I cannot",)}


def test_a_scorer_that_asks_a_model_scores_the_whole_split_once_for_each_repeat(tmp_path: Path) -> None:
    said = [*["safe"] * 6, *["unsafe"] * 6, *["safe"] * 6]
    judge = judge_of(asking, needs=frozenset())
    provider = fake_provider(lambda _: said.pop(0), scheme="judge")
    more: dict[str, Any] = {"judges": ("judge/m",), "judge_repeat": 3, "judge_vote": "majority"}
    run = scored(Server(), tmp_path, judge, provider, **more)
    assert said == []
    assert split(run)["labels"] == {"safe": 6}, "two of three"
    (own,) = split(run)["other_judges"].values()
    assert own["repeats"]["metrics"]["ASR"]["values"] == [0, 100, 0]
    assert own["repeats"]["agree"] == 0
    assert scored(Server(), tmp_path, judge, provider, **more).results["tasks"] == run.results["tasks"]


def text_of(request: Request) -> str:
    return next(part.text for part in request.messages[-1].content if isinstance(part, Text))


def test_a_judges_model_that_will_never_work_leaves_the_rest_unjudged(tmp_path: Path) -> None:
    def dead(request: Request) -> str:
        if "question 2" in text_of(request):
            raise HarnessError("wrong key")
        return "safe"

    judge = judge_of(asking, needs=frozenset())
    run = scored(Server(), tmp_path, judge, fake_provider(dead, scheme="judge"), judges=("judge/m",))
    found = split(run)["verdicts"]
    assert (found["scored"], found["unjudged"], found["judge_error"], run.exit_code) == (2, 4, 0, 3)


def test_judging_later_scores_the_stored_answers(tmp_path: Path) -> None:
    server, scorer = Server(), Scorer()
    task = fake_task(numbered(6), judges={"fake": {}, "whole": {}})
    go(server, tmp_path, scorer.judge, task=task)
    assert scorer.given == []
    with plugins.use(host_of(server.provider, task, fake_judge(), scorer.judge)):
        run = anyio.run(partial(judge_async, tmp_path, JudgeOptions(judges=("whole",))))
    assert [len(rows) for rows in scorer.given] == [6]
    [judge] = split(run)["other_judges"].values()
    assert judge["labels"] == {"unsafe": 6}


def test_the_contract_suite_finds_a_scorer_that_decides_on_what_it_was_not_given() -> None:
    check_judge(Scorer(lambda _: NO).judge, [fake_sample()])
    with pytest.raises(NotConforming, match="decides on 'nobody'"):
        check_judge(judge_of(strange), [fake_sample()])
    with pytest.raises(NotConforming, match="'perhaps'"):
        check_judge(Scorer(lambda _: Verdict(label="perhaps")).judge, [fake_sample()])
    assert FakeModel().asked == []
