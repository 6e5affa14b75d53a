import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store.journal import Journal, load_lines

STATES = ("answered", "error")


def line(sample: str, outcome: str = "answered", key: str = "k1:aa", **more: object) -> dict[str, object]:
    return {"id": sample, "split": "easy", "epoch": 0, "key": key, "outcome": outcome, **more}


def put(journal: Journal, sample: str, outcome: str = "answered", key: str = "k1:aa", **more: object) -> None:
    journal.append(line(sample, outcome, key, **more), "easy", sample, 0, key, state=outcome)


def test_a_line_is_found_by_who_was_asked_and_what_and_read_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "r.jsonl", STATES)
    put(journal, "1", text="first\nsecond")
    put(journal, "2", text="other")
    found = journal.find("easy", "1", 0, "k1:aa")
    assert found is not None
    assert found[1] == "answered"
    assert journal.read(found[0])["text"] == "first\nsecond"
    assert journal.find("easy", "1", 0, "k1:bb") is None


def test_a_reopened_journal_finds_everything_again_and_the_last_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1", "error")
    put(journal, "1", text="later")
    put(journal, 'odd "id" \\ ü', text="x")
    journal.close()
    again = Journal(path, STATES)
    found = again.find("easy", "1", 0, "k1:aa")
    assert found is not None
    assert found[1] == "answered"
    assert again.read(found[0])["text"] == "later"
    assert again.find("easy", 'odd "id" \\ ü', 0, "k1:aa") is not None
    assert len(again) == 2


@pytest.mark.parametrize("torn", [b'{"id":"2","split":"ea', b"{", b'{"id":"2","split":"easy","epoch":0}'])
def test_a_torn_end_is_cut_when_the_file_is_opened_and_nothing_before_it_is_lost(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1")
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = Journal(path, STATES)
    assert path.read_bytes() == whole
    put(again, "3")
    again.close()
    assert [each["id"] for each in load_lines(path)] == ["1", "3"]


def test_a_reader_leaves_a_torn_end_alone_because_the_writer_may_still_be_at_it(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1")
    journal.close()
    torn = path.read_bytes() + b'{"id":"2"'
    path.write_bytes(torn)
    reader = Journal(path, STATES, write=False)
    assert len(reader) == 1
    reader.close()
    assert path.read_bytes() == torn


def test_a_second_writer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "r.jsonl", STATES)
    with pytest.raises(HarnessError, match="another process"):
        Journal(tmp_path / "r.jsonl", STATES)
    journal.close()
    Journal(tmp_path / "r.jsonl", STATES).close()


def test_a_verdict_is_found_only_with_the_hash_of_the_answer_it_was_given_on(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    verdict = {"id": "1", "split": "easy", "epoch": 0, "key": "k1:aa", "answer": "h1", "state": "scored", "label": "x"}
    journal = Journal(path, ("scored", "judge_error"))
    journal.append(verdict, "easy", "1", 0, "k1:aa", "h1", state="scored")
    journal.close()
    again = Journal(path, ("scored", "judge_error"))
    assert again.find("easy", "1", 0, "k1:aa", "h1") == (0, "scored")
    assert again.find("easy", "1", 0, "k1:aa", "h2") is None


def test_a_lone_surrogate_in_an_answer_survives_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "r.jsonl", STATES)
    put(journal, "1", text="a\udc80b")
    found = journal.find("easy", "1", 0, "k1:aa")
    assert found is not None
    assert journal.read(found[0])["text"] == "a\udc80b"


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files may not grow beyond this size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_with_a_remedy_and_the_file_ends_with_its_last_whole_line(
    tmp_path: Path, small_disk: int
) -> None:
    journal = Journal(tmp_path / "r.jsonl", STATES)
    put(journal, "1", text="x" * 400)
    whole = journal.path.read_bytes()
    with pytest.raises(HarnessError, match="cannot write"):
        put(journal, "2", text="y" * small_disk)
    assert journal.path.read_bytes() == whole
    assert journal.find("easy", "2", 0, "k1:aa") is None
    put(journal, "3")
    assert [each["id"] for each in load_lines(journal.path)] == ["1", "3"]


def test_a_line_longer_than_any_buffer_is_read_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "r.jsonl", STATES)
    put(journal, "1", text="x" * 300_000)
    put(journal, "2", text="y")
    found = journal.find("easy", "1", 0, "k1:aa")
    assert found is not None
    assert len(journal.read(found[0])["text"]) == 300_000


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {1, 2}])
def test_what_json_cannot_hold_is_refused_by_name_and_the_file_ends_as_before(tmp_path: Path, value: object) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1")
    with pytest.raises(HarnessError, match=r"what JSON cannot hold.*sample 'bad'"):
        put(journal, "bad", target=value)
    put(journal, "2")
    journal.close()
    assert [each["id"] for each in load_lines(path)] == ["1", "2"]


def test_a_file_that_is_written_is_never_cut_because_it_was_not_read_first(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1")
    journal.close()
    whole = path.read_bytes()
    again = Journal(path, STATES, write=True, load=False)
    assert len(again) == 1
    again.close()
    assert path.read_bytes() == whole


def test_a_disk_that_cannot_sync_is_told_as_such_and_lets_the_file_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "r.jsonl"
    journal = Journal(path, STATES)
    put(journal, "1")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(HarnessError, match="cannot write: Input/output error"):
            journal.sync()
        with pytest.raises(HarnessError, match="cannot write: Input/output error"):
            journal.close()
    Journal(path, STATES).close()
