"""What people decide: a file for each person and folder, one joint order, and what more than half say.

The payload here is a word: the room knows neither candidates nor labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from harness.errors import BadData, HarnessError
from harness.images import BYTE_LIMIT
from harness.readers import open_files
from harness.review import (
    Answer,
    ImageState,
    LogFormat,
    OutdatedReview,
    Place,
    ReviewQueue,
    ReviewSession,
    ShownImages,
    find_reviewers,
    normalize_reviewer,
    read_text,
)
from harness.review.votes import measure_agreement, vote
from harness.testing.fakes import PIXEL
from harness.types import Image, Json


def _write(answer: Answer[str]) -> dict[str, Json]:
    return {"key": answer.key, "act": "said", "word": answer.payload, "shown": answer.shown, "at": answer.at}


def _read(line: Mapping[str, Any]) -> Answer[str]:
    if line["act"] != "said":
        raise ValueError(f"act {line['act']!r}")
    key, word, shown, at = (read_text(line, name) for name in ("key", "word", "shown", "at"))
    return Answer(key=key, payload=word, shown=shown, at=at)


WORDS: Final[LogFormat[str]] = LogFormat(
    prefix="words",
    noun="words",
    key="key",
    reviewer="who",
    act="act",
    write=_write,
    read=_read,
    timespec="microseconds",
)


class Words(ReviewQueue[str]):
    """Keys `folder/name` in folders; the part before a dash is a key's category."""

    def __init__(self, root: Path, *keys: str, shown: str = "as it is") -> None:
        self.shown = shown
        places = {key: Place(folder=root / key.split("/")[0], key=key.split("/")[1]) for key in keys}
        super().__init__(WORDS, places, [place.folder for place in places.values()])

    def find_shown_hash(self, key: str) -> str:
        return self.shown

    def find_category(self, key: str) -> str:
        return self.places[key].key.split("-")[0]


KEYS = ("one/red-1", "two/red-1", "one/blue-2", "two/green-2", "three/blue-3")


def session(root: Path, name: str = "ann", *, shown: str = "as it is") -> ReviewSession[str]:
    return ReviewSession(Words(root, *KEYS, shown=shown), name)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def test_each_folder_has_a_file_with_its_own_keys_and_undo_goes_through_all_of_them(tmp_path: Path) -> None:
    ann = session(tmp_path)
    done: list[str] = []
    while opened := ann.progress().open:
        done.append(opened[0])
        ann.write_answer(opened[0], f"word of {opened[0]}")
    assert sorted(done) == sorted(KEYS)
    assert [each["key"] for each in lines(tmp_path / "three" / "words-ann.jsonl")] == ["blue-3"]
    with pytest.raises(OutdatedReview):
        ann.undo(done[0])
    for key in reversed(done):
        again = session(tmp_path)  # another process
        assert again.undo(key) == f"word of {key}"
        assert again.progress().open[0] == key
    assert not ann.progress().decided


def test_one_key_in_two_folders_is_two(tmp_path: Path) -> None:
    session(tmp_path).write_answer("one/red-1", "yes")
    progress = session(tmp_path).progress()
    assert progress.decided == {"one/red-1": "yes"}
    assert "two/red-1" in progress.open


def test_an_answer_to_what_looks_other_now_is_asked_again_and_stays_in_the_file(tmp_path: Path) -> None:
    session(tmp_path).write_answer("one/red-1", "yes")
    now = session(tmp_path, shown="new")
    assert not now.progress().decided
    now.write_answer("one/red-1", "no")
    assert Words(tmp_path, *KEYS, shown="new").answers("ann") == {"one/red-1": "no"}
    assert Words(tmp_path, *KEYS).answers("ann", first=True) == {"one/red-1": "yes"}


def test_the_first_answer_stays_the_first_whatever_comes_after(tmp_path: Path) -> None:
    ann = session(tmp_path)
    ann.write_answer("one/red-1", "yes")
    ann.undo("one/red-1")
    ann.write_answer("one/red-1", "no")
    ann.write_answer("one/red-1", "perhaps", anyway=True)
    queue = Words(tmp_path, *KEYS)
    assert queue.answers("ann") == {"one/red-1": "perhaps"}
    assert queue.answers("ann", first=True) == {"one/red-1": "yes"}


def test_a_category_is_left_out_in_every_folder_until_it_is_taken_in_again(tmp_path: Path) -> None:
    ann = session(tmp_path)
    ann.leave_out(["red", "red"])
    assert set(session(tmp_path).progress().left_out) == {"one/red-1", "two/red-1"}
    ann.leave_out([])
    assert len(session(tmp_path).progress().open) == 5


def test_a_pause_holds_until_it_ends_in_whatever_folder(tmp_path: Path) -> None:
    ann = session(tmp_path)
    ann.pause("two/red-1", ended=False)
    ann.pause("one/red-1", ended=False)  # that is so already
    assert session(tmp_path).progress().paused
    ann.pause("one/red-1", ended=True)
    assert not session(tmp_path).progress().paused
    ann.pause("two/red-1", ended=False)
    ann.skip("three/blue-3")
    assert not session(tmp_path).progress().paused
    assert [each["act"] for each in lines(tmp_path / "two" / "words-ann.jsonl")] == ["paused", "paused"]


