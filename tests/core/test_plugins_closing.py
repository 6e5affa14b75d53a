"""Models and judges' models whose closing raises: all is done by then, so the results stand and the run says it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric
from harness.errors import EndpointDown, HarnessError
from harness.testing.fakes import FakeModel, fake_sample, fake_task, host_of
from harness.types import Settings, Verdict
from tests.core.carried import Server, go, numbered

FAULTS = [ValueError("still busy"), SystemExit(3), HarnessError("the server goes on"), OSError(28, "No space left")]


class Unclosable(Server):
    """A provider whose models raise when they are closed."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__()
        self._fault = fault

    @asynccontextmanager
    async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield self
        raise self._fault


def told(scheme: str, fault: BaseException) -> str:
    return f"plugin fakes (fakes 1.0), closing of provider {scheme!r}: {type(fault).__name__}: {fault}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_run_whose_model_cannot_be_closed_has_its_results_and_a_note(tmp_path: Path, fault: BaseException) -> None:
    run = go(Unclosable(fault), tmp_path)
    assert (tmp_path / "results.json").exists()
    assert run.exit_code == 0
    assert [note for note in run.notes if note.startswith(told("seen", fault))]
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert told("seen", fault) in log
    assert "Traceback" in log


def test_a_run_whose_judges_model_cannot_be_closed_has_its_results_and_a_note(tmp_path: Path) -> None:
    fault = ValueError("still busy")

    @asynccontextmanager
    async def opened(*_: object) -> AsyncGenerator[Model]:
        yield FakeModel("yes", ModelInfo(ref="heard/x", endpoint="heard"))
        raise fault

    rubric = Rubric(
        identity={}, labels=("safe",), ask=lambda *_: [fake_sample().request], read=lambda *_: Verdict(label="safe")
    )
    judge = Judge(name="asks", version="1", description="", open=lambda *_: rubric, needs=frozenset())
    heard = Provider(scheme="heard", description="", open=opened)
    task = fake_task(numbered(3), judges={"asks": {}})
    run = go(Server(), tmp_path, judge, heard, task=task, judges=("heard/x",))
    assert run.exit_code == 0
    assert [note for note in run.notes if note.startswith(told("heard", fault))]


def test_what_ended_a_run_is_not_hidden_by_a_model_that_cannot_be_closed_then(tmp_path: Path) -> None:
    class Down(Unclosable):
        async def generate(self, request: Any) -> Any:
            raise EndpointDown("nobody is there")

        @asynccontextmanager
        async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
            try:
                yield self
            finally:
                raise self._fault

    with pytest.raises(EndpointDown, match="nobody is there"):
        go(Down(ValueError("still busy")), tmp_path)
    assert told("seen", ValueError("still busy")) in (tmp_path / "log.txt").read_text("utf-8")


def test_what_the_body_raises_outside_of_a_run_is_not_hidden_by_the_closing() -> None:
    @asynccontextmanager
    async def broken(*_: object) -> AsyncGenerator[Model]:
        try:
            yield FakeModel()
        finally:
            raise ValueError("still busy")

    async def go_on() -> None:
        host = host_of(Provider(scheme="odd", description="", open=broken))
        async with host.provider("odd").open("x", {}):
            raise KeyError("of the core")

    with pytest.raises(KeyError, match="of the core"):
        anyio.run(go_on)
