"""What is known before a model is opened: a dry run ends as the run would, and a folder must take files."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import Judge, Rubric, Strategy, Suite, plugins
from harness.cli.outcome import print_dry_runs
from harness.contracts import Model, Task
from harness.errors import HarnessError, IdentityMismatch, MissingData
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.prices.forecast import Forecast
from harness.readers import open_files
from harness.runs.dry_run import DryRun, PlannedCalls, dry_run
from harness.runs.run import run_async
from harness.store.folder import RunFolder
from harness.testing.fakes import PIXEL, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Sample, Settings, Verdict
from tests.core.carried import Server, go, numbered

LACKING = MissingData("upstream's wording is not on this machine", remedy="harness data fetch fake --prompts")


def worded(_settings: Settings, _root: Path) -> Rubric:
    raise LACKING


def asking(_settings: Settings, _root: Path) -> Rubric:
    return Rubric(
        identity={},
        labels=("safe",),
        ask=lambda _s, _r: [fake_sample().request],
        read=lambda _s, _r, _said: Verdict(label="safe"),
    )


WORDED = Judge(name="worded", version="1", description="", open=worded, needs=frozenset())
TONE = Judge(name="tone", version="1", description="", open=asking, needs=frozenset())
GOOD = fake_task(name="good")
WORDY = fake_task(name="wordy", judges={"worded": {}})
TONED = fake_task(name="toned", judges={"tone": {}})
SUITE = Suite(name="some", description="", tasks=("good", "wordy"))


def broken() -> Iterator[Sample]:
    yield fake_sample("a")
    raise KeyError("no such field")


def options(folder: Path, *tasks: str, **fields: Any) -> Options:
    return Options(model=ModelSpec(ref="fake/m"), tasks=tasks, output=folder / "run", probe=False, **fields)


def ending(body: Callable[[], Any]) -> tuple[int, str]:
    """The exit code, and what the user is told."""
    try:
        found = body()
    except HarnessError as error:
        return 2, error.what
    return found.exit_code, ""


@pytest.mark.parametrize(
    ("tasks", "fields", "code"),
    [
        (("good",), {}, 0),
        (("some",), {"judges": ("fake/j",)}, 3),  # the rubric of a part lacks upstream's wording
        (("wordy",), {"judges": ("fake/j",)}, 2),
        (("toned",), {"judges": ("fake/j",)}, 0),
        (("toned",), {}, 3),  # the answers wait for a judge
        (("good", "breaking"), {}, 3),  # the task raises while it lists its samples
        (("breaking",), {}, 2),
        (("empty",), {}, 3),
        (("pictured",), {}, 3),  # an image is not there
        (("pictured",), {"min_coverage": 0.5}, 0),
        (("good",), {"limit": 0}, 2),
    ],
)
def test_a_dry_run_ends_as_the_run_does(
    tasks: tuple[str, ...], fields: dict[str, Any], code: int, tmp_path: Path
) -> None:
    files = open_files(tmp_path)
    (tmp_path / "there.png").write_bytes(PIXEL)

    def pictured() -> Iterator[Sample]:
        for name in ("there", "gone"):
            plain = fake_sample(name)
            (message,) = plain.request.messages
            shown = replace(message, content=(files.image(f"{name}.png"), *message.content))
            yield replace(plain, request=replace(plain.request, messages=(shown,)))

    tasks_here = (
        GOOD,
        WORDY,
        TONED,
        fake_task(broken, name="breaking"),
        fake_task(list, name="empty"),
        fake_task(pictured, name="pictured", images=1),
    )
    asked = options(tmp_path, *tasks, **fields)
    with plugins.use(host_of(fake_provider("no"), fake_judge(), WORDED, TONE, SUITE, *tasks_here)):
        dry = ending(lambda: dry_run(asked))
        assert not (tmp_path / "run").exists()
        real = ending(partial(anyio.run, run_async, asked))
    assert dry == real
    assert dry[0] == code


def test_a_folder_of_another_model_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    opened: list[str] = []

    def saying(_: object) -> str:
        opened.append("asked")
        return "no"

    with plugins.use(host_of(fake_provider(saying), GOOD, fake_judge())):
        anyio.run(run_async, options(tmp_path, "good"))
        count = len(opened)
        for asked in (options(tmp_path, "good", system="Be brief."), options(tmp_path, "good", generation={"seed": 7})):
            with pytest.raises(IdentityMismatch, match="overrides"):
                dry_run(asked)
            assert dry_run(replace(asked, fresh=True)).exit_code == 0
    assert len(opened) == count


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Each file and folder: its inode, its bytes, and when it was last changed."""
    stats = {str(path.relative_to(folder)): path.stat() for path in [folder, *folder.rglob("*")]}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.mark.parametrize("made_by", ["this version", "one without locks"])
