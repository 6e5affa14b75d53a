"""Lines of a run folder: which are current, what they took, and the numbers that JSON can hold."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import Decision
from harness.keys import text_hash
from harness.runs.results import RunUsage
from harness.runs.stored import build_judged_item
from harness.stats.summary import JudgedItem
from harness.store import RunFolder, TaskFolder
from harness.store.reader import read_answers
from harness.store.records import (
    LOWEST,
    Judgement,
    item_line,
    response_line,
    response_of,
    sanitize_numbers,
    verdict_line,
)
from harness.testing.fakes import fake_sample
from harness.types import Failure, Response, Unscored, Usage, Verdict, add_usage

JUDGE, OTHER = "tone-openai-J-00000001", "words-00000002"
UNSAFE = Verdict(label="unsafe", axes={"level": 2.0}, reason="it tells how")


class Folder:
    """A task's folder that a test writes into, line by line."""

    def __init__(self, path: Path) -> None:
        self.task: TaskFolder = RunFolder(path).task("fake")

    def ask(self, *samples: str, key: str = "k1:a", split: str = "all", epochs: int = 1) -> None:
        with self.task.replace_listings():
            listing = self.task.open_listing(split, keep=False)
            for name in samples:
                for epoch in range(epochs):
                    sample = fake_sample(name, split=split, category="odd", tags={"where": "here"}, target=name)
                    listing.add(item_line(sample, epoch, key), "")
            listing.finish()

    def answer(self, sample: str, result: Response | Failure, *, key: str = "k1:a", epoch: int = 0) -> None:
        journal = self.task.responses(write=True)
        line = response_line(fake_sample(sample), epoch, key, result)
        journal.append(line, "all", sample, epoch, key, state=str(line["outcome"]))
        journal.close()

    def judge(
        self, sample: str, text: str, decision: Decision, *, by: str = JUDGE, key: str = "k1:a", **took: object
    ) -> None:
        journal = self.task.verdicts(by, write=True)
        judgement = Judgement(decision=decision, **took)  # type: ignore[arg-type]
        line = verdict_line(fake_sample(sample), 0, key, text_hash(text), judgement)
        journal.append(line, "all", sample, 0, key, text_hash(text), state=str(line["state"]))
        journal.close()

    def rows(self, *judges: str, split: str = "all") -> list[JudgedItem]:
        return [build_judged_item(answer) for answer in read_answers(self.task, split, judges or (JUDGE,))]

    def usage(self, *judges: str) -> RunUsage:
        usage = RunUsage()
        for answer in read_answers(self.task, "all", judges or (JUDGE,)):
            usage.add(answer)
        return usage


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_an_asked_item_without_a_line_is_unanswered_with_its_groups(folder: Folder) -> None:
    folder.ask("a")
    (row,) = folder.rows()
    assert (row.record.outcome, row.record.resolved, row.verdicts) == ("unanswered", False, {})
    assert (row.record.item, row.record.category) == ("fake/all/a#0", "odd")
    assert (row.record.tags, row.record.cluster, row.record.target) == ({"where": "here"}, "a", "a")


def test_the_last_line_with_the_asked_key_is_current_and_all_else_is_history(folder: Folder) -> None:
    folder.ask("a", key="k1:new")
    folder.answer("a", Response(text="asked otherwise"), key="k1:old")
    folder.answer("a", Failure(outcome="error", reason="http_500"), key="k1:new")
    assert [row.record.outcome for row in folder.rows()] == ["error"]
    folder.answer("a", Response(text="fine", flags=frozenset({"truncated"})), key="k1:new")
    (row,) = folder.rows()
    assert (row.record.outcome, row.record.flags) == ("answered", {"truncated"})


def test_an_answer_that_nobody_asked_for_now_is_not_counted(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Response(text="fine", usage=Usage(input_tokens=1)))
    folder.answer("b", Response(text="fine", usage=Usage(input_tokens=100)))
    assert [row.record.id for row in folder.rows()] == ["a"]
    assert folder.usage().model.spend.as_json()["input_tokens"] == 1


def test_a_verdict_counts_on_the_text_it_was_given_on_and_on_no_other(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Response(text="first"))
    folder.judge("a", "first", UNSAFE)
    assert [row.verdicts for row in folder.rows()] == [{JUDGE: UNSAFE}]
    folder.answer("a", Response(text="second"))
    assert [row.verdicts for row in folder.rows()] == [{}]


def test_the_last_verdict_on_a_text_is_current(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Response(text="first"))
    gone = Unscored(state="judge_error", message="http_500: down")
    folder.judge("a", "first", gone)
    assert [row.verdicts for row in folder.rows()] == [{JUDGE: gone}]
    folder.judge("a", "first", UNSAFE)
    assert [row.verdicts for row in folder.rows()] == [{JUDGE: UNSAFE}]


def test_judges_stand_side_by_side_and_one_that_is_not_asked_for_is_not_read(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Response(text="first"))
    folder.judge("a", "first", UNSAFE)
    folder.judge("a", "first", Verdict(label="safe"), by=OTHER)
    assert set(folder.rows(JUDGE, OTHER)[0].verdicts) == {JUDGE, OTHER}
    assert set(folder.rows(OTHER)[0].verdicts) == {OTHER}


