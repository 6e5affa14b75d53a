"""The store: journals of lines that are found by their keys, listings of what was asked, and the folder around them."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, IdentityMismatch
from harness.store import RunFolder, TaskFolder, file_name
from harness.store.bulk import read_task
from harness.store.journal import Journal, load_lines
from harness.store.run_file import SCHEMA, RunFile

STATES = ("answered", "error")


def append(journal: Journal, sample: str, outcome: str = "answered", **more: object) -> None:
    line = {"id": sample, "split": "easy", "epoch": 0, "key": "k1:a", "outcome": outcome, **more}
    journal.append(line, "easy", sample, 0, "k1:a", state=outcome)


def find(journal: Journal, sample: str, key: str = "k1:a") -> dict[str, Any] | None:
    return journal.find_line("easy", sample, 0, key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


@pytest.fixture
def whole(path: Path) -> bytes:
    """The bytes of a journal with one line, which is at `path`."""
    journal = Journal(path, STATES)
    append(journal, "1")
    journal.close()
    return path.read_bytes()


def test_a_line_is_found_by_who_was_asked_and_what_and_read_back_whole(path: Path) -> None:
    journal = Journal(path, STATES)
    append(journal, "1", text="first\nsecond")
    append(journal, "surrogate", text="a\udc80b")
    append(journal, "longer than any buffer", text="x" * 300_000)
    append(journal, "2", text="other")
    texts = {name: (find(journal, name) or {})["text"] for name in ("1", "surrogate", "longer than any buffer", "2")}
    assert list(texts.values()) == ["first\nsecond", "a\udc80b", "x" * 300_000, "other"]
    assert journal.find("easy", "1", 0, "k1:a") == (0, "answered")
    assert find(journal, "1", "k1:b") is None


def test_a_reopened_journal_finds_everything_again_and_the_last_line_wins(path: Path) -> None:
    journal = Journal(path, STATES)
    append(journal, "1", "error")
    append(journal, "1", text="later")
    append(journal, 'odd "id" \\ ü', text="x")
    journal.close()
    again = Journal(path, STATES)
    assert (find(again, "1") or {})["text"] == "later"
    assert find(again, 'odd "id" \\ ü') is not None
    assert len(again) == 2


def test_a_verdict_is_found_only_with_the_hash_of_the_answer_it_was_given_on(path: Path) -> None:
    verdict = {"id": "1", "split": "easy", "epoch": 0, "key": "k1:a", "answer": "h1", "state": "scored", "label": "x"}
    journal = Journal(path, ("scored", "judge_error"))
    journal.append(verdict, "easy", "1", 0, "k1:a", "h1", state="scored")
    journal.close()
    again = Journal(path, ("scored", "judge_error"))
    assert again.find("easy", "1", 0, "k1:a", "h1") == (0, "scored")
    assert again.find("easy", "1", 0, "k1:a", "h2") is None


@pytest.mark.parametrize("torn", [b"", b'{"id":"2","split":"ea', b"{", b'{"id":"2","split":"easy","epoch":0}'])
@pytest.mark.parametrize("load", [True, False])
def test_a_torn_end_is_cut_when_the_file_is_written_and_nothing_before_it_is_lost(
    path: Path, whole: bytes, torn: bytes, load: bool
) -> None:
    path.write_bytes(whole + torn)
    again = Journal(path, STATES, load=load)
    assert path.read_bytes() == whole
    append(again, "3")
    again.close()
    assert [each["id"] for each in load_lines(path)] == ["1", "3"]


def test_a_reader_leaves_a_torn_end_alone_because_the_writer_may_still_be_at_it(path: Path, whole: bytes) -> None:
    torn = whole + b'{"id":"2"'
    path.write_bytes(torn)
    reader = Journal(path, STATES, write=False)
    assert len(reader) == 1
    reader.close()
    assert path.read_bytes() == torn


def test_a_second_writer_is_refused_with_what_to_do(path: Path) -> None:
    journal = Journal(path, STATES)
    with pytest.raises(HarnessError, match="another process"):
        Journal(path, STATES)
    journal.close()
    Journal(path, STATES).close()


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files may not grow beyond this size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_with_a_remedy_and_the_file_ends_with_its_last_whole_line(
    path: Path, small_disk: int
) -> None:
    journal = Journal(path, STATES)
    append(journal, "1", text="x" * 400)
    whole = path.read_bytes()
    with pytest.raises(HarnessError, match="cannot write"):
        append(journal, "2", text="y" * small_disk)
    assert path.read_bytes() == whole
    assert find(journal, "2") is None
    append(journal, "3")
    assert [each["id"] for each in load_lines(path)] == ["1", "3"]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {1, 2}])
def test_what_json_cannot_hold_is_refused_by_name_and_the_file_ends_as_before(path: Path, value: object) -> None:
    journal = Journal(path, STATES)
    append(journal, "1")
    with pytest.raises(HarnessError, match=r"what JSON cannot hold.*sample 'bad'"):
        append(journal, "bad", target=value)
    append(journal, "2")
    journal.close()
    assert [each["id"] for each in load_lines(path)] == ["1", "2"]


def test_a_disk_that_cannot_sync_is_told_as_such_and_lets_the_file_go(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(path, STATES)
    append(journal, "1")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        for act in (journal.sync, journal.close):
            with pytest.raises(HarnessError, match="cannot write: Input/output error"):
                act()
    Journal(path, STATES).close()


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return RunFolder(tmp_path / "run").task("mis")


def asked(sample: str, split: str = "easy", key: str = "k1:a") -> dict[str, object]:
    return {"id": sample, "split": split, "epoch": 0, "key": key}


def add(folder: TaskFolder, *samples: str, split: str = "easy", keep: bool = False, key: str = "k1:a") -> str:
    """List samples inside `replace_listings`."""
    listing = folder.open_listing(split, keep=keep)
    for sample in samples:
        listing.add(asked(sample, split, key), f"k1:{int(sample):064x}")
    listing.finish()
    return listing.content


def put(folder: TaskFolder, *samples: str, **how: Any) -> str:
    """List samples of one split as an invocation of their own."""
    with folder.replace_listings():
        return add(folder, *samples, **how)


def keys(folder: TaskFolder, *splits: str) -> list[dict[str, str]]:
    return [{line["id"]: line["key"] for line in folder.read_asked(split)} for split in splits]


def names(folder: TaskFolder) -> list[str]:
    return [path.name for path in folder.path.iterdir()]


def test_a_new_listing_takes_the_place_of_the_old_one_of_its_split_only(folder: TaskFolder) -> None:
    put(folder, "1", "2", "3")
    put(folder, "7", split="hard")
    put(folder, "2")
    assert keys(folder, "easy", "hard") == [{"2": "k1:a"}, {"7": "k1:a"}]
    assert json.dumps(next(load_lines(folder.path / "asked.jsonl"))) == json.dumps(asked("2"))


def test_a_lower_limit_never_shrinks_what_was_asked(folder: TaskFolder) -> None:
    put(folder, "1", "2", "3")
    put(folder, "2", keep=True, key="k1:b")
    assert keys(folder, "easy") == [{"2": "k1:b", "1": "k1:a", "3": "k1:a"}]


def test_listings_of_one_invocation_take_their_places_together(folder: TaskFolder) -> None:
    put(folder, "1", "2")
    put(folder, "9", split="real")
    with folder.replace_listings():
        add(folder, "1", key="k1:b")
        add(folder, "3", split="hard")
        assert keys(folder, "easy", "hard") == [{"1": "k1:a", "2": "k1:a"}, {}], "not yet"
    assert keys(folder, "easy", "hard", "real") == [{"1": "k1:b"}, {"3": "k1:a"}, {"9": "k1:a"}]
    assert names(folder) == ["asked.jsonl"]


def test_a_listing_that_is_abandoned_takes_nothing_of_the_others_with_it(folder: TaskFolder) -> None:
    put(folder, "1", "2")
    with folder.replace_listings():
        add(folder, "3", split="hard")
        new = folder.open_listing("easy", keep=False)
        new.add(asked("1", key="k1:b"), "")
        new.abandon()
        add(folder, "4", split="real")
    assert keys(folder, "easy", "hard", "real") == [{"1": "k1:a", "2": "k1:a"}, {"3": "k1:a"}, {"4": "k1:a"}]


def test_an_abandoned_listing_leaves_the_old_one_and_no_scratch(folder: TaskFolder) -> None:
    put(folder, "1")
    with folder.replace_listings():
        folder.open_listing("easy", keep=False).abandon()
    assert (keys(folder, "easy"), names(folder)) == ([{"1": "k1:a"}], ["asked.jsonl"])


def test_an_invocation_that_raises_leaves_every_listing_as_it_was(folder: TaskFolder) -> None:
    put(folder, "1")

    def fail() -> None:
        with folder.replace_listings():
            add(folder, "2")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (keys(folder, "easy"), names(folder)) == ([{"1": "k1:a"}], ["asked.jsonl"])


def test_a_damaged_line_that_would_stay_is_an_error_with_its_file_and_the_old_listing_stays(folder: TaskFolder) -> None:
    put(folder, "1", "2")
    path = folder.path / "asked.jsonl"
    path.write_text(path.read_text().replace('"k1:a"}', '"k1:a'))
    before = path.read_bytes()
    with pytest.raises(HarnessError, match="not an asked item") as caught:
        put(folder, "2", keep=True)
    assert (caught.value.where, path.read_bytes()) == (str(path), before)


@pytest.mark.parametrize(
    ("line", "name", "what"),
    [
        (
            '{"id":"1","split":"easy","epoch":0,"key":"k1:a","outcome":"answered","text":"cut',
            "responses",
            "is not JSON",
        ),
        ('{"id":"1","split":"easy","epoch":0,"key":"k1:a', "asked", "not an asked item"),
        ("[1]", "asked", "not an asked item"),
        ('{"id":"1"}', "asked", "not an asked item"),
    ],
)
def test_a_damaged_line_of_a_shard_is_named_as_that_of_any_folder(
    folder: TaskFolder, line: str, name: str, what: str
) -> None:
    put(folder, "1")
    path = folder.path / f"{name}.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(HarnessError, match=what) as caught:
        list(read_task(folder, ("easy",), ()))
    assert caught.value.where.startswith(str(path))


def test_the_hash_of_the_data_does_not_depend_on_the_order_in_which_samples_ended(folder: TaskFolder) -> None:
    assert put(folder, "1", "2", "3") == put(folder, "3", "1", "2")
    assert put(folder, "1", "2", "3") != put(folder, "1", "2")


def test_a_listing_takes_nothing_that_json_cannot_hold(folder: TaskFolder) -> None:
    with folder.replace_listings(), pytest.raises(HarnessError, match="what JSON cannot hold"):
        folder.open_listing("easy", keep=False).add({**asked("1"), "target": float("nan")}, "")


def test_lines_that_another_hand_wrote_are_found_by_their_split_too(folder: TaskFolder) -> None:
    put(folder, "1")
    path = folder.path / "asked.jsonl"
    odd = json.dumps({"split": 'ea"sy', "id": "x", "epoch": 0, "key": "k"})
    path.write_text(path.read_text() + odd + "\n" + json.dumps(asked("2")) + "\n" + '{"id": "torn', "utf-8")
    assert keys(folder, "easy", 'ea"sy') == [{"1": "k1:a", "2": "k1:a"}, {"x": "k"}]


@pytest.mark.parametrize("line", ["keep", '{"x": 1}', '{"id": "1", "split": "easy", "ep'])
def test_a_line_of_asked_that_is_damaged_is_named_with_what_to_do(folder: TaskFolder, line: str) -> None:
    put(folder, "1")
    with (folder.path / "asked.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HarnessError, match=r"one of its lines is not an asked item.*asked\.jsonl") as caught:
        list(folder.read_asked("easy"))
    assert "--fresh" in caught.value.remedy


def test_a_journal_that_is_read_again_is_found_whole_when_it_grew_and_anew_when_it_was_replaced(
    folder: TaskFolder,
) -> None:
    def found() -> list[bool]:
        journal = folder.responses(write=False)
        journal.close()
        return [journal.find("easy", name, 0, "k1:a") is not None for name in ("1", "2")]

    assert found() == [False, False]
    path = folder.path / "responses.jsonl"
    folder.path.mkdir(parents=True, exist_ok=True)
    head = '{{"id":"{}","split":"easy","epoch":0,"key":"k1:a","outcome":"empty"}}\n'
    path.write_text(head.format("1"))
    assert found() == [True, False]
    with path.open("a") as file:
        file.write(head.format("2"))
    assert found() == [True, True]
    other = path.with_name("other")
    other.write_text(head.format("2") * 3)
    other.replace(path)
    assert found() == [False, True]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openai-Qwen/Qwen2-VL", "openai-Qwen-Qwen2-VL"),
        ("mssbench+setting=qc", "mssbench+setting=qc"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("ü", "x"),
        ("", "x"),
    ],
)
def test_a_file_name_never_leaves_its_folder_and_is_never_hidden(text: str, name: str) -> None:
    assert file_name(text) == name


def run_file(**fields: Any) -> RunFile:
    raw = {"schema": SCHEMA, "started": "", "identity_digest": "", "plugins": {}, "environment": {}, "judges": {}}
    model: dict[str, Any] = {"ref": "a/b", "resolved": "b", "settings": {}, "strategy": None}
    return RunFile.from_json(
        {**raw, "model": model, "overrides": {"generation": {}, "system": ""}, "tasks": {}, "identity": {}, **fields}
    )


def test_a_folder_of_another_identity_is_refused_with_the_fields_that_differ(tmp_path: Path) -> None:
    folder, low = RunFolder(tmp_path), {"scheme": "openai", "settings": {"detail": "low"}}
    folder.claim(low, "remedy")
    folder.rewrite_run(lambda _: run_file(identity=low))
    folder.claim(low, "remedy")
    with pytest.raises(IdentityMismatch, match=r'settings.detail was "low" and is "high"') as caught:
        folder.claim({"scheme": "openai", "settings": {"detail": "high"}}, "give --output")
    assert caught.value.remedy == "give --output"


def test_responses_without_a_run_file_are_never_taken_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.task("mis").responses(write=True).close()
    with pytest.raises(HarnessError, match="holds answers but no run"):
        folder.claim({"scheme": "x"}, "remedy")


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.rewrite_json("results.json") as results:
        results["a"] = 1
    with pytest.raises(ZeroDivisionError), folder.rewrite_json("results.json") as results:
        results["a"] = 1 / 0
    assert folder.results == {"a": 1}


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(HarnessError, match="not JSON") as caught:
        _ = RunFolder(tmp_path).run
    assert "run.json" in caught.value.where


def test_the_judges_of_a_task_are_those_that_have_a_file(folder: TaskFolder) -> None:
    for judge in ("mis-openai-x-1f3a9c2e", "keyword-00112233"):
        folder.verdicts(judge, write=True).close()
    assert folder.judges() == ("keyword-00112233", "mis-openai-x-1f3a9c2e")


WRITES: dict[str, Callable[[RunFolder], object]] = {
    "log.txt": lambda run: run.log("a line"),
    "mis/responses.jsonl": lambda run: run.task("mis").responses(write=True),
    "mis/.responses.jsonl.lock": lambda run: run.task("mis").responses(write=True),
    "mis/verdicts-keyword.jsonl": lambda run: run.task("mis").verdicts("keyword", write=True),
    "mis/.asked.jsonl.new": lambda run: run.task("mis").replace_listings().__enter__(),
    ".results.json.lock": lambda run: run.rewrite_json("results.json").__enter__(),
    ".writers.lock": lambda run: run.hold_for_writing().__enter__(),
}


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_through_a_link_that_leads_out_of_the_run_folder(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("what the user wrote\n")
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(mine)
    with pytest.raises(HarnessError, match="leads out of the run folder") as refused:
        WRITES[name](RunFolder(tmp_path / "run"))
    assert link.name in str(refused.value)
    assert mine.read_text() == "what the user wrote\n"


def test_a_task_s_folder_that_is_a_link_out_of_the_run_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "run" / "mis").symlink_to(tmp_path / "mine")
    with pytest.raises(HarnessError, match="leads out of the run folder"):
        RunFolder(tmp_path / "run").task("mis").responses(write=True)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_run_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    run = RunFolder(tmp_path / "run")
    run.log("a line")
    run.task("mis").responses(write=True)
    assert (tmp_path / "disk" / "log.txt").read_text() == "a line\n"


def test_a_file_that_is_replaced_is_not_written_through_a_link_in_its_place(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text('{"what": "the user wrote"}\n')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").symlink_to(mine)
    with RunFolder(tmp_path / "run").rewrite_json("results.json") as results:
        results.clear()
    assert mine.read_text() == '{"what": "the user wrote"}\n'
    assert (tmp_path / "run" / "results.json").read_text() == "{}\n"
