"""The start-up question meets what a plugin does wrong: it is told as that plugin's, with its traceback."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import Judge, Model, Provider, Rubric, Strategy
from harness.errors import HarnessError, PluginError
from harness.testing.fakes import FakeModel, fake_sample, fake_task
from harness.types import Failure, Request, Verdict
from tests.core.carried import Server, go, numbered


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


FAULTS: list[tuple[Callable[[], Any], str]] = [
    (raising(KeyError("images")), "KeyError: 'images'"),
    (raising(SystemExit(3)), "SystemExit: 3"),
    (lambda: None, "it gave None, not Response or Failure"),
    (lambda: "text", "it gave a str, not Response or Failure"),
    (lambda: 5, "it gave a int, not Response or Failure"),
]
NAMES = ["raises", "exits", "none", "text", "number"]


class Faulty(Server):
    """A provider whose model does something wrong."""

    def __init__(self, does: Callable[[], Any]) -> None:
        super().__init__()
        self._does = does

    async def generate(self, request: Request) -> Any:
        return self._does()


def refused(folder: Path, server: Server, *extra: Any, **fields: Any) -> PluginError:
    with pytest.raises(PluginError) as caught:
        go(server, folder, *extra, probe=True, **fields)
    return caught.value


@pytest.mark.parametrize(("does", "said"), FAULTS, ids=NAMES)
def test_a_model_that_fails_the_probe_by_its_own_fault_is_its_plugins(
    tmp_path: Path, does: Callable[[], Any], said: str
) -> None:
    error = refused(tmp_path, Faulty(does))
    assert error.what == f"plugin fakes (fakes 1.0), generate of provider 'seen': {said}"
    assert "address" not in error.remedy
    assert ("test_probe_faults.py" in error.story) == (does.__name__ == "function")


@pytest.mark.parametrize(("does", "said"), FAULTS, ids=NAMES)
def test_a_strategy_that_fails_the_probe_is_blamed_and_not_the_model(
    tmp_path: Path, does: Callable[[], Any], said: str
) -> None:
    odd = Strategy(name="odd", version="1", description="", wrap=lambda *_: Faulty(does))
    error = refused(tmp_path, Server(), odd, strategy="odd")
    assert error.what == f"plugin fakes (fakes 1.0), generate of strategy 'odd': {said}"


def test_a_model_that_fails_beneath_a_strategy_is_blamed_and_not_the_strategy(tmp_path: Path) -> None:
    class Passing(FakeModel):
        def __init__(self, inner: Model) -> None:
            super().__init__(info=inner.info)
            self._inner = inner

        async def generate(self, request: Request) -> Any:
            return await self._inner.generate(request)

    good = Strategy(name="good", version="1", description="", wrap=lambda model, _: Passing(model))
    error = refused(tmp_path, Faulty(lambda: None), good, strategy="good")
    assert "generate of provider 'seen': it gave None" in error.what


def test_a_judges_model_that_fails_the_probe_is_its_plugins(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncGenerator[Model]:
        yield Faulty(raising(KeyError("images")))

    rubric = Rubric(
        identity={}, labels=("safe",), ask=lambda *_: [fake_sample().request], read=lambda *_: Verdict(label="safe")
    )
    judge = Judge(name="asks", version="1", description="", open=lambda *_: rubric, needs=frozenset())
    heard = Provider(scheme="heard", description="", open=opened)
    task = fake_task(numbered(1), judges={"asks": {}})
    server = Server(lambda _: "ready")
    error = refused(tmp_path, server, judge, heard, task=task, judges=("heard/x",))
    assert "generate of provider 'heard': KeyError: 'images'" in error.what


def test_a_model_that_says_itself_that_it_failed_is_told_by_its_name(tmp_path: Path) -> None:
    down = Faulty(lambda: Failure(outcome="error", reason="http_400", message="no such model"))
    with pytest.raises(HarnessError, match="seen/x does not answer: http_400: no such model") as caught:
        go(down, tmp_path, probe=True)
    assert not isinstance(caught.value, PluginError)
