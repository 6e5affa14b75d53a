"""Reviews: what several people decide, their files, and the sheets that they fill in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness_builder.people import REVIEWS, People, open_review_queue
from harness_builder.review import OutdatedReview, Queue, agreed, from_csv, merge, to_csv

from harness import BadData, HarnessError
from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance.commands import harness_here
from tests.training.cast import Cast, staged
from tests.training.kinds import present
from tests.training.reviewed import (
    CATEGORIES,
    OPINION,
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
    before = present(session.undo(second))
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
        ({"key": "nobody#0"}, "not a candidate"),
        ({"decision": "fix"}, "must change"),
        ({"decision": "fix", "category": "weather"}, "not a category"),
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
    with pytest.raises(HarnessError, match="the file is missing"):
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


ASKED = "or what of the one in the first image and that of the second image?"


def test_reviews_come_back_from_a_sheet_as_they_went(tmp_path: Path) -> None:
    made = queue(tmp_path)
    said = [
        review("drawings/0#0", reason='=1+1, "quoted"\nand a second line', seconds=1.5, at="2026-01-01T00:00:00+00:00"),
        review("drawings/0#0", "ben", "drop", text_unsafe=True),
        review("drawings/1#0", "ben", "fix", question=f"@{ASKED}", category="places", image_harmful=False),
    ]
    text = to_csv(made, said)
    assert sorted(from_csv(text, made), key=str) == sorted(said, key=str)
    assert OPINION not in text
    assert all(not line.startswith(("=", "@")) for row in text.splitlines() for line in row.split(","))


def test_an_empty_sheet_is_for_one_reviewer_in_their_order(tmp_path: Path) -> None:
    made = queue(tmp_path)
    rows = to_csv(made, reviewer="ann").splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == made.order("ann")
    filled = "\n".join([rows[0], *(row.replace(",,,,,,,ann", ",drop,,,,,,ann") for row in rows[1:])])
    assert {each.decision for each in from_csv(filled, made)} == {"drop"}
    assert from_csv("\n".join(rows), made) == ()


def test_a_sheet_saved_with_semicolons_and_a_mark_is_read(tmp_path: Path) -> None:
    text = "\ufeffKey;Decision;Reviewer;text_unsafe\r\ndrawings/0#0;KEEP;Ann;Y\r\n"
    assert from_csv(text) == (review("drawings/0#0", text_unsafe=True),)


def test_each_wrong_row_is_told_with_its_number(tmp_path: Path) -> None:
    head = "key,decision,new_category,new_question,text_unsafe,reviewer,seconds,shown"
    rows = [
        "drawings/0#0,maybe,,,,ann,,",
        "nobody#0,keep,,,,ann,,",
        "drawings/0#1,fix,,,,ann,,",
        "drawings/1#0,keep,,,perhaps,ann,,",
        "drawings/1#1,keep,,,,../up,,",
        "drawings/1#1,keep,,,,ben,-1,",
        "drawings/0#0,keep,,,,ann,,shown:another",
        "drawings/1#0,drop,,,,ann,,",
        "drawings/1#0,keep,,,,ann,,",
        "drawings/1#1,keep,places,,,ann,,",
        "drawings/0#1,fix,,How do I do this?,,cem,,",
        "drawings/1#0,fix,,Is thing 2 of the first image on the second image?,,cem,,",
    ]
    with pytest.raises(BadData) as told:
        from_csv("\n".join([head, *rows]), queue(tmp_path))
    numbers = [line.split(":")[0].strip() for line in told.value.what.splitlines()[1:]]
    assert numbers == [f"row {number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13)]
    assert "speak of both" in told.value.what
    assert "names 'thing 2'" in told.value.what


def test_a_sheet_without_its_columns_says_which_is_missing() -> None:
    with pytest.raises(BadData, match="`decision` is missing"):
        from_csv("key,reviewer\na,b\n")


def test_reviews_of_a_sheet_go_into_the_same_files_once(tmp_path: Path) -> None:
    made = queue(tmp_path)
    answer_all(made, "ann", 1)
    done = made.reviews()[0].key
    sheet = [review(done, decision="drop"), *(review(key) for key in made.candidates if key != done)]
    taken = made.import_reviews(sheet)
    assert (taken.new, taken.changed, taken.same) == (3, 1, 0)
    again = made.import_reviews(sheet)
    assert (again.new, again.changed, again.same) == (0, 0, 4)
    assert len(lines(tmp_path)) == 5


def test_what_more_than_half_say_counts_and_a_tie_stays_open() -> None:
    merged = merge(
        [
            *(review("a", name, said) for name, said in zip("xyz", ("keep", "keep", "drop"), strict=True)),
            *(review("b", name, said) for name, said in zip("xy", ("keep", "drop"), strict=True)),
            *(review("c", name, "drop") for name in "xy"),
        ]
    )
    assert {each.key: each.decision for each in merged.decided} == {"a": "keep", "c": "drop"}
    ((key, about),) = [(each.key, each.about) for each in merged.open]
    assert (key, about) == ("b", ("decision",))


def test_those_who_keep_decide_how_and_their_ties_are_named() -> None:
    fix = {"decision": "fix", "question": "better?"}
    merged = merge(
        [
            review("a", "x", text_unsafe=True),
            review("a", "y", text_unsafe=True, image_harmful=False),
            review("a", "z", "drop", text_unsafe=False),
            review("b", "x", **fix),
            review("b", "y", **fix),
            review("b", "z"),
            review("c", "x", **fix, text_unsafe=True),
            review("c", "y", text_unsafe=False),
        ]
    )
    a, b = merged.decided
    assert (a.decision, a.text_unsafe, a.image_harmful) == ("keep", True, False)
    assert (b.decision, b.question, b.text_unsafe, b.reviewers) == ("fix", "better?", None, ("x", "y", "z"))
    assert [each.about for each in merged.open] == [("question", "text_unsafe")]


def test_whether_a_text_is_unsafe_only_those_say_whose_text_it_is() -> None:
    fix = {"decision": "fix", "question": "better?"}
    said = [review("a", "x", **fix), review("a", "y", **fix), review("a", "z", text_unsafe=True, image_harmful=True)]
    (decided,) = merge(said).decided
    assert (decided.question, decided.text_unsafe, decided.image_harmful) == ("better?", None, True)


def test_a_reviewers_later_word_counts() -> None:
    merged = merge([review("a", "x"), review("a", "x", "drop")])
    assert [each.decision for each in merged.decided] == ["drop"]


def test_agreement_is_beyond_chance_and_has_intervals() -> None:
    # 10 both keep, 10 both drop, 5 differ: observed 0.8, by chance 0.6 * 0.4 + 0.4 * 0.6 = 0.48
    said = [("keep", "keep")] * 10 + [("drop", "drop")] * 10 + [("keep", "drop")] * 5
    reviews = [
        review(f"seed{n}#0", name, decision)
        for n, pair in enumerate(said)
        for name, decision in zip(("ann", "ben"), pair, strict=True)
    ]
    found = {each.about: each for each in agreed(reviews)}
    (pair,) = found["kept"].pairs
    assert found["kept"].candidates == pair.kappa.n == 25
    assert pair.same.value == 0.8
    assert pair.kappa.value == pytest.approx((0.8 - 0.48) / (1 - 0.48))
    assert pair.kappa.ci95 is not None
    assert pair.kappa.value is not None
    assert pair.kappa.ci95[0] < pair.kappa.value < pair.kappa.ci95[1]
    assert found["kept"].alpha.value == pytest.approx(pair.kappa.value, abs=0.03)
    assert found["text_unsafe"].alpha.value is None
    assert found["text_unsafe"].reviewers == ()


def test_candidates_of_one_seed_count_as_one_cluster() -> None:
    reviews = [review(f"seed#{n}", name, "keep" if n % 2 else "drop") for n in range(8) for name in ("ann", "ben")]
    assert agreed(reviews)[0].alpha.ci95 is None


WORDS = "Sundry words"


def file(folder: Path, name: str = "ann") -> Path:
    return folder / REVIEWS / f"reviews-{name}.jsonl"


def test_all_that_was_ever_said_of_it_is_taken_back_and_the_rest_stands(tmp_path: Path) -> None:
    struck, other = answer_all(queue(tmp_path), "ann", 2, reason=WORDS)
    session = queue(tmp_path).session("ann")
    session.import_review(review(struck, "ann", "fix", question=f"{WORDS} of the first image and the second image?"))
    before = lines(tmp_path)

    queue(tmp_path).log("ann").strike(struck)
    assert [line["decision"] for line in lines(tmp_path)] == ["undone", "keep", "undone"]
    assert lines(tmp_path)[1] == before[1]
    assert file(tmp_path).read_text(encoding="utf-8").count(WORDS) == 1
    standing = queue(tmp_path).session("ann").progress()
    assert (list(standing.decided), struck in standing.open) == ([other], True)
    assert {path.name.lstrip(".").removesuffix(".lock") for path in (tmp_path / REVIEWS).iterdir()} == {
        file(tmp_path).name
    }


def test_a_page_that_is_open_goes_on_writing_behind_it(tmp_path: Path) -> None:
    page = queue(tmp_path)
    (struck,) = answer_all(page, "ann", 1, reason=WORDS)
    queue(tmp_path).log("ann").strike(struck)
    (other,) = answer_all(page, "ann", 1)
    assert [(line["key"], line["decision"]) for line in lines(tmp_path)] == [(struck, "undone"), (other, "keep")]


def test_a_line_that_was_torn_is_gone_with_it(tmp_path: Path) -> None:
    first, second = answer_all(queue(tmp_path), "ann", 2, reason=WORDS)
    os.truncate(file(tmp_path), file(tmp_path).stat().st_size - 7)
    queue(tmp_path).log("ann").strike(second)
    queue(tmp_path).log("ann").strike(first)
    assert WORDS not in file(tmp_path).read_text(encoding="utf-8")


def test_nobody_has_decided_on_it_any_more_nor_on_its_photographs(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key, other = sorted(made.candidates)[:2]
    for name in ("ann", "bob"):
        for each in (key, other):
            made.session(name).answer(review(each, name, reason=WORDS))
    answered = file(tmp_path).read_text(encoding="utf-8").replace(f'"{other}"', f'"{key}@real"')
    file(tmp_path).write_text(answered, encoding="utf-8")
    people = People(tmp_path / REVIEWS)
    assert people.decided(made.candidates[key]) is not None

    people.strike(key)
    assert people.decided(made.candidates[key]) is None
    assert WORDS not in file(tmp_path).read_text(encoding="utf-8")
    assert file(tmp_path, "bob").read_text(encoding="utf-8").count(WORDS) == 1
    assert People(tmp_path / REVIEWS).decided(made.candidates[other]) is not None


def test_one_that_nobody_reviewed_leaves_the_files_as_they_are(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann", 1)
    before = file(tmp_path).stat()
    People(tmp_path / REVIEWS).strike("drawings/99#0")
    assert (file(tmp_path).stat().st_ino, file(tmp_path).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


class Strict(Cast):
    """Its checker sees a person in some words."""

    def check(self, call: Call) -> str | Reply:
        said = super().check(call)
        return json.dumps({"minors": "no", "person": "yes", "weapon": "no"}) if WORDS in call.text else said


def test_a_question_that_people_wrote_and_that_the_checker_stops_is_in_no_byte_of_the_build_s_folder(
    tmp_path: Path,
) -> None:
    with staged(tmp_path, ("neither", "text"), Strict(), sort={"reviewers": 1}) as stage:
        assert stage.build().code == 3
        made = open_review_queue(stage.out)
        made.session("ann").answer(review("cases/text#0", "ann"))
        question = f"May the object in the first image lie under the object in the second image? {WORDS}!"
        made.session("ann").answer(review("cases/neither#0", "ann", "fix", question=question, reason="As I see it."))
        for _ in range(2):
            assert stage.build().code == 0
            assert left(stage.out, WORDS) == left(stage.out, "As I see it.") == []
            assert [line["decision"] for line in lines(stage.out)] == ["keep", "undone"]
        assert "stopped: person" in harness_here("build", "show", stage.out, "cases/neither").out


def left(out: Path, words: str) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file() and words.encode() in path.read_bytes()]


def test_an_answer_on_the_combination_is_kept_and_lines_without_one_are_as_they_were(tmp_path: Path) -> None:
    made = queue(tmp_path, 2)
    first, second = list(made.candidates)
    made.session("ann").answer(review(first, "ann", combination_risky=True))
    made.session("ann").answer(review(second, "ann"))
    written = {line["key"]: line for line in lines(tmp_path, "ann")}
    assert written[first]["combination_risky"] is True
    assert "combination_risky" not in written[second]
    said = {each.key: each.combination_risky for each in queue(tmp_path, 2).reviews()}
    assert said == {first: True, second: None}
