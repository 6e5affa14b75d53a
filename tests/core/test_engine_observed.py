"""Observers of a whole run: what one raises is told where a person looks."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from harness import hookimpl, plugins
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.plugins import Host
from harness.progress.lines import SilentProgress
from harness.runs.run import run_async
from harness.testing.fakes import FakePlugin, fake_judge, fake_task, source_of
from tests.core.carried import Server, numbered


class Heard(SilentProgress):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Raising(FakePlugin):
    """An observer that fails at every response."""

    @hookimpl
    def harness_response_added(self) -> None:
        raise ValueError("no disk")


def test_what_an_observer_raises_is_told_by_the_display_that_is_on_and_else_as_at_loading(tmp_path: Path) -> None:
    heard, loading = Heard(), list[str]()
    raising = Raising(Server().provider, fake_task(numbered(10)), fake_judge())
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path / "shown", probe=False)
    with plugins.use(Host([source_of(raising, "raising")], tell=loading.append)):
        anyio.run(partial(run_async, options, progress=heard))
        assert (heard.notes, loading) == (["plugin raising (raising 1.0): ValueError: no disk"], [])
        anyio.run(partial(run_async, replace(options, output=tmp_path / "silent")))
    assert len(heard.notes) == len(loading) == 1