def test_a_dry_run_that_would_begin_afresh_writes_nothing_into_the_old_run(tmp_path: Path, made_by: str) -> None:
    asked = options(tmp_path, "good")
    with plugins.use(host_of(fake_provider("no"), GOOD, fake_judge())):
        anyio.run(run_async, asked)
        for lock in (tmp_path / "run").rglob(".*lock") if made_by == "one without locks" else ():
            lock.unlink()
        before = tree(tmp_path)
        assert dry_run(replace(asked, fresh=True)).exit_code == 0
    assert tree(tmp_path) == before


def writing(folder: RunFolder) -> AbstractContextManager[object]:
    return folder.hold_for_writing()


def writing_answers(folder: RunFolder) -> AbstractContextManager[object]:
    return closing(folder.task("good").responses(write=True))


@pytest.mark.parametrize("write", [writing, writing_answers])
def test_a_dry_run_that_would_begin_afresh_is_refused_beside_a_writer(
    tmp_path: Path, write: Callable[[RunFolder], AbstractContextManager[object]]
) -> None:
    asked = options(tmp_path, "good")
    with plugins.use(host_of(fake_provider("no"), GOOD, fake_judge())):
        anyio.run(run_async, asked)
        with write(RunFolder(tmp_path / "run")):
            before = tree(tmp_path)
            with pytest.raises(HarnessError, match="another process is writing"):
                dry_run(replace(asked, fresh=True))
            assert tree(tmp_path) == before


def test_a_strategy_that_does_not_say_how_often_it_asks_asks_at_least_once(tmp_path: Path) -> None:
    silent = Strategy(name="silent", version="1", description="", wrap=lambda model, _: model)
    asked = replace(options(tmp_path, "good", epochs=3), model=ModelSpec(ref="fake/m", strategy="silent"))
    with plugins.use(host_of(fake_provider("no"), GOOD, fake_judge(), silent)):
        (load,) = dry_run(asked).loads
    assert (load.calls, load.most_calls) == (3, None)


def test_a_strategy_that_raises_when_it_is_counted_is_named(tmp_path: Path) -> None:
    def raising(*_: object) -> tuple[int, int]:
        raise RuntimeError("I cannot count")

    odd = Strategy(name="odd", version="1", description="", wrap=lambda model, _: model, calls=raising)
    asked = replace(options(tmp_path, "good"), model=ModelSpec(ref="fake/m", strategy="odd"))
    with (
        plugins.use(host_of(fake_provider("no"), GOOD, fake_judge(), odd)),
        pytest.raises(HarnessError, match="calls of strategy 'odd': RuntimeError: I cannot count"),
    ):
        dry_run(asked)


class Counting(Server):
    """Counts how often its model is opened."""

    opened = 0

    @asynccontextmanager
    async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
        self.opened += 1
        yield self


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write to")
@pytest.mark.parametrize("place", ["/proc/run", "/proc/a/run", "/proc/self/run"])
def test_a_folder_that_cannot_be_made_ends_the_run_before_its_model_is_opened(place: str) -> None:
    server = Counting()
    with pytest.raises(HarnessError, match="the run folder cannot be written: ") as caught:
        go(server, Path(place))
    assert (server.opened, caught.value.where) == (0, place)
    assert caught.value.remedy == "give --output a folder that can be written to"
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=Path(place))
    with (
        plugins.use(host_of(server.provider, fake_task(numbered(1)), fake_judge())),
        pytest.raises(HarnessError, match="the run folder cannot be written: "),
    ):
        dry_run(options)