def test_an_erased_answer_leaves_a_line_of_its_length_and_the_others_stand(tmp_path: Path) -> None:
    ann = session(tmp_path)
    ann.write_answer("one/red-1", "a secret word")
    ann.write_answer("one/blue-2", "blue")
    path = tmp_path / "one" / "words-ann.jsonl"
    size = path.stat().st_size
    Words(tmp_path, *KEYS).log("ann", tmp_path / "one").strike("red-1")
    assert path.stat().st_size == size
    assert "secret" not in path.read_text("utf-8")
    assert ann.progress().decided == {"one/blue-2": "blue"}


@pytest.mark.parametrize("line", [b"[" * 100_000, b"\xff\xfe", b"null"])
def test_an_answer_is_erased_beside_a_line_that_is_none(tmp_path: Path, line: bytes) -> None:
    session(tmp_path).write_answer("one/red-1", "a secret word")
    path = tmp_path / "one" / "words-ann.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    Words(tmp_path, *KEYS).log("ann", tmp_path / "one").strike("red-1")
    assert path.read_bytes().startswith(line + b"\n")
    assert b"secret" not in path.read_bytes()


def test_an_answer_whose_line_was_torn_is_erased_where_it_is_the_only_one(tmp_path: Path) -> None:
    session(tmp_path).write_answer("one/red-1", "a secret word")
    path = tmp_path / "one" / "words-ann.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    Words(tmp_path, *KEYS).log("ann", tmp_path / "one").strike("red-1")
    assert b"secret" not in path.read_bytes()


@pytest.mark.parametrize("line", [b"[" * 100_000, b"\xff\xfe", b"null", b'{"who": "ann", "act": 3}', b""])
def test_a_line_that_is_none_is_named_and_nothing_is_written_after_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "one" / "words-ann.jsonl"
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    for act in (lambda: session(tmp_path).progress(), lambda: session(tmp_path).skip("one/red-1")):
        with pytest.raises(BadData, match="not a line of words") as told:
            act()
        assert told.value.where == f"{path}, line 1"
    assert path.read_bytes() == line + b"\n"


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "one" / "words-ann.jsonl").mkdir(parents=True)
    for act in (lambda: session(tmp_path).progress(), lambda: session(tmp_path).skip("one/red-1")):
        with pytest.raises(HarnessError, match="cannot be read") as told:
            act()
        assert told.value.where.endswith("words-ann.jsonl")


def test_only_files_of_names_that_a_person_can_have_are_people(tmp_path: Path) -> None:
    for name in ("words-ann", "words-Ann", "words-ann copy", "words-", "words-..", "word-ben", ".words-cem"):
        (tmp_path / f"{name}.jsonl").touch()
    assert find_reviewers([tmp_path, tmp_path / "none"], "words") == ("ann",)
    assert normalize_reviewer(" Ann ") == "ann"
    with pytest.raises(HarnessError, match="cannot be an annotator's name"):
        normalize_reviewer("../ann", "annotator")


def test_reviewers_overlap_in_the_same_blocks_in_orders_of_their_own(tmp_path: Path) -> None:
    queue = Words(tmp_path, *(f"one/k-{number}" for number in range(50)))
    orders = [queue.order(name) for name in ("ann", "ben")]
    assert orders[0] != orders[1]
    for start in (0, 20, 40):
        blocks = [set(order[start : start + 20]) for order in orders]
        assert blocks[0] == blocks[1] == set(list(queue.places)[start : start + 20])


def test_images_are_opened_once_and_again_when_their_file_has_changed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    image = Image(path="a.png", files=open_files(tmp_path))
    shown = ShownImages()
    (first,) = shown.open("key", [image])
    assert first.why == ""
    (tmp_path / "a.png").unlink()
    assert shown.open("key", [image]) == (first,)
    assert shown.find(first.sha256) == ImageState(why="the file is missing")
    shown.forget_changed("key", [image])
    assert shown.open("key", [image]) == (ImageState(why="the file is missing"),)
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(BYTE_LIMIT + 1)
    shown.forget_changed("key", [image])
    assert shown.open("key", [image]) == (ImageState(why="it is too large"),)
    with pytest.raises(KeyError):
        shown.find("0" * 64)


def test_more_than_half_is_needed_and_agreement_counts_clusters(tmp_path: Path) -> None:
    assert vote(["a", "a", "b"], otherwise="") == ("a", False)
    assert vote(["a", "b"], otherwise="") == ("", True)
    given = {(f"seed{key // 2}#{key}", name): "a" if key < 6 else "b" for key in range(12) for name in ("ann", "ben")}
    found = measure_agreement("word", given, ("a", "b"), lambda key: key.partition("#")[0])
    assert (found.reviewers, found.candidates, found.alpha.value, found.pairs[0].same.value) == (
        ("ann", "ben"),
        12,
        1.0,
        1.0,
    )
