"""A split costs the same beside many others: the files of a task are read and replaced once, not once for each."""

import cProfile
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.evaluation.options import JudgeOptions, Options
from harness.models import ModelSpec
from harness.runs.additions import combine_judges
from harness.runs.run import judge_async, run_async
from harness.runs.stored import open_run
from harness.runs.verification import verify_run
from harness.store.folder import RunFolder, TaskFolder
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Sample

FEW, MANY, SAMPLES = 15, 120, 4


def host(splits: int) -> Any:
    plain = fake_task(judges={"fake": {}, "two": {}})
    assert not callable(plain.splits)
    only = replace(plain.splits["all"], data=None)

    def listed(_root: Path, split: str, _settings: object) -> Iterator[Sample]:
        yield from (fake_sample(f"q{number}", split=split) for number in range(SAMPLES))

    task = replace(plain, splits={f"s{number}": only for number in range(splits)}, samples=listed)
    return host_of(fake_provider("no"), task, fake_judge(), fake_judge(name="two"))


def calls_of(body: Callable[[], object]) -> int:
    """How many functions are called: a measure of work that no other process on the machine moves."""
    profile = cProfile.Profile()
    profile.runcall(body)
    return sum(entry.callcount for entry in profile.getstats())


def commands(folder: Path) -> dict[str, Callable[[], object]]:
    """What is done with a run, in order."""
    (folder / "data" / "fake").mkdir(parents=True)
    part = {"kind": "hub", "name": "a/b", "revision": "f" * 40, "fetched": "2026-01-01T00:00:00+00:00"}
    files = {f"{number}.png": {"bytes": 1, "sha256": "0"} for number in range(200)}
    record = {"schema": "harness.source/1", "task": "fake", "licence": "MIT", "parts": [{**part, "files": files}]}
    (folder / "data" / "fake" / ".source.json").write_text(json.dumps(record))
    run = folder / "run"
    asked = Options(model=ModelSpec(ref="fake/m"), tasks=("fake",), data=folder / "data", output=run, probe=False)

    def read() -> None:
        stored = open_run(run)
        assert all(list(stored.items(title)) for title in stored.splits)

    return {
        "run": lambda: anyio.run(run_async, asked),
        "run again": lambda: anyio.run(run_async, asked),
        "a lower limit": lambda: anyio.run(run_async, replace(asked, limit=1)),
        "judge": lambda: anyio.run(judge_async, run, JudgeOptions(judges=("two",), probe=False)),
        "combine": lambda: combine_judges(run, JudgeOptions(probe=False)),
        "verify": lambda: verify_run(run),
        "compare": lambda: list(open_run(run, ()).judged_splits()),
        "show": read,
    }


def test_a_split_costs_no_more_beside_many_others(tmp_path: Path) -> None:
    costs: dict[int, dict[str, float]] = {}
    for splits in (FEW, MANY):
        with plugins.use(host(splits)):
            made = commands(tmp_path / str(splits))
            costs[splits] = {name: calls_of(body) / splits for name, body in made.items()}
    dearer = {name: costs[MANY][name] / costs[FEW][name] for name in costs[FEW]}
    assert {name: round(ratio, 2) for name, ratio in dearer.items() if ratio > 1.15} == {}


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return RunFolder(tmp_path).task("mis")


def line(sample: str, split: str, key: str = "k1:a") -> dict[str, Any]:
    return {"id": sample, "split": split, "epoch": 0, "key": key, "category": "", "cluster": sample}


def listed(folder: TaskFolder, split: str, *samples: str, key: str = "k1:a", keep: bool = False) -> None:
    """List samples inside `replace_listings`."""
    new = folder.open_listing(split, keep=keep)
    for sample in samples:
        new.add(line(sample, split, key), "")
    new.finish()


def keys(folder: TaskFolder, split: str) -> dict[str, str]:
    return {each["id"]: each["key"] for each in folder.read_asked(split)}


def test_listings_of_one_invocation_take_their_places_together(folder: TaskFolder) -> None:
    with folder.replace_listings():
        listed(folder, "easy", "1", "2")
        listed(folder, "real", "9")
    with folder.replace_listings():
        listed(folder, "easy", "1", key="k1:b")
        listed(folder, "hard", "3")
        assert (keys(folder, "easy"), keys(folder, "hard")) == ({"1": "k1:a", "2": "k1:a"}, {}), "not yet"
    assert (keys(folder, "easy"), keys(folder, "hard"), keys(folder, "real")) == (
        {"1": "k1:b"}, {"3": "k1:a"}, {"9": "k1:a"},
    )  # fmt: skip
    assert [path.name for path in folder.path.iterdir()] == ["asked.jsonl"]


def test_a_listing_that_is_abandoned_takes_nothing_of_the_others_with_it(folder: TaskFolder) -> None:
    with folder.replace_listings():
        listed(folder, "easy", "1", "2")
    with folder.replace_listings():
        listed(folder, "hard", "3")
        new = folder.open_listing("easy", keep=False)
        new.add(line("1", "easy", "k1:b"), "")
        new.abandon()
        listed(folder, "real", "4")
    assert [keys(folder, split) for split in ("easy", "hard", "real")] == [
        {"1": "k1:a", "2": "k1:a"}, {"3": "k1:a"}, {"4": "k1:a"},
    ]  # fmt: skip


def test_an_invocation_that_raises_leaves_every_listing_as_it_was(folder: TaskFolder) -> None:
    with folder.replace_listings():
        listed(folder, "easy", "1")

    def full() -> None:
        with folder.replace_listings():
            listed(folder, "easy", "2")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        full()
    assert keys(folder, "easy") == {"1": "k1:a"}
    assert [path.name for path in folder.path.iterdir()] == ["asked.jsonl"]


def test_what_a_lower_limit_does_not_list_stays_beside_what_it_does(folder: TaskFolder) -> None:
    with folder.replace_listings():
        listed(folder, "easy", "1", "2", "3")
    with folder.replace_listings():
        listed(folder, "easy", "2", key="k1:b", keep=True)
    assert keys(folder, "easy") == {"2": "k1:b", "1": "k1:a", "3": "k1:a"}


def test_lines_that_another_hand_wrote_are_found_by_their_split_too(folder: TaskFolder) -> None:
    with folder.replace_listings():
        listed(folder, "easy", "1")
    path = folder.path / "asked.jsonl"
    odd = json.dumps({"split": 'ea"sy', "id": "x", "epoch": 0, "key": "k"})
    path.write_text(path.read_text() + odd + "\n" + json.dumps(line("2", "easy")) + "\n" + '{"id": "torn', "utf-8")
    assert list(keys(folder, "easy")) == ["1", "2"]
    assert list(keys(folder, 'ea"sy')) == ["x"]


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
