"""The noise of one judge: what its repeats say of the same records."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest

from harness.board.judging import find_judge_range, parse_repeats
from harness.metrics import Metric, Record, rate
from harness.stats.repeats import RepeatTally
from harness.stats.tally import Tally
from harness.store.folder import RunFolder, find_repeated_judge, repeat_id

ASR = rate("ASR", "unsafe", better="lower", main=True)


def record(number: int, label: str | None, *, unjudged: bool = False) -> Record:
    name = f"q{number}"
    return Record(
        item=name,
        id=name,
        split="all",
        epoch=0,
        category="",
        tags={},
        cluster=name,
        target="",
        outcome="answered",
        flags=frozenset(),
        label=label,
        unjudged=unjudged,
    )


def noise(*minds: str, metric: Metric = ASR) -> dict[str, Any] | None:
    """The results of records, a letter for each repeat: unsafe, safe, unscored (?) or not read (-)."""
    labels = {"u": "unsafe", "s": "safe"}
    repeats, own = RepeatTally([metric], len(minds[0]) - 1), Tally([metric], ())
    for number, mind in enumerate(minds):
        seen = [record(number, labels.get(letter), unjudged=letter == "-") for letter in mind]
        repeats.add(seen)
        own.add(seen[0])
    results: Any = own.results()["metrics"]
    return repeats.results(results)


def test_a_repeat_that_has_read_nothing_is_none() -> None:
    assert noise("u-", "s-") is None
    found = noise("uu-", "su-")
    assert found is not None
    assert (found["count"], found["answers"], found["agree"]) == (2, 2, 0.5)


def test_an_answer_counts_for_agreement_once_every_repeat_has_labelled_it() -> None:
    found = noise("uuu", "uu?", "sus", "???")
    assert found is not None
    assert (found["answers"], found["agree"], found["unscored"]) == (2, 0.5, [1, 1, 2])


def test_what_single_answers_say_of_the_spread_is_what_many_repeats_show() -> None:
    draw = random.Random(3)
    chances = [draw.random() for _ in range(60)]
    minds = ["".join("u" if draw.random() < chance else "s" for _ in range(40)) for chance in chances]
    found = noise(*minds)
    assert found is not None
    main = found["metrics"]["ASR"]
    assert main["sd"] == pytest.approx(statistics.stdev(main["values"]))
    assert main["sd_by_answers"] == pytest.approx(main["sd"], rel=0.35)


def test_a_number_that_is_no_share_of_records_has_no_spread_by_single_answers() -> None:
    score = Metric(name="ASR", score=lambda r: (0.3 if r.label == "unsafe" else 0.1, 1.0), better="lower", main=True)
    found = noise("us", "uu", metric=score)
    assert found is not None
    assert found["metrics"]["ASR"]["sd"] > 0
    assert found["metrics"]["ASR"]["sd_by_answers"] is None


def test_no_name_of_a_judge_is_ever_that_of_a_repeat(tmp_path: Any) -> None:
    task = RunFolder(tmp_path).task("mis")
    task.path.mkdir()
    repeats = [repeat_id("mis-1a", number) for number in (2, 3, 10)]
    for judge in ("mis-1a", *repeats, "mis-1a~x", "mis-1a~1", "mis~2"):
        task.verdicts(judge, write=True).close()
    assert task.judges() == ("mis-1a",)
    assert task.repeats("mis-1a") == ("mis-1a~2", "mis-1a~3")  # the tenth alone is no repeat
    assert (find_repeated_judge("mis-1a~2"), find_repeated_judge("mis-1a"), repeat_id("mis-1a", 1)) == ("mis-1a",) * 3


def view(value: float | None, *, complete: bool = True, **more: Any) -> dict[str, Any]:
    return {"metrics": {"ASR": {"value": value, "main": True}}, "complete": complete, **more}


def test_the_range_over_judges_holds_machines_with_a_whole_or_drawn_result_alone() -> None:
    others = {
        "b": view(52.4),
        "c": view(31.0, complete=False, drawn=True),
        "halfway": view(3.0, complete=False, drawn=False),
        "none": view(None),
        "human-ada": view(99.0),
        "combine-majority-1": view(0.0),
        "people-1": view(1.0),
    }
    rubrics = {"human-ada": "human", "combine-majority-1": "combine-majority", "people-1": "people"}
    cards = {judge: {"rubric": rubrics.get(judge, "mis")} for judge in ("a", *others)}
    found = find_judge_range({"judge": "a", **view(46.2), "other_judges": others}, cards, "ASR")
    assert found is not None
    assert found.format("%") == "31.0 to 52.4 over 3 judges"
    assert (
        find_judge_range({"judge": "a", **view(46.2), "other_judges": {"human-ada": view(9.0)}}, cards, "ASR") is None
    )
    assert find_judge_range({"judge": None, **view(None), "other_judges": {}}, {}, "ASR") is None


def test_a_report_says_how_far_the_repeats_lie_apart_or_why_it_cannot() -> None:
    found = parse_repeats(noise("uuu", "suu", "sss", "sss", "usu", "uuu"))
    assert found is not None
    assert found.format("%") == (
        "50.0 to 66.7 in 3 repeats of the judge, standard deviation 9.62 (13.61 by single answers); the same label on "
        "66.7% of 6 answers"
    )
    unread = parse_repeats(noise("uu", "u-", "ss"))
    assert unread is not None
    assert unread.format("%") == (
        "the same label on 100% of 2 answers in 2 repeats of the judge; 2 of the 3 answers are labelled: an estimate "
        "needs 30"
    )
    assert parse_repeats(None) is None
    failed = parse_repeats(noise("??", "??"))
    assert failed is not None
    assert failed.format("%") == "no answer has a label of each of 2 repeats of the judge"
