"""Reviews on a sheet and back; what several reviewers decide together, and how far they agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_builder.review import agreed, from_csv, merge, to_csv

from harness import BadData
from tests.training.reviewed import (
    OPINION,
    answer_all,
    lines,
    queue,
    review,
)

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
