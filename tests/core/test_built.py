"""A set that was built in a benchmark's layout: its numbers are never shown as the benchmark's."""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import plugins
from harness.board.leaderboard import boards
from harness.board.suites import means
from harness.data.built import FILE, drop_published_sizes, find_built_set
from harness.data.downloads import DownloadProgress
from harness.data.fetching import fetch
from harness.errors import HarnessError, MissingData
from harness.testing.results import judged, results, split
from tests.core.built_sets import HOST, REVISION, TALK, asked, judged_again, root_of, say_built


def mark(root: Path, name: str, revision: str = REVISION) -> str:
    found = find_built_set(say_built(root, name, revision=revision))
    assert found is not None
    return found.mark


def rows(*runs: Any) -> dict[str, int]:
    return {board.name: len(board.rows) for board in boards([run.results for run in runs])}


def test_what_a_build_says_of_its_set_is_read_and_what_a_fetch_says_is_no_set(tmp_path: Path) -> None:
    found = find_built_set(say_built(tmp_path))
    assert found is not None
    assert (found.name, found.revision, found.licence) == ("lamps", REVISION, "cc0-1.0")
    assert find_built_set(say_built(tmp_path, "build", kind="hub")) is None
    assert find_built_set(tmp_path / "nothing") is None
    (tmp_path / FILE).write_text('{"parts": [{"kind": "build"')
    assert find_built_set(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Lamps and kites", "+data=Lamps-and-kites"),
        ("../a:b+c=d", "+data=a-b-c-d"),
        ("灯", "+data=01234567"),
        ("n" * 200, "+data=" + "n" * 60),
    ],
)
def test_a_set_of_any_name_marks_a_task_in_characters_that_a_folder_may_have(
    tmp_path: Path, name: str, shown: str
) -> None:
    assert mark(tmp_path, name) == shown


def test_a_set_without_any_readable_name_is_marked_all_the_same(tmp_path: Path) -> None:
    assert mark(tmp_path, "..", revision="") == "+data=built"


def test_a_set_in_an_archive_is_known_as_well_as_one_in_a_folder(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "packed"), "zip", say_built(root_of(tmp_path / "lamps", "one")))
    for root in (tmp_path / "packed", tmp_path / "packed.zip"):
        found = find_built_set(root)
        assert found is not None
        assert found.name == "lamps"
    assert find_built_set(tmp_path / "pack") is None


def test_nothing_is_published_of_a_built_set_and_packaged_splits_keep_their_size() -> None:
    assert not callable(TALK.splits)
    found = drop_published_sizes(TALK.splits)
    assert {name: each.n for name, each in found.items()} == {"easy": None, "mini": 3}
    assert ("gone" in found, len(found)) == (False, 2)


def test_a_run_on_a_built_set_bears_its_name_and_tells_its_source_licence_and_hash(tmp_path: Path) -> None:
    run = asked(say_built(root_of(tmp_path / "set", "one", "two")), tmp_path / "run")
    ((name, task),) = run.results["tasks"].items()
    assert (name, task["splits"]["easy"]["n"], task["splits"]["easy"]["n_expected"]) == ("talk+data=lamps", 2, None)
    data = task["data"]
    assert (data["source"], data["revision"], data["licence"]) == ("lamps", REVISION, "cc0-1.0")
    assert int(data["sha256"], 16) > 0
    assert run.exit_code == 0
    assert (tmp_path / "run" / "talk+data=lamps" / "asked.jsonl").is_file()


def test_one_run_folder_keeps_the_benchmark_and_a_built_set_apart(tmp_path: Path) -> None:
    asked(root_of(tmp_path / "real", "one", "two"), tmp_path / "run")
    run = asked(say_built(root_of(tmp_path / "set", "one")), tmp_path / "run")
    found = {name: task["splits"]["easy"]["n"] for name, task in run.results["tasks"].items()}
    assert found == {"talk": 2, "talk+data=lamps": 1}
    assert run.results["tasks"]["talk"]["data"]["source"] == "owner/talk"


def test_a_leaderboard_has_a_board_for_the_benchmark_and_one_for_each_built_set(tmp_path: Path) -> None:
    real = asked(root_of(tmp_path / "real", "one", "two"), tmp_path / "a")
    lamps = asked(say_built(root_of(tmp_path / "lamps", "one", "two")), tmp_path / "b")
    kites = asked(say_built(root_of(tmp_path / "kites", "one", "two"), "kites"), tmp_path / "c")
    assert rows(real, lamps, kites) == {"talk:easy": 1, "talk+data=lamps:easy": 1, "talk+data=kites:easy": 1}


