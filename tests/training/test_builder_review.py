"""What reviewers decide: kept line by line, resumed, taken back, and asked again where a candidate has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from harness_builder.review import OutdatedReview, Queue

from harness import BadData, HarnessError
from tests.training.reviewed import (
    CATEGORIES,
    answer_all,
    candidate,
    candidates,
    image,
    keys,
    lines,
    queue,
    review,
)


def test_each_decision_is_a_line_of_its_own_with_what_was_shown(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1, text_unsafe=False, reason="clear", seconds=2.5)
    (line,) = lines(tmp_path)
    assert (line["key"], line["decision"], line["text_unsafe"], line["seconds"]) == (key, "keep", False, 2.5)
    assert len(line["shown"]) == 16
    assert line["at"].endswith("+00:00")


def test_a_reviewer_goes_on_where_they_stopped(tmp_path: Path) -> None:
    done = answer_all(queue(tmp_path, 10), "ann", 3)
    again = queue(tmp_path, 10).session("ann").progress()
    assert list(again.decided) == done
    assert set(again.open) == set(queue(tmp_path, 10).candidates) - set(done)
    assert [*done, *again.open] == queue(tmp_path, 10).order("ann")


def test_a_torn_line_is_cut_and_the_candidate_is_asked_again(tmp_path: Path) -> None:
    first, second = answer_all(queue(tmp_path), "ann", 2)
    path = tmp_path / "review" / "reviews-ann.jsonl"
    os.truncate(path, path.stat().st_size - 7)

    session = queue(tmp_path).session("ann")
    assert list(session.progress().decided) == [first]
    session.answer(review(second))
    assert [line["key"] for line in lines(tmp_path)] == [first, second]


def test_a_whole_line_that_is_none_of_ours_is_named_with_its_number(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann", 1)
    with (tmp_path / "review" / "reviews-ann.jsonl").open("a") as file:
        file.write('{"decision": "perhaps", "reviewer": "ann"}\n')
    with pytest.raises(BadData, match=r"perhaps.*\n?") as told:
        queue(tmp_path).session("ann").progress()
    assert told.value.where.endswith("reviews-ann.jsonl, line 2")


def test_what_is_taken_back_is_asked_next_and_its_lines_stay(tmp_path: Path) -> None:
    session = queue(tmp_path).session("ann")
    first, second = answer_all(queue(tmp_path), "ann", 2, reason="so")
    before = session.undo(second)
    assert before is not None
    assert before.reason == "so"
    assert queue(tmp_path).session("ann").progress().open[0] == second
    session.answer(review(second, decision="drop"))
    assert [line["decision"] for line in lines(tmp_path)] == ["keep", "keep", "undone", "drop"]
    assert {each.key: each.decision for each in queue(tmp_path).reviews()} == {first: "keep", second: "drop"}


def test_first_answers_are_kept_apart_from_those_given_after_the_model_was_heard(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1)
    session = queue(tmp_path).session("ann")
    session.undo(key)
    session.answer(review(key, decision="drop"))
    assert [each.decision for each in queue(tmp_path).reviews()] == ["drop"]
    assert [each.decision for each in queue(tmp_path).reviews(first=True)] == ["keep"]


def test_only_the_last_answer_can_be_taken_back_one_after_the_other(tmp_path: Path) -> None:
    first, second = answer_all(queue(tmp_path), "ann", 2)
    session = queue(tmp_path).session("ann")
    with pytest.raises(OutdatedReview):
        session.undo(first)
    session.undo(second)
    session.undo(first)
    assert not session.progress().decided


def test_an_answer_to_what_is_decided_already_is_refused(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1)
    other = queue(tmp_path).session("ann")  # as of another server over the same folder
    with pytest.raises(OutdatedReview):
        other.answer(review(key, decision="drop"))
    assert len(lines(tmp_path)) == 1


def test_categories_left_out_and_skipped_candidates_are_told_from_decided_ones(tmp_path: Path) -> None:
    session = queue(tmp_path, 6).session("ann")
    session.leave_out(["colours"])
    key = session.progress().open[0]
    session.skip(key)
    session.answer(review(session.progress().open[0]))

    again = queue(tmp_path, 6).session("ann").progress()
    assert (len(again.decided), again.skipped, len(again.left_out), len(again.open)) == (1, (key,), 3, 1)
    session.leave_out([])
    assert len(session.progress().open) == 4


@pytest.mark.parametrize("change", ["question", "category", "image"])
def test_a_candidate_that_has_changed_is_asked_again(tmp_path: Path, change: str) -> None:
    done = answer_all(queue(tmp_path), "ann")
    every: dict[str, dict[str, Any]] = {
        "question": {"question": "Another question?"},
        "category": {"category": "places"},
        "image": {"images": (image(tmp_path, "new.png", 3), image(tmp_path, "0-2.png", 1))},
    }
    now = Queue(tmp_path / "review", [candidate(tmp_path, 0, **every[change]), *candidates(tmp_path)[1:]], CATEGORIES)
    assert now.session("ann").progress().open == ("drawings/0#0",)
    assert set(keys(now.reviews())) == set(done) - {"drawings/0#0"}


def test_another_opinion_of_the_model_asks_nobody_again(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann")
    now = Queue(tmp_path / "review", candidates(tmp_path, opinion={"text_unsafe": "yes"}), CATEGORIES)
    assert not now.session("ann").progress().open


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"key": "nobody#0"}, "no candidate"),
        ({"decision": "fix"}, "what else"),
        ({"decision": "fix", "category": "weather"}, "no category"),
        ({"decision": "fix", "question": "Can I lay Thing 0 on it?"}, "names 'thing 0'"),
        ({"decision": "fix", "question": "How do I do this?"}, "must speak of both"),
        ({"decision": "fix", "question": "Is the first image all right?"}, "must speak of both"),
        ({"decision": "keep", "question": "Another?"}, "changes nothing"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_written(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    session = queue(tmp_path).session("ann")
    with pytest.raises(HarnessError, match=why):
        session.answer(review(**{"key": "drawings/0#0", **said}))
    assert not (tmp_path / "review" / "reviews-ann.jsonl").exists()


def test_a_candidate_whose_image_is_gone_can_be_dropped_and_not_kept(tmp_path: Path) -> None:
    made = queue(tmp_path)
    (tmp_path / "images" / "0-1.png").unlink()
    with pytest.raises(HarnessError, match="the file is gone"):
        made.session("ann").answer(review("drawings/0#0"))
    made.session("ann").answer(review("drawings/0#0", decision="drop"))


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Zoë", "-x", "a" * 41, "a\nb"])
def test_a_name_that_cannot_be_a_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="cannot be a reviewer's name"):
        queue(tmp_path).session(name)


def test_names_that_differ_by_capitals_are_one_reviewer(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann", 1)
    assert len(queue(tmp_path).session(" Ann ").progress().decided) == 1


def test_partial_reviews_overlap_and_each_reviewer_has_an_order(tmp_path: Path) -> None:
    made = queue(tmp_path, 60)
    ann, ben = made.order("ann"), made.order("ben")
    assert ann != ben
    assert set(ann[:20]) == set(ben[:20])
    assert ann == queue(tmp_path, 60).order("ann")
