"""A run folder that nothing can be written to is told before a model is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness import plugins
from harness.contracts import Model
from harness.errors import HarnessError
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.runs.dry_run import dry_run
from harness.testing.fakes import fake_judge, fake_task, host_of
from harness.types import Settings
from tests.core.carried import Server, go, numbered


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
