"""What a hard stop takes of what people wrote: all their words about it, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from harness_builder.people import REVIEWS, People, open_review_queue

from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance.commands import Ended, harness_here
from tests.training.cast import Cast, Stage, staged
from tests.training.reviewed import answer_all, lines, queue, review

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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    with staged(tmp_path, ("neither", "text"), Strict(), sort={"reviewers": 1}) as stage:
        assert build(stage).code == 3
        made = open_review_queue(stage.out)
        made.session("ann").answer(review("cases/text#0", "ann"))
        question = f"May the object in the first image lie under the object in the second image? {WORDS}!"
        made.session("ann").answer(review("cases/neither#0", "ann", "fix", question=question, reason="As I see it."))
        for _ in range(2):
            assert build(stage).code == 0
            assert left(stage.out, WORDS) == left(stage.out, "As I see it.") == []
            assert [line["decision"] for line in lines(stage.out)] == ["keep", "undone"]
        assert "stopped: person" in harness_here("build", "show", stage.out, "cases/neither").out


def build(stage: Stage) -> Ended:
    return harness_here("build", "mis", "--config", stage.config, "--out", stage.out)


def left(out: Path, words: str) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file() and words.encode() in path.read_bytes()]
