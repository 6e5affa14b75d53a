"""`harness.run` and `await harness.run_async`: the command for Python."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

import harness
from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.limits import Policy
from harness.metrics import NOT_COUNTED, Share, rate
from harness.progress import SilentProgress
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from harness.types import Failure

TASK = fake_task({f"q{n}": f"question {n}" for n in range(4)})
HOST = host_of(fake_provider("yes"), fake_provider(Failure(outcome="error", reason="http_400"), scheme="down"), TASK,
               fake_task({"a": "a"}, name="other"), fake_judge())  # fmt: skip


@pytest.fixture(autouse=True)
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fakes alone, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with plugins.use(HOST):
        yield


def value(run: harness.Run, task: str = "fake") -> float:
    return float(run.results["tasks"][task]["splits"]["all"]["metrics"]["ASR"]["value"])


def test_a_run_gives_results_folder_exit_code_and_a_frame() -> None:
    run = harness.run(model="fake/x", tasks=["fake"])
    assert (run.exit_code, value(run), run.folder) == (0, 100.0, Path("runs/fake-x"))
    assert (run.folder / "results.json").exists()
    with pytest.warns(FutureWarning, match="use Run.metrics"):
        (row,) = run.to_frame().to_dict("records")
    assert (row["model"], row["metric"], row["value"]) == ("fake/x", "ASR", 100.0)


def test_one_task_may_be_a_text_and_several_a_list() -> None:
    assert set(harness.run("fake/x", "fake").results["tasks"]) == {"fake"}
    both = harness.run("fake/x", ["fake", "other"], judge="fake", retry="empty")
    assert set(both.results["tasks"]) == {"fake", "other"}


def test_it_may_be_awaited() -> None:
    async def body() -> harness.Run:
        return await harness.run_async("fake/x", ["fake"], limit=2)

    run = anyio.run(body)
    assert run.results["tasks"]["fake"]["splits"]["all"]["subset"] == {"limit": 2}


def test_it_works_where_a_loop_runs_already_as_in_a_notebook() -> None:
    async def cell() -> harness.Run:
        return harness.run("fake/x", ["fake"])

    assert value(anyio.run(cell)) == 100.0


def test_a_number_is_one_value_however_it_is_written() -> None:
    first = harness.run("fake/x", "fake", temperature=0)
    again = harness.run("fake/x", "fake", temperature=0.0)
    assert first.folder == again.folder
    assert first.folder.name.startswith("fake-x-"), "an override has a folder of its own"
    assert len((first.folder / "fake" / "responses.jsonl").read_text().splitlines()) == 4, "nothing is asked twice"


@pytest.mark.parametrize(
    ("fields", "error", "what"),
    [
        ({"model": "fke/x"}, UnknownName, "'fke'"),
        ({"tasks": ["fak"]}, UnknownName, "'fak'"),
        ({"judge": "fak"}, UnknownName, "'fak'"),
        ({"retry": ["eror"]}, UnknownName, "--retry eror"),
        ({"phases": "later"}, UnknownName, "--phases later"),
        ({"limit": 0}, HarnessError, "--limit"),
        ({"model": "down/x"}, HarnessError, "down/x does not answer: http_400"),
    ],
)
def test_what_the_user_can_mend_is_raised_as_it_is_and_never_in_a_group(
    fields: dict[str, Any], error: type[HarnessError], what: str
) -> None:
    with pytest.raises(error, match=what):
        harness.run(**{"model": "fake/x", "tasks": ["fake"], **fields})


def test_an_incomplete_run_raises_nothing_and_says_so() -> None:
    run = harness.run("down/x", "fake", probe=False, policy=Policy(breaker=100))
    assert run.exit_code == 3
    assert "fake:all is incomplete: coverage 0.0%, error 4 (http_400); run it again" in run.notes


def test_nothing_is_printed_and_a_progress_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    class Counting(SilentProgress):
        seen = 0

        def answered(self, *_: object, **__: object) -> None:
            self.seen += 1

    progress = Counting()
    harness.run("fake/x", "fake", progress=progress)
    assert progress.seen == 4
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, 4),
        ({"group": lambda record: record.id[:1], "combine": "sum"}, 4),
        ({"group": lambda record: record.id[:1], "combine": "any"}, 0),
        ({"over_epochs": True, "combine": "any"}, 0),
        ({"stratum": lambda record: record.id, "strata": ("one",)}, 0),
    ],
)
def test_a_running_value_is_one_ratio_so_a_metric_that_is_none_has_no_running_value(
    more: dict[str, Any], shown: int
) -> None:
    class Shares(SilentProgress):
        seen = 0

        def judged(self, *_: object, share: Share = NOT_COUNTED, **__: object) -> None:
            self.seen += share != NOT_COUNTED

    samples = dict.fromkeys(("one", "two", "three", "four"), "What?")
    metric = replace(rate("ASR", "unsafe", better="lower"), **more)
    with plugins.use(host_of(fake_provider("yes"), fake_judge(), fake_task(samples, metrics=(metric,)))):
        progress = Shares()
        harness.run("fake/x", "fake", progress=progress)
    assert progress.seen == shown


def test_a_judge_of_the_environment_is_for_the_command_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_JUDGE", "nobody/J")
    assert harness.run("fake/x", "fake").exit_code == 0


def test_the_data_folder_of_the_environment_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    run = harness.run("fake/x", "fake")
    stored = json.loads((run.folder / "run.json").read_text())
    assert stored["tasks"]["fake"]["data"]["root"] == str(tmp_path / "data" / "fake")
