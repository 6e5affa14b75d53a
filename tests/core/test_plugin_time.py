"""A strategy or an attack that does not end costs its sample, in its own name, and the run goes on."""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from harness.contracts import Attack, Attacked, Model, ModelInfo, Strategy
from harness.errors import HarnessError, PluginError
from harness.limits import Endpoints, Metered, Policy
from harness.plugins.own_time import OverTime, work_in_thread
from harness.testing.fakes import FakeModel, fake_sample, fake_task, host_of
from harness.types import Failure, Request, Response, Sample, Text
from tests.core.carried import Around, Server, go, lines, numbered, split
from tests.core.test_attacked_runs import SIGNED, read_lines
from tests.core.test_attacked_runs import go as attack_run

SHORT = 0.2  #: seconds; what a strategy or an attack of these tests may take
TOLD = "plugin fakes (fakes 1.0), generate of strategy 'odd': its own code has worked for 0.2 s"


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Ends the threads that a test leaves behind."""
    ended = threading.Event()
    yield ended
    ended.set()


def ask_text(request: Request) -> str:
    part = request.messages[-1].content[-1]
    return part.text if isinstance(part, Text) else ""


def strategy(hang: Callable[[], Awaitable[object]], seconds: float | None = SHORT) -> Strategy:
    """Asks, and hangs after the answer to question 3."""

    class Hanging(Around):
        async def generate(self, request: Request) -> Response | Failure:
            answer = await super().generate(request)
            if ask_text(request) == "question 3":
                await hang()
            return answer

    return Strategy(name="odd", version="1", description="", wrap=lambda model, _: Hanging(model), seconds=seconds)


async def ignore_the_end() -> None:
    for _ in range(2):  # the end of the loop cancels it again
        with suppress(BaseException):
            await anyio.sleep(3600)


@pytest.mark.parametrize("way", ["awaits", "works in a thread", "ignores its cancellation"])
def test_a_strategy_that_hangs_fails_that_sample_in_its_own_name_and_the_run_goes_on(
    way: str, tmp_path: Path, end: threading.Event
) -> None:
    hangs: dict[str, Callable[[], Awaitable[object]]] = {
        "awaits": lambda: anyio.sleep(3600),
        "works in a thread": lambda: anyio.to_thread.run_sync(end.wait, 60),
        "ignores its cancellation": ignore_the_end,
    }
    began = time.monotonic()
    run = go(Server(), tmp_path, strategy(hangs[way]), strategy="odd", task=fake_task(numbered(10)))
    assert time.monotonic() - began < 30
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 9, "error": 1}
    (failed,) = [line for line in lines(tmp_path) if line["outcome"] == "error"]
    assert (failed["reason"], failed["message"][: len(TOLD)]) == ("strategy_deadline", TOLD)
    assert any(TOLD in note for note in run.notes)


def test_the_calls_of_the_model_are_no_time_of_the_strategy(tmp_path: Path) -> None:
    class Slow(FakeModel):
        async def generate(self, request: Request) -> Response:
            await anyio.sleep(2 * SHORT)
            return Response(text="yes")

    class Both(Around):
        async def generate(self, request: Request) -> Response | Failure:
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    group.start_soon(super().generate, request)
            return await super().generate(request)

    assert ask_wrapped(Slow(), Both) == Response(text="yes")


def ask_wrapped(model: Model, around: Callable[[Model], Model], seconds: float | None = SHORT) -> object:
    """What the strategy gives for one request, its model metered."""
    odd = Strategy(name="odd", version="1", description="", wrap=lambda inner, _: around(inner), seconds=seconds)

    async def ask() -> object:
        metered = Metered(model, Endpoints(Policy(tries=1)))
        return await host_of(odd).strategy("odd").wrap(metered, {}).generate(fake_sample().request)

    return anyio.run(ask)


def test_a_request_of_the_model_that_hangs_ends_by_its_own_deadline_and_not_by_the_strategys() -> None:
    class Silent(FakeModel):
        async def generate(self, request: Request) -> Response:
            await anyio.sleep(3600)
            raise AssertionError

    odd = Strategy(name="odd", version="1", description="", wrap=lambda inner, _: Around(inner), seconds=SHORT)

    async def ask() -> object:
        metered = Metered(Silent(), Endpoints(Policy(tries=1, deadline=2 * SHORT)))
        return await host_of(odd).strategy("odd").wrap(metered, {}).generate(fake_sample().request)

    given = anyio.run(ask)
    assert isinstance(given, Failure)
    assert given.reason == "deadline"


def test_all_stretches_of_a_strategys_own_work_count_together() -> None:
    class Often(Around):
        async def generate(self, request: Request) -> Response | Failure:
            while True:
                await super().generate(request)
                await anyio.sleep(SHORT / 10)

    with pytest.raises(PluginError, match="generate of strategy 'odd'"):
        ask_wrapped(FakeModel(), Often)


def test_a_strategy_that_was_given_up_asks_the_model_nothing_more(end: threading.Event) -> None:
    refused: list[BaseException] = []

    class Stubborn(Around):
        async def generate(self, request: Request) -> Response | Failure:
            with suppress(BaseException):
                await anyio.sleep(3600)
            try:
                return await super().generate(request)
            except BaseException as error:
                refused.append(error)
                raise

    model = FakeModel()
    with pytest.raises(PluginError):
        ask_wrapped(model, Stubborn)
    assert (model.asked, [type(each) for each in refused]) == ([], [HarnessError])


def test_a_strategy_without_a_limit_may_work_as_long_as_it_likes() -> None:
    class Long(Around):
        async def generate(self, request: Request) -> Response | Failure:
            await anyio.sleep(2 * SHORT)
            return await super().generate(request)

    assert ask_wrapped(FakeModel("yes"), Long, seconds=None) == Response(text="yes")


def test_whoever_cancels_a_strategy_ends_its_calls_too() -> None:
    ended: list[str] = []

    class Cut(FakeModel):
        async def generate(self, request: Request) -> Response:
            try:
                await anyio.sleep(3600)
            finally:
                ended.append("call")
            raise AssertionError

    odd = Strategy(name="odd", version="1", description="", wrap=lambda inner, _: Around(inner))

    async def ask() -> bool:
        with anyio.move_on_after(0.05) as scope:
            await host_of(odd).strategy("odd").wrap(Cut(), {}).generate(fake_sample().request)
        return scope.cancelled_caught

    assert anyio.run(ask)
    assert ended == ["call"]


@pytest.mark.parametrize("broken", ["apply", "ask"])
def test_an_attack_that_hangs_fails_that_sample_in_its_own_name_and_the_run_goes_on(
    broken: str, tmp_path: Path, end: threading.Event
) -> None:
    def hang(sample: Sample, *_: object) -> Any:
        if sample.id == "b":
            end.wait(60)
        return [] if broken == "ask" else Attacked(request=sample.request)

    odd = replace(SIGNED, seconds=SHORT, **{broken: hang}, **({"calls": lambda *_: 0} if broken == "ask" else {}))
    began = time.monotonic()
    run = attack_run(tmp_path, lambda _: "yes", descriptor=odd)
    assert time.monotonic() - began < 30
    outcomes = {line["id"]: (line["outcome"], line.get("reason", "")) for line in read_lines(tmp_path)}
    assert outcomes == {
        "a": ("answered", ""), "b": ("error", "attack_deadline"), "c": ("answered", ""), "d": ("answered", "")
    }  # fmt: skip
    said = f"plugin fakes (fakes 1.0), {broken} of attack 'signed': it has worked on a sample for 0.2 s"
    assert read_lines(tmp_path)[1]["message"].startswith(said)
    assert any(said in note for note in run.notes)


def test_attacks_that_hang_take_no_thread_from_the_run_and_the_wait_for_one_is_no_work(end: threading.Event) -> None:
    async def work() -> list[str]:
        found: list[str] = []

        async def attack(number: int) -> None:
            try:
                await work_in_thread(end.wait if number < 40 else str, number if number >= 40 else 60, seconds=SHORT)
                found.append("made")
            except OverTime:
                found.append("late")

        async with anyio.create_task_group() as group:
            for number in range(44):
                group.start_soon(attack, number)
            await anyio.sleep(SHORT / 2)
            assert await anyio.to_thread.run_sync(str, 5) == "5"
        return found

    assert sorted(anyio.run(work)) == ["late"] * 40 + ["made"] * 4


@pytest.mark.parametrize("seconds", ["5", 0, -1, True, float("nan")])
def test_a_limit_that_is_no_number_of_seconds_is_refused_when_it_is_offered(seconds: Any) -> None:
    told: list[str] = []
    odd = Attack(
        name="odd", version="1", description="", apply=lambda s, *_: Attacked(request=s.request), seconds=seconds
    )
    assert host_of(odd, tell=told.append).offers("attacks") == []
    assert "attack 'odd': seconds is" in told[0]


def test_what_a_strategy_gets_says_what_the_model_says() -> None:
    seen: list[object] = []

    def wrap(model: Model, _: object) -> Model:
        seen.extend([model.info, model.asked])  # type: ignore[attr-defined]
        return model

    info = ModelInfo(ref="fake/x", endpoint="fake")
    odd = Strategy(name="odd", version="1", description="", wrap=wrap)
    model = FakeModel(info=info)
    assert host_of(odd).strategy("odd").wrap(model, {}).info is info
    assert seen == [info, model.asked]