def test_two_builds_of_one_name_are_ranked_apart(tmp_path: Path) -> None:
    one = asked(say_built(root_of(tmp_path / "one", "one", "two")), tmp_path / "a")
    two = asked(say_built(root_of(tmp_path / "two", "one", "two"), revision="k1:another"), tmp_path / "b")
    assert rows(one, two) == {"talk+data=lamps:easy (A)": 1, "talk+data=lamps:easy (B)": 1}


def test_a_packaged_split_is_none_of_the_set_that_lies_in_the_root(tmp_path: Path) -> None:
    root = say_built(root_of(tmp_path / "set", "one"))
    run = asked(root, tmp_path / "run", "talk:mini")
    ((name, task),) = run.results["tasks"].items()
    assert (name, task["data"]["source"], task["data"]["licence"]) == ("talk", "packaged", "")
    assert task["splits"]["mini"]["n_expected"] == 3


def test_runs_on_the_benchmark_and_on_a_built_set_are_not_compared_as_one(tmp_path: Path) -> None:
    asked(root_of(tmp_path / "real", "one"), tmp_path / "a")
    asked(say_built(root_of(tmp_path / "set", "one")), tmp_path / "b")
    with plugins.use(HOST), pytest.raises(HarnessError, match=r"talk in A, talk\+data=lamps in B"):
        harness.compare(tmp_path / "a", tmp_path / "b")


def test_a_stored_run_keeps_its_name_whatever_becomes_of_the_set(tmp_path: Path) -> None:
    root = say_built(root_of(tmp_path / "set", "one", "two"))
    asked(root, tmp_path / "run")
    asked(root_of(tmp_path / "real", "one"), tmp_path / "run")
    shutil.rmtree(root)
    say_built(tmp_path / "real", "kites")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with plugins.use(HOST):
        found = {each.title for each in harness.compare(tmp_path / "run", tmp_path / "copy").splits}
    tasks = judged_again(tmp_path / "run").results["tasks"]
    assert {name: task["splits"]["easy"]["n_expected"] for name, task in tasks.items()} == {
        "talk": 500,
        "talk+data=lamps": None,
    }
    assert found == {"talk:easy", "talk+data=lamps:easy"}


def test_a_set_that_is_gone_is_asked_for_by_its_folder_and_not_fetched(tmp_path: Path) -> None:
    root = say_built(root_of(tmp_path / "set", "one"))
    asked(root, tmp_path / "run")
    shutil.rmtree(root)
    run = judged_again(tmp_path / "run")
    assert any("-T talk.data=DIR" in note for note in run.notes)


def test_a_split_that_a_set_does_not_have_is_answered_with_those_it_has(tmp_path: Path) -> None:
    root = say_built(root_of(tmp_path / "set", "one"))
    with pytest.raises(MissingData, match="the set lamps has no split 'hard' of talk") as caught:
        asked(root, tmp_path / "run", "talk:hard")
    assert (caught.value.where, caught.value.remedy) == (str(root), "it has easy")


def test_a_built_set_is_never_fetched_over(tmp_path: Path) -> None:
    root = say_built(root_of(tmp_path / "set", "one"))
    assert TALK.source is not None
    with pytest.raises(HarnessError, match="holds the set lamps, which was built and is not talk"):
        fetch("talk", TALK.source, root, DownloadProgress(io.StringIO()))


def test_a_mean_over_a_built_set_is_a_mean_of_its_own(tmp_path: Path) -> None:
    def run(task: str) -> dict[str, Any]:
        body = results("x/a", {task: {"all": split(judged({"safe": 3}, main="safe"), judge="fake-1f3a9c2e")}})
        part = {"metric": "ASR", "value": 3.0}
        mean = {"value": 3.0, "ci95": [0, 9], "ci95_worst": [0, 9], "unit": "%", "better": "lower", "missing": []}
        return {**body, "suites": {"two": {"mean": {**mean, "complete": True, "of": {f"{task}:all": part}}}}}

    assert [mean.suite for mean in means([run("talk"), run("talk+data=lamps")])] == ["two", "two+data=lamps"]
