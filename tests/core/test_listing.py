"""How a split is listed: each sample once and under its own split, or a run, a dry run and `data verify` refuse it."""

import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness import plugins
from harness.contracts import Split, Task
from harness.data.inspection import check_split
from harness.data.places import read_samples
from harness.errors import BadData
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.runs.dry_run import dry_run
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Sample

TWICE = "two samples of fake:all have the id 'b'"
ELSEWHERE = "sample 'b' of fake:all says that it is of split 'test'"


def twice() -> Iterator[Sample]:
    yield from (fake_sample(name, text=f"{name}?") for name in ("a", "b", "c"))
    yield fake_sample("b", text="something else?")


def elsewhere() -> Iterator[Sample]:
    yield fake_sample("a")
    yield fake_sample("b", split="test")


def run(_task: Task, folder: Path) -> None:
    harness.run(model="fake/m", tasks=["fake"], output=folder / "run", probe=False)


def rehearsed(_task: Task, folder: Path) -> None:
    dry_run(Options(model=ModelSpec(ref="fake/m"), tasks=("fake",), data=folder))


def verified(task: Task, folder: Path) -> None:
    assert not callable(task.splits)
    split: Split = task.splits["all"]
    if error := check_split(task, "all", split, folder, {}).error:
        raise error


@pytest.mark.parametrize("look", [run, rehearsed, verified])
@pytest.mark.parametrize(("listed", "said"), [(twice, TWICE), (elsewhere, ELSEWHERE)])
def test_a_sample_that_would_be_taken_for_another_is_refused_when_its_split_is_listed(
    look: Callable[[Task, Path], None], listed: Callable[[], Iterator[Sample]], said: str, tmp_path: Path
) -> None:
    task = fake_task(listed)
    with plugins.use(host_of(fake_provider("no"), task, fake_judge())), pytest.raises(BadData) as caught:
        look(task, tmp_path)
    assert caught.value.what == said
    assert caught.value.where
    assert caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_one_id_in_two_splits_is_two_samples(tmp_path: Path) -> None:
    task = fake_task(lambda: [fake_sample("a")])
    assert not callable(task.splits)
    only = task.splits["all"]

    def listed(_root: Path, split: str, _settings: object) -> Iterator[Sample]:
        yield fake_sample("a", split=split)

    both = replace(task, splits={"all": only, "test": only}, samples=listed)
    with plugins.use(host_of(fake_provider("no"), both, fake_judge())):
        done = harness.run(model="fake/m", tasks=["fake"], output=tmp_path / "run", probe=False)
    assert [split["records"] for split in done.results["tasks"]["fake"]["splits"].values()] == [1, 1]


def test_to_know_a_hundred_thousand_ids_takes_no_more_than_4_mib() -> None:
    one = fake_sample("x")
    task = fake_task(lambda: (replace(one, id=f"jailbreakv/{number}") for number in range(100_000)))
    tracemalloc.start()
    try:
        deque(read_samples(task, Path(), "all", {}), maxlen=0)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_split_that_cannot_be_told_apart_is_left_out_of_a_suite_and_named(tmp_path: Path) -> None:
    suite = harness.Suite(name="some", description="", tasks=("good", "fake"))
    good = fake_task(name="good")
    with plugins.use(host_of(fake_provider("no"), fake_task(twice), good, suite, fake_judge())):
        done = harness.run(model="fake/m", tasks=["some"], output=tmp_path / "run", probe=False)
    assert done.exit_code == 3
    assert done.notes[0].startswith(f"fake:all not run: {TWICE}")


def test_a_later_listing_that_repeats_an_id_ends_its_split_and_counts_nothing_twice(tmp_path: Path) -> None:
    """A task may give other samples the second time, when they are carried."""
    times = iter((False, True))

    def shifting() -> Iterator[Sample]:
        again = next(times)
        yield from (fake_sample(name) for name in ("a", "b"))
        if again:
            yield fake_sample("a")

    with plugins.use(host_of(fake_provider("no"), fake_task(shifting), fake_judge())):
        done = harness.run(model="fake/m", tasks=["fake"], output=tmp_path / "run", probe=False)
    assert done.exit_code == 3
    assert any("two samples of fake:all have the id 'a'" in note for note in done.notes)
