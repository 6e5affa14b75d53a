"""Which revision of its data a task says that it found, as the results keep it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import harness
from harness import plugins
from harness.contracts import Task
from harness.runs.run import Run
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of


def run(task: Task, tmp_path: Path) -> Run:
    with plugins.use(host_of(fake_provider(lambda _: "no"), task, fake_judge())):
        return harness.run(model="fake/m", tasks=["fake"], data=tmp_path / "data", output=tmp_path / "run", probe=False)


def revision(found: Run) -> str:
    return str(found.results["tasks"]["fake"]["data"]["revision"])


def test_a_task_that_can_tell_says_which_revision_of_its_data_was_asked(tmp_path: Path) -> None:
    def told(root: Path, splits: Sequence[str]) -> str:
        return f"{root.relative_to(tmp_path)} {', '.join(splits)}"

    assert revision(run(replace(fake_task(data=None), revision=told), tmp_path)) == "data/fake all"


def test_a_task_that_cannot_tell_says_nothing_and_one_that_raises_costs_the_run_nothing(tmp_path: Path) -> None:
    def silent(_root: Path, _splits: Sequence[str]) -> str:
        return ""

    def broken(_root: Path, _splits: Sequence[str]) -> str:
        raise KeyError("no such file")

    assert revision(run(replace(fake_task(data=None), revision=silent), tmp_path / "silent")) == ""
    found = run(replace(fake_task(data=None), revision=broken), tmp_path / "broken")
    assert (found.exit_code, revision(found)) == (0, "not known: KeyError: 'no such file'")
