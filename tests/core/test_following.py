"""A run that is read while it may go on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import plugins
from harness.errors import HarnessError
from harness.runs.following import RunFollower
from harness.runs.items import Item
from harness.runs.stored import open_run
from harness.testing.fakes import fake_judge, fake_task, host_of
from tests.reports.viewed import FIRST, SECOND, Stored, Told, stored


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Stored]:
    run = Stored(tmp_path / "run", tmp_path / "drawings")
    yield run
    run.close()


def drawn(following: RunFollower) -> dict[int, Item]:
    return dict(following.advance(1000))


def ids(folder: Path) -> list[str]:
    return [item.answer.asked["id"] for item in drawn(RunFollower(folder)).values()]


def test_a_finished_run_has_the_items_that_a_reader_of_stored_runs_has(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id=str(n), labels={FIRST: "safe", SECOND: "unsafe"}) for n in range(7)])
    run = open_run(folder)

    assert list(drawn(RunFollower(folder)).values()) == [item for title in run.splits for item in run.items(title)]


def test_a_run_that_goes_on_shows_what_no_listing_names_yet(run: Stored) -> None:
    following = RunFollower(run.folder.path)
    assert drawn(following) == {}
    run.add(Told(id="1"), Told(id="2", labels={}))

    found = drawn(following)
    assert [item.item for item in found.values()] == ["drawn/all/1#0", "drawn/all/2#0"]
    assert [item.label for item in found.values()] == ["safe", ""]
    assert drawn(following) == {}


def test_a_verdict_that_comes_later_changes_its_item_and_keeps_its_number(run: Stored) -> None:
    run.add(Told(id="1"), Told(id="2", labels={}))
    following = RunFollower(run.folder.path)
    before = {item.item: number for number, item in drawn(following).items()}
    run.add(Told(id="2", labels={SECOND: "unsafe"}))

    ((number, item),) = drawn(following).items()
    assert number == before["drawn/all/2#0"]
    assert item.said[SECOND].label == "unsafe"


def test_a_judge_is_of_the_longest_rubric_that_its_name_begins_with(tmp_path: Path) -> None:
    task = fake_task(name="drawn", judges={"first": {"bad": "unsafe"}, "first-strict": {"bad": "blocked"}})
    strict = "first-strict-m-0000cccc"
    with plugins.use(host_of(task, fake_judge(name="first"), fake_judge(name="first-strict"))):
        run = Stored(tmp_path / "run", tmp_path / "drawings", judges=(strict, FIRST))
        run.add(Told(id="1", labels={strict: "bad", FIRST: "bad"}))
        (item,) = drawn(RunFollower(run.folder.path)).values()
        run.close()
    assert [(judge, said.label) for judge, said in item.said.items()] == [(FIRST, "unsafe"), (strict, "blocked")]


def test_the_end_of_a_run_begins_a_new_generation_with_the_same_items(run: Stored) -> None:
    run.add(Told(id="1"), Told(id="2"))
    following = RunFollower(run.folder.path)
    before = sorted(item.item for item in drawn(following).values())
    run.finish()

    after = drawn(following)
    assert following.generation == 1
    assert sorted(item.item for item in after.values()) == before
    assert following.part(0).root == run.root


def test_a_half_written_line_is_no_item_until_it_is_whole(run: Stored) -> None:
    run.add(Told(id="1"))
    path = run.folder.task("drawn").path / "responses.jsonl"
    run.add(Told(id="2"))
    whole = path.read_bytes()
    cut = len(whole) - 40
    path.write_bytes(whole[:cut])
    following = RunFollower(run.folder.path)
    assert [item.answer.asked["id"] for item in drawn(following).values()] == ["1"]
    with path.open("ab") as file:
        file.write(whole[cut:])

    assert [item.answer.asked["id"] for item in drawn(following).values()] == ["2"]


def test_a_line_that_another_hand_broke_is_counted_and_costs_no_other(run: Stored) -> None:
    run.add(Told(id="1"), Told(id="2"))
    path = run.folder.task("drawn").path / "responses.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(b'"prompt"', b'"pr\x00mpt"').replace(b"}", b"!", 1) + second)
    following = RunFollower(run.folder.path)

    found = drawn(following)
    assert following.unreadable == 1
    assert [item.outcome for item in found.values()] == ["error", "answered"]


def test_an_answer_older_than_the_listing_that_does_not_name_it_is_history(run: Stored) -> None:
    run.add(Told(id="1"))
    path = run.folder.task("drawn").path / "responses.jsonl"
    old = path.read_text().replace('"id":"1"', '"id":"0"').replace('"at":"2', '"at":"1')
    run.finish()
    path.write_text(old + path.read_text())

    assert ids(run.folder.path) == ["1"]


def test_a_folder_that_is_put_aside_for_a_new_run_is_read_anew(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1"), Told(id="2")])
    following = RunFollower(folder)
    assert len(drawn(following)) == 2
    folder.rename(tmp_path / "aside")
    assert drawn(following) == {}
    shutil.copytree(stored(tmp_path / "other", [Told(id="3")]), folder)

    assert [item.answer.asked["id"] for item in drawn(following).values()] == ["3"]


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no run here"):
        RunFollower(tmp_path)


def test_the_first_items_of_a_long_run_do_not_wait_for_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path / "run", [Told(id=str(n)) for n in range(30)])
    monkeypatch.setattr("harness.runs.following._LINES", 4)
    following = RunFollower(folder)

    assert [item.answer.asked["id"] for _, item in following.advance(3)] == ["0", "1", "2"]
    begun = following.settled
    rest = [pair for _ in range(40) for pair in following.advance(3)]
    assert (begun, following.settled) == (False, True)
    assert [number for number, _ in rest if number > 2] == list(range(3, 30))
    assert all(item.label == "safe" for _, item in rest)


def test_an_item_without_an_answer_is_told_once_all_lines_were_looked_at(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1"), Told(id="2"), Told(id="3")])
    path = folder / "drawn" / "responses.jsonl"
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third)

    found = drawn(RunFollower(folder))
    assert [item.outcome for item in found.values()] == ["answered", "unanswered", "answered"]


def test_a_line_that_is_no_text_is_no_item(run: Stored) -> None:
    run.add(Told(id="1"))
    path = run.folder.task("drawn").path / "responses.jsonl"
    with path.open("ab") as file:
        file.write(b'{"id":"\xff","split":"all","epoch":0,"key":"k1:x","outcome":"answered"}\n')
        file.write(b'{"id":"\\q","split":"all","epoch":0,"key":"k1:x","outcome":"answered"}\nnonsense\n')

    assert ids(run.folder.path) == ["1"]
