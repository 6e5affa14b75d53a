"""What people decide on, as a build writes it down, and what a build goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from harness_builder.people import BuildImages, CandidateFile, People, open_review_queue, read_candidates
from harness_builder.review import Decided, Queue, Undecided
from harness_builder.values import Candidate

from harness import BadData, HarnessError, Image
from harness.drawings import draw, png
from harness.keys import digest
from harness.testing.fakes import PIXEL
from tests.training.reviewed import CATEGORIES, OPINION, PAIRS, answer_all, review


def kept(out: Path, number: int) -> Image:
    """An image as a build keeps it: under its sha256."""
    from hashlib import sha256

    data = png(draw(*PAIRS[number % len(PAIRS)], Random(number)))
    name = sha256(data).hexdigest()
    path = out / "work" / "images" / name[:2] / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return BuildImages(out / "work").image(name)


def candidate(out: Path, number: int, **changes: Any) -> Candidate:
    said: dict[str, Any] = {
        "key": f"drawings/{number}#0",
        "category": CATEGORIES[number % 2],
        "question": f"Question {number}: may the thing of the first image lie beside that of the second image?",
        "objects": (f"thing {number}", "other thing"),
        "images": (kept(out, number), kept(out, number + 1)),
        "source": "drawings",
        "opinion": {"text_unsafe": "no", "why": f"{OPINION} of {number}"},
    }
    return Candidate(**{**said, **changes})


BETTER = "May the one in the first image be put on the one in the second image?"


def write_candidates(
    path: Path, candidates: Iterable[Candidate], categories: Iterable[str] = (), reviewers: int = 1
) -> None:
    file = CandidateFile(path, categories, reviewers)
    for each in candidates:
        file.put(each)
    file.close(whole=True)


def written(out: Path, count: int = 3, reviewers: int = 1) -> list[Candidate]:
    """So many candidates, left by a walk."""
    every = [candidate(out, number) for number in range(count)]
    write_candidates(out / "work" / "candidates.jsonl", every, CATEGORIES, reviewers)
    return every


def people(out: Path, reviewers: int = 1) -> People:
    return People(out / "review", reviewers)


class TestTheCandidates:
    def test_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        every = written(tmp_path, reviewers=2)

        found = read_candidates(tmp_path / "work" / "candidates.jsonl", BuildImages(tmp_path / "work").image)
        assert list(found.every) == every
        assert found.categories == CATEGORIES
        assert found.reviewers == 2

    def test_hold_their_images_by_hash_alone(self, tmp_path: Path) -> None:
        written(tmp_path)

        lines = (tmp_path / "work" / "candidates.jsonl").read_text(encoding="utf-8").splitlines()
        assert all(len(name) == 64 for line in lines[1:] for name in json.loads(line)["images"])
        assert str(tmp_path) not in "".join(lines)

    def test_of_a_walk_that_ended_early_keep_those_it_did_not_come_to(self, tmp_path: Path) -> None:
        first, second, third = written(tmp_path)
        path = tmp_path / "work" / "candidates.jsonl"
        file = CandidateFile(path, CATEGORIES)
        file.put(replace(second, question="Another question?"))
        file.close(whole=False)

        by_key = {each.key: each for each in read_candidates(path, BuildImages(tmp_path / "work").image).every}
        assert by_key[first.key] == first
        assert by_key[third.key] == third
        assert by_key[second.key].question == "Another question?"

    def test_of_a_walk_that_ended_early_replace_a_file_with_a_broken_line(self, tmp_path: Path) -> None:
        first, second, third = written(tmp_path)
        path = tmp_path / "work" / "candidates.jsonl"
        head, one, _, three = path.read_text(encoding="utf-8").splitlines()
        path.write_text(f"{head}\n{one}\n{'[' * 200_000}\n{three}\n", encoding="utf-8")
        file = CandidateFile(path, CATEGORIES)
        file.put(second)
        file.close(whole=False)

        assert list(open_review_queue(tmp_path).candidates) == [second.key, first.key, third.key]

    def test_of_a_whole_walk_are_those_that_it_came_to(self, tmp_path: Path) -> None:
        first, *_ = written(tmp_path)
        path = tmp_path / "work" / "candidates.jsonl"
        write_candidates(path, [first])

        assert read_candidates(path, BuildImages(tmp_path / "work").image).every == (first,)

    def test_stand_until_a_walk_has_ended(self, tmp_path: Path) -> None:
        every = written(tmp_path)
        file = CandidateFile(tmp_path / "work" / "candidates.jsonl")
        file.put(every[0])

        assert len(open_review_queue(tmp_path).candidates) == 3
        file.close(whole=True)
        assert len(open_review_queue(tmp_path).candidates) == 1

    @pytest.mark.parametrize("broken", ["{", "[]", '{"key": 1}', '{"key": "a"}'])
    def test_that_are_none_are_told_with_their_line(self, tmp_path: Path, broken: str) -> None:
        written(tmp_path, 1)
        path = tmp_path / "work" / "candidates.jsonl"
        path.write_text(path.read_text(encoding="utf-8") + broken + "\n", encoding="utf-8")

        with pytest.raises(BadData, match=r"candidates\.jsonl, line 3"):
            open_review_queue(tmp_path)

    def test_cannot_name_an_image_elsewhere(self, tmp_path: Path) -> None:
        (first,) = written(tmp_path, 1)
        path = tmp_path / "work" / "candidates.jsonl"
        sha256 = Path(first.images[0].path).stem
        path.write_text(path.read_text(encoding="utf-8").replace(sha256, "../../../etc/passwd"), encoding="utf-8")

        with pytest.raises(BadData, match="is not a sha256"):
            open_review_queue(tmp_path)

    def test_come_with_the_command_that_goes_on_with_what_is_decided(self, tmp_path: Path) -> None:
        out = tmp_path / "my set"
        written(out)
        assert open_review_queue(out).then == f"harness build mis --config FILE --out '{out}'"

    def test_say_in_which_language_a_reviewer_writes(self, tmp_path: Path) -> None:
        path = tmp_path / "work" / "candidates.jsonl"
        one, other = written(tmp_path, 2)
        file = CandidateFile(path, CATEGORIES, language="German")
        file.put(one)
        file.close(whole=True)
        session = open_review_queue(tmp_path).session("ann")
        session.answer(review(one.key, decision="fix", question="Passt das links zu dem rechts?"))
        with pytest.raises(HarnessError, match="names 'thing 0'"):
            session.import_review(review(one.key, decision="fix", question="Passt thing 0 zu dem rechts?"))
        assert other.key not in open_review_queue(tmp_path).candidates

    def test_of_an_earlier_version_leave_the_language_open(self, tmp_path: Path) -> None:
        (one,) = written(tmp_path, 1)
        path = tmp_path / "work" / "candidates.jsonl"
        path.write_text(path.read_text(encoding="utf-8").replace(',"language":"English"', ""), encoding="utf-8")
        assert open_review_queue(tmp_path).language == ""
        open_review_queue(tmp_path).session("ann").answer(review(one.key, decision="fix", question="Et ensemble ?"))

    def test_that_nobody_wrote_are_no_queue(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="nothing to review") as caught:
            open_review_queue(tmp_path)
        assert "harness build" in str(caught.value)

    def test_are_shown_with_the_categories_of_the_plan(self, tmp_path: Path) -> None:
        written(tmp_path)

        assert open_review_queue(tmp_path).categories == CATEGORIES


class TestWhatPeopleDecide:
    def test_is_nothing_before_anyone_has(self, tmp_path: Path) -> None:
        assert people(tmp_path).decided(candidate(tmp_path, 0)) is None

    def test_is_what_the_one_reviewer_said_where_one_is_enough(self, tmp_path: Path) -> None:
        every = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann", decision="fix", question=BETTER, text_unsafe=True)

        for each in every:
            found = people(tmp_path).decided(each)
            assert isinstance(found, Decided)
            assert (found.decision, found.question) == ("fix", BETTER)
            assert found.text_unsafe is True
            assert found.reviewers == ("ann",)

    def test_waits_until_as_many_have_decided_as_must(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann")
        assert people(tmp_path, 2).decided(one) is None
        answer_all(open_review_queue(tmp_path), "bob")
        assert isinstance(people(tmp_path, 2).decided(one), Decided)

    def test_stays_open_where_they_differ(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann", decision="keep")
        answer_all(open_review_queue(tmp_path), "bob", decision="drop")

        found = people(tmp_path, 2).decided(one)
        assert isinstance(found, Undecided)
        assert found.about == ("decision",)

    def test_is_settled_by_a_third_one(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        for name, decision in (("ann", "keep"), ("bob", "drop"), ("cem", "drop")):
            answer_all(open_review_queue(tmp_path), name, decision=decision)

        found = people(tmp_path, 2).decided(one)
        assert isinstance(found, Decided)
        assert found.decision == "drop"

    @pytest.mark.parametrize(
        "changed",
        [
            lambda out, one: replace(one, question="Another question?"),
            lambda out, one: replace(one, category="places"),
            lambda out, one: replace(one, images=(kept(out, 7), one.images[1])),
        ],
        ids=["question", "category", "image"],
    )
    def test_does_not_hold_for_what_they_did_not_see(
        self, tmp_path: Path, changed: Callable[[Path, Candidate], Candidate]
    ) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann")

        assert people(tmp_path).decided(changed(tmp_path, one)) is None

    def test_holds_whatever_a_model_thinks(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann")

        assert isinstance(people(tmp_path).decided(replace(one, opinion={})), Decided)

    def test_does_not_hold_for_an_image_that_was_changed_on_disk(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann")
        (tmp_path / "work" / one.images[0].path).write_bytes(PIXEL)

        assert people(tmp_path).decided(one) is None

    def test_that_was_taken_back_does_not_count(self, tmp_path: Path) -> None:
        (one,) = written(tmp_path, 1)
        queue = open_review_queue(tmp_path)
        answer_all(queue, "ann")
        queue.session("ann").undo(one.key)

        assert people(tmp_path).decided(one) is None

    def test_outlives_the_work_that_it_was_made_on(self, tmp_path: Path) -> None:
        (one, *_) = written(tmp_path)
        answer_all(open_review_queue(tmp_path), "ann")
        (tmp_path / "work").rename(tmp_path / "work.1")
        again = written(tmp_path)

        assert again[0] == one
        assert isinstance(people(tmp_path).decided(again[0]), Decided)


class TestTheirAgreement:
    def test_is_of_the_candidates_that_were_asked_for(self, tmp_path: Path) -> None:
        first, second, _ = written(tmp_path)
        for name in ("ann", "bob"):
            answer_all(open_review_queue(tmp_path), name)
        found = people(tmp_path)
        assert [each.candidates for each in found.agreement()] == [0, 0, 0, 0, 0]
        found.decided(first)
        found.decided(second)

        kept_or_not, *_ = found.agreement()
        assert kept_or_not.about == "kept"
        assert kept_or_not.reviewers == ("ann", "bob")
        assert kept_or_not.candidates == 2

    def test_is_of_what_they_said_before_they_saw_the_models_opinion(self, tmp_path: Path) -> None:
        (one,) = written(tmp_path, 1)
        queue = Queue(tmp_path / "review", [one])
        answer_all(queue, "ann", decision="keep")
        answer_all(queue, "bob", decision="drop")
        session = queue.session("bob")
        session.undo(one.key)
        session.answer(review(one.key, "bob", "keep"))
        found = people(tmp_path, 2)

        assert isinstance(found.decided(one), Decided)
        (same,) = found.agreement()[0].pairs
        assert same.same.value == 0


def test_an_image_of_the_build_is_found_by_its_hash_and_missing_ones_when_they_are_opened(tmp_path: Path) -> None:
    image = kept(tmp_path, 0)
    assert BuildImages(tmp_path / "work").image(Path(image.path).stem) == image
    gone = BuildImages(tmp_path / "work").image(digest("nothing").removeprefix("k1:"))
    every = [candidate(tmp_path, 0, images=(gone, gone))]
    (queue,) = [Queue(tmp_path / "review", every)]
    assert [each.why for each in queue.images_of(every[0])] == ["the file is missing"] * 2
