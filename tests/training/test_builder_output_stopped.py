"""What was stopped after people were asked, or after a set stood, is in no queue, among no marks and in no set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from harness_builder.people import CandidateFile, open_review_queue, read_candidates
from harness_builder.quality.duplicates import MarkStore

from harness import Image
from harness.readers import open_files
from tests.training.cast import OBJECTS, Stage, staged
from tests.training.reviewed import candidate, candidates, image, review
from tests.training.turning import Turning, another_checker, left

GONE = "held an element that a hard stop ended"


@contextmanager
def kept_by_people(folder: Path, cast: Turning) -> Iterator[Stage]:
    """One seed, two elements that people keep; the label of the first is going to be stopped."""
    cast.lists, cast.slips = {"text": ("text", "everything")}, "text"
    with staged(folder, ("text",), cast, sort={"reviewers": 1}, elements={"per_text": 2}) as stage:
        assert stage.build().code == 3
        queue = open_review_queue(stage.out)
        assert len(queue.candidates) == 2
        session = queue.session("ann")
        for key in queue.candidates:
            session.answer(review(key))
        yield stage


def drawn(stage: Stage) -> set[str]:
    return {path.stem for path in (stage.out / "work" / "images").rglob("*.png")}


def marks_of(folder: Path, shown: list[Image]) -> list[tuple[str, bytes]]:
    """Name and tint of each image, once they are all known."""
    with MarkStore(folder) as marks:
        for each in shown:
            marks.get(each)
    with closing(sqlite3.connect(folder / "marks.db")) as known:
        return list(known.execute("SELECT sha256, tint FROM marks"))


@pytest.mark.parametrize("refuses", ["", "everything"], ids=["a whole build", "a build that a fault ends"])
def test_a_candidate_that_is_stopped_leaves_the_queue_with_its_marks_and_lines(tmp_path: Path, refuses: str) -> None:
    cast = Turning()
    with kept_by_people(tmp_path, cast) as stage:
        before, cast.refuses = drawn(stage), refuses
        assert stage.build().code == (2 if refuses else 0)
        assert list(open_review_queue(stage.out).candidates) == ["cases/text#1"]
        gone = before - drawn(stage)
        assert len(gone) == 2
        assert left(stage, "case=text", *OBJECTS["text"], *gone) == []


@pytest.mark.parametrize("review", ["people", "none"])
def test_a_build_that_ends_early_carries_no_stopped_candidate_on(tmp_path: Path, review: str) -> None:
    cast = Turning()
    with staged(tmp_path, ("text", "neither"), cast, sort={"review": review}) as stage:
        stage.build()
        assert "work/candidates.jsonl" in left(stage, *OBJECTS["text"])
        cast.strict, cast.refuses = True, "neither"
        another_checker(stage)
        assert stage.build().code == 2
        assert left(stage, "case=text", *OBJECTS["text"]) == []


def test_a_set_that_holds_what_is_stopped_goes_at_once_and_says_so_once(tmp_path: Path) -> None:
    cast = Turning()
    with staged(tmp_path, ("text", "neither"), cast) as stage:
        assert stage.build().code == 0
        own = stage.out / "images" / "notes.txt"
        own.write_text("a person's own", encoding="utf-8")
        cast.strict, cast.refuses = True, "neither"
        another_checker(stage)
        ended = stage.build()
        assert (ended.code, ended.err.count(GONE)) == (2, 1)
        assert left(stage, "case=text", *OBJECTS["text"]) == []
        assert [path.name for path in stage.out.rglob("object*.png")] == []
        assert not (stage.out / "build.json").exists()
        assert own.exists(), "what no build put there stays"
        cast.strict, cast.refuses = False, ""
        ended = stage.build()
        assert (ended.code, ended.err.count(GONE)) == (0, 0)
        assert [path.name for path in stage.out.glob("mis_*.json")] == ["mis_hard.json"]


def test_a_set_that_holds_nothing_of_what_is_stopped_stands_until_the_next_is_written(tmp_path: Path) -> None:
    cast = Turning()
    with staged(tmp_path, ("neither",), cast) as stage:
        assert stage.build().code == 0
        (tmp_path / "seeds.csv").write_text("id,text\nhidden,case=hidden\nneither,case=neither\n", encoding="utf-8")
        ended = stage.build()
        assert (ended.code, ended.err.count(GONE)) == (0, 0)
        assert (stage.out / "mis_hard.json").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_struck_candidate_is_in_neither_file(tmp_path: Path, whole: bool) -> None:
    path, files = tmp_path / "work" / "candidates.jsonl", open_files(tmp_path)
    first, second, third, _ = candidates(tmp_path)
    photographs = candidate(tmp_path, 0, key=f"{first.key}@real")
    before, now = CandidateFile(path), [first, third]
    for each in (first, photographs, second):
        before.put(each)
    before.close(whole=True)
    file = CandidateFile(path)
    for each in now:
        file.put(each)
    file.strike(first.key)
    assert [each.key for each in read_candidates(path, lambda name: Image(path=name, files=files)).every] == [
        second.key
    ]
    file.close(whole=whole)
    found = {each.key for each in read_candidates(path, lambda name: Image(path=name, files=files)).every}
    assert found == ({third.key} if whole else {second.key, third.key})
    assert list(path.parent.iterdir()) == [path]


def test_a_queue_that_cannot_be_read_goes_with_the_first_that_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    path.write_text("no line of candidates\n", encoding="utf-8")
    file = CandidateFile(path)
    file.strike("s/1#0")
    assert not path.exists()
    file.close(whole=False)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1


def test_no_byte_of_a_mark_stays_once_it_is_dropped(tmp_path: Path) -> None:
    shown = [image(tmp_path, f"{number}.png", number) for number in range(120)]
    (sha256, tint), *others = marks_of(tmp_path, shown)
    alike = [each for each, other in others if other == tint]
    with MarkStore(tmp_path) as marks:
        marks.drop([sha256, *alike])
    data = (tmp_path / "marks.db").read_bytes()
    assert sha256.encode() not in data
    assert tint not in data
    assert others[-1][0].encode() in data