def test_a_dry_run_leaves_nothing_where_the_folder_would_be(tmp_path: Path) -> None:
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path / "a" / "run")
    with plugins.use(host_of(Server().provider, fake_task(numbered(1)), fake_judge())):
        dry_run(options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_be_made_several_deep_is_made(tmp_path: Path) -> None:
    go(Server(), tmp_path / "a" / "b" / "run")
    assert (tmp_path / "a" / "b" / "run" / "results.json").exists()


def lacking(name: str) -> Task:
    """A task whose data is not there."""

    def list_nothing() -> Iterator[Sample]:
        raise MissingData(f"the data of {name} is not on this machine: x", remedy=f"harness data fetch {name}\n1 MB")

    return fake_task(list_nothing, name=name)


def test_a_dry_run_forecasts_what_can_be_listed_and_names_what_lacks_data_with_its_command(tmp_path: Path) -> None:
    with plugins.use(host_of(fake_provider("no"), fake_judge(), GOOD, lacking("far"), lacking("away"))):
        found = dry_run(options(tmp_path, "good", "far", "away"))
        assert found.exit_code == 2, "as the run would end"
        good, *left_out = found.loads
        assert (good.task, good.samples, good.left_out) == ("good:all", 1, "")
        assert good.forecast is not None
        assert [each.left_out for each in left_out] == [
            "far:all not run: the data of far is not on this machine; harness data fetch far",
            "away:all not run: the data of away is not on this machine; harness data fetch away",
        ]
        with pytest.raises(MissingData, match="the data of far is not on this machine"):
            anyio.run(partial(run_async, options(tmp_path, "good", "far", "away")))
        with pytest.raises(MissingData, match="the data of far") as caught:
            dry_run(options(tmp_path, "far"))
        assert caught.value.remedy.startswith("harness data fetch far")
        with pytest.raises(HarnessError, match="none of these tasks can be run") as none:
            dry_run(options(tmp_path, "far", "away"))
        assert "harness data fetch far" in none.value.remedy
        assert "harness data fetch away" in none.value.remedy
    assert not (tmp_path / "run").exists()


def test_a_dry_run_leaves_out_a_task_whose_rubric_lacks_upstreams_words(tmp_path: Path) -> None:
    with plugins.use(host_of(fake_provider("no"), fake_judge(), WORDED, GOOD, WORDY)):
        found = dry_run(options(tmp_path, "good", "wordy", judges=("worded=fake/j",)))
    assert [load.task for load in found.loads if not load.left_out] == ["good:all"]
    assert "harness data fetch fake --prompts" in found.loads[-1].left_out
    assert found.exit_code == 2


def show(*loads: PlannedCalls, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_dry_runs([DryRun(loads=loads, notes=())], as_json=False)
    return capsys.readouterr().out.splitlines()


def test_a_dry_run_is_one_table_with_the_columns_that_say_something(capsys: pytest.CaptureFixture[str]) -> None:
    plain = PlannedCalls(who="a/m", role="model", where="elsewhere", task="t:all", samples=4, calls=4, most_calls=4)
    known = Forecast(
        calls=(3, 3),
        input_tokens=(30, 60),
        output_tokens=(3, 6),
        usd=(0.5, 1.5),
        usd_why="",
        seconds=(3, 6),
        rests_on="the text",
    )
    bare = show(replace(plain, unforeseen="it is new", most_calls=None), capsys=capsys)
    assert [line.split() for line in bare if line.startswith(("model", "a/m"))] == [
        ["model", "as", "task", "samples", "calls", "images", "MB"],
        ["a/m", "model", "t:all", "4", "4+", "0", "0.0"],
    ]
    assert bare[-1] == "No forecast of a/m (model), t:all: it is new."
    priced = replace(plain, forecast=known, stored=1, missing=2)
    whole = show(priced, replace(plain, who="b/m", where="this process"), capsys=capsys)
    (head,) = (line for line in whole if line.startswith("model"))
    assert head.split("  ")[-1].strip() == "time"
    for name in ("samples", "stored", "calls", "images", "MB", "missing", "tokens in", "tokens out", "USD"):
        assert f" {name} " in head
    (row,) = (line for line in whole if line.startswith("a/m"))
    ranges = "30 to 60 3 to 6 0.50 to 1.50 0:03 to 0:06"
    assert row.split() == ["a/m", "model", "t:all", "4", "1", "3", "0", "0.0", "2", *ranges.split()]
    assert "in all: $0.50 to $1.50" in whole
    assert "b/m is opened in this process" in whole