def test_each_epoch_is_a_row(folder: Folder) -> None:
    folder.ask("a", epochs=3)
    folder.answer("a", Response(text="fine"), epoch=1)
    assert [(row.record.epoch, row.record.outcome) for row in folder.rows()] == [
        (0, "unanswered"),
        (1, "answered"),
        (2, "unanswered"),
    ]


def test_tokens_and_names_are_summed_over_current_lines(folder: Folder) -> None:
    folder.ask("a", "b", "c")
    usage = Usage(input_tokens=10, output_tokens=2, reasoning_tokens=1)
    folder.answer("a", Response(text="old", usage=usage, model="x-0"))
    folder.answer("a", Response(text="fine", usage=usage, model="x-1"))
    folder.answer("b", Failure(outcome="output_blocked", reason="content_filter", usage=usage, model="x-2"))
    folder.answer("c", Response(text="fine"))
    folder.judge("a", "fine", UNSAFE, usage=usage, models=("j-1",), replies=("unsafe",))
    total = folder.usage()
    assert total.model.spend.as_json() == {
        "calls": 3, "input_tokens": 20, "output_tokens": 4, "reasoning_tokens": 2,
    }  # fmt: skip
    assert total.model.models == {"x-1", "x-2"}
    assert (total.judges[JUDGE].spend.calls, total.judges[JUDGE].models) == (1, {"j-1"})


def test_cached_tokens_and_batch_are_stored_only_where_they_say_something() -> None:
    plain = response_line(fake_sample(), 0, "k1:a", Response(text="A", usage=USAGE))
    assert plain["usage"] == {"input_tokens": 3, "output_tokens": 2, "reasoning_tokens": 1}
    usage = replace(USAGE, cache_read_tokens=2, cache_write_tokens=1, batch=True)
    line = json.loads(json.dumps(response_line(fake_sample(), 0, "k1:a", Response(text="A", usage=usage))))
    assert response_of(line).usage == usage


def test_a_sum_is_of_a_batch_only_if_every_call_with_tokens_was() -> None:
    live, batch = USAGE, replace(USAGE, batch=True)
    assert add_usage(batch, batch, Usage()).batch
    assert not add_usage(batch, live).batch
    assert not add_usage(Usage(batch=True)).batch
    assert add_usage(batch, replace(batch, cache_read_tokens=2)).cache_read_tokens == 2


def test_a_rule_calls_nobody(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Response(text="fine"))
    folder.judge("a", "fine", UNSAFE, by=OTHER)
    assert folder.usage(OTHER).judges == {}


def test_a_sample_whose_image_is_broken_was_no_call(folder: Folder) -> None:
    folder.ask("a")
    folder.answer("a", Failure(outcome="bad_sample", reason="missing"))
    assert folder.usage().model.spend.calls == 0


def test_splits_are_read_one_by_one(folder: Folder) -> None:
    folder.ask("a")
    folder.ask("b", split="hard")
    assert [row.record.id for row in folder.rows(split="hard")] == ["b"]


NAN, INF = float("nan"), float("inf")
USAGE = Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)


def test_a_sound_answer_stays_as_it_is() -> None:
    response = Response(text="A", usage=USAGE, seconds=1.5, choices={"A": -0.1, "B": -7.5}, model="m", notes=("n",))
    assert sanitize_numbers(response) == response
    failure = Failure(outcome="output_blocked", reason="filter", text="half", usage=USAGE)
    assert sanitize_numbers(failure) == failure


def test_a_choice_the_model_rules_out_has_the_lowest_log_probability() -> None:
    result = sanitize_numbers(Response(text="A", choices={"A": -0.1, "B": -INF, "C": -1e300}))
    assert isinstance(result, Response)
    assert result.choices == {"A": -0.1, "B": LOWEST, "C": LOWEST}


@pytest.mark.parametrize("value", [NAN, INF, None, "high"])
def test_a_log_probability_that_is_none_fails_the_sample_and_names_the_choice(value: Any) -> None:
    result = sanitize_numbers(Response(text="A", choices={"A": -0.1, "B": value}, usage=USAGE, model="m"))
    assert isinstance(result, Failure)
    assert (result.outcome, result.reason, result.usage, result.model) == ("error", "bad_choices", USAGE, "m")
    assert result.message == f"the log-probability of 'B' is {value!r}"


@pytest.mark.parametrize("value", [NAN, INF, -INF, -1, None, "many"])
@pytest.mark.parametrize("kind", ["response", "failure"])
def test_tokens_and_seconds_that_are_no_numbers_are_0(value: Any, kind: str) -> None:
    usage = Usage(input_tokens=value, output_tokens=value, reasoning_tokens=1)
    given: Response | Failure = Response(text="A", usage=usage, seconds=value)
    if kind == "failure":
        given = Failure(outcome="error", reason="http_500", usage=usage)
    result = sanitize_numbers(given)
    assert result.usage == Usage(), "a call whose tokens are not said counts none of them"
    if isinstance(result, Response):
        assert result.seconds == 0.0


def test_numbers_of_a_librarys_own_type_become_plain_ones() -> None:
    quarter: Any = Fraction(-1, 4)
    result = sanitize_numbers(Response(text="A", choices={"A": quarter}, seconds=-quarter))
    line = json.loads(json.dumps(response_line(fake_sample(), 0, "k1:a", result)))
    assert (line["choices"], line["seconds"]) == ({"A": -0.25}, 0.25)
