"""Judging while answering or afterwards: which models are open together, and what is found before anything is spent."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Judge, Model, ModelInfo, Provider, Rubric
from harness.errors import HarnessError
from harness.evaluation.options import Options
from harness.hookspecs import hookimpl
from harness.limits import Policy
from harness.models import ModelSpec
from harness.plugins import Host
from harness.runs.run import Run, run_async
from harness.testing.fakes import FakeModel, FakePlugin, fake_task, host_of, source_of
from harness.types import Failure, Request, Response, Settings, Verdict

TASK = fake_task({f"q{n}": f"question {n}" for n in range(6)}, judges={"tone": {}})
RUBRIC = Rubric(
    identity={},
    labels=("safe", "unsafe"),
    ask=lambda sample, _: [sample.request],
    read=lambda _s, _r, replies: Verdict(label=replies[-1].text),
)
TONE = Judge(name="tone", version="1", description="", open=lambda _s, _d: RUBRIC, needs=frozenset())


async def within_20_seconds(options: Options) -> Run:
    """A run that would hang fails instead."""
    with anyio.fail_after(20):
        return await run_async(options)


class House:
    """Providers `here` (local) and `away`, and what happened in which order."""

    def __init__(self, reply: Response | Failure | HarnessError | None = None) -> None:
        self.story: list[str] = []
        self._reply = reply

    @property
    def host(self) -> Host:
        return host_of(self._provider("here", local=True), self._provider("away", local=False), TASK, TONE)

    def _provider(self, scheme: str, *, local: bool) -> Provider:
        @asynccontextmanager
        async def opened(name: str, _settings: Settings) -> AsyncGenerator[Model]:
            self.story.append(f"open {name}")
            yield Told(self.story, name, ModelInfo(ref=f"{scheme}/{name}", endpoint=scheme, local=local), self._reply)
            self.story.append(f"close {name}")

        return Provider(scheme=scheme, description="", open=opened, local=local)

    def run(self, folder: Path, model: str, judge: str, **fields: Any) -> Run:
        spec = ModelSpec(ref=model)
        defaults: dict[str, Any] = {"tasks": ("fake",), "judges": (judge,), "output": folder, "probe": False}
        with plugins.use(self.host):
            return anyio.run(within_20_seconds, Options(model=spec, **defaults | fields))

    @property
    def brief(self) -> list[str]:
        """The story, with calls in a row told once."""
        return [step for n, step in enumerate(self.story) if n == 0 or step != self.story[n - 1]]


class Told(FakeModel):
    """Writes each call into the story; the model named `judge` judges."""

    def __init__(self, story: list[str], name: str, info: ModelInfo, reply: object) -> None:
        super().__init__("safe" if name == "judge" else "yes", info)
        self._story, self._name, self._reply = story, name, reply

    async def generate(self, request: Request) -> Response | Failure:
        self._story.append(f"call {self._name}")
        if self._name == "judge" and isinstance(self._reply, HarnessError):
            raise self._reply
        if self._name == "judge" and self._reply is not None:
            assert isinstance(self._reply, Response | Failure)
            return self._reply
        return await super().generate(request)


def labels(run: Run) -> dict[str, int]:
    return dict(run.results["tasks"]["fake"]["splits"]["all"]["labels"])


def test_two_local_models_are_never_open_together(tmp_path: Path) -> None:
    house = House()
    run = house.run(tmp_path, "here/model", "here/judge")
    assert house.brief == ["open model", "call model", "close model", "open judge", "call judge", "close judge"]
    assert (run.exit_code, labels(run)) == (0, {"safe": 6})


@pytest.mark.parametrize(("model", "judge"), [("here/model", "away/judge"), ("away/model", "here/judge")])
def test_a_model_elsewhere_judges_while_the_other_answers(model: str, judge: str, tmp_path: Path) -> None:
    house = House()
    house.run(tmp_path, model, judge)
    assert house.brief[:2] == ["open model", "open judge"]
    assert house.brief[-2:] == ["close judge", "close model"]


def test_the_order_can_be_asked_for(tmp_path: Path) -> None:
    one, other = House(), House()
    first = one.run(tmp_path / "a", "here/model", "here/judge", phases="overlap")
    second = other.run(tmp_path / "b", "away/model", "away/judge", phases="sequential")
    assert one.brief[:2] == ["open model", "open judge"]
    assert other.story.index("close model") < other.story.index("call judge")
    assert labels(first) == labels(second)


def test_one_slot_for_model_and_judge_on_one_endpoint_is_enough(tmp_path: Path) -> None:
    house = House()
    run = house.run(tmp_path, "away/model", "away/judge", policy=Policy(start=1, cap=1))
    assert labels(run) == {"safe": 6}


WRONG_KEY = HarnessError("the key is not accepted")


@pytest.mark.parametrize("phases", ["overlap", "sequential"])
def test_a_judge_whose_key_is_wrong_stops_the_run_before_a_sample_is_spent(phases: str, tmp_path: Path) -> None:
    house = House(WRONG_KEY)
    with pytest.raises(HarnessError, match="the key is not accepted"):
        house.run(tmp_path, "away/model", "away/judge", phases=phases, probe=True)
    assert house.story.count("call model") <= 1, "the probe at most"
    assert not list(tmp_path.glob("fake/responses.jsonl"))


def test_a_rubric_that_cannot_be_opened_stops_the_run_before_a_local_model_is_loaded(tmp_path: Path) -> None:
    def fails(_settings: Settings, _root: Path) -> Rubric:
        raise HarnessError("upstream's template is not here")

    house = House()
    host = host_of(house._provider("here", local=True), TASK, replace(TONE, open=fails))
    options = Options(model=ModelSpec(ref="here/model"), tasks=("fake",), judges=("here/judge",), output=tmp_path)
    with plugins.use(host), pytest.raises(HarnessError, match="upstream's template"):
        anyio.run(within_20_seconds, options)
    assert house.story == []


def test_a_judge_that_dies_stops_judging_only(tmp_path: Path) -> None:
    gone = Failure(outcome="error", reason="http_400", message="no images")
    house = House(gone)
    run = house.run(tmp_path, "away/model", "away/judge", policy=Policy(start=4, cap=4, breaker=3))
    assert house.story.count("call model") == 6, "answers go on, also from the endpoint that refuses the judge"
    assert house.story.count("call judge") < 6
    assert run.exit_code == 3
    assert any("stopped: 3 errors in a row: http_400: no images" in note for note in run.notes)
    mended = House()
    again = mended.run(tmp_path, "away/model", "away/judge")
    assert (mended.story.count("call model"), again.exit_code, labels(again)) == (0, 0, {"safe": 6})


def test_a_judge_that_dies_by_a_harness_error_is_asked_no_more(tmp_path: Path) -> None:
    house = House(HarnessError("the quota is used up"))
    run = house.run(tmp_path, "away/model", "away/judge", policy=Policy(start=1, cap=1))
    assert house.story.count("call judge") == 1
    assert run.exit_code == 3


class Observing(FakePlugin):
    """Notes what observers are told."""

    def __init__(self, *descriptors: object) -> None:
        super().__init__(*descriptors)
        self.seen: list[str] = []

    @hookimpl
    def harness_run_started(self, run: object) -> None:
        self.seen.append("started")

    @hookimpl
    def harness_response_added(self, sample: Any, response: object) -> None:
        self.seen.append(f"response {sample.id}")

    @hookimpl
    def harness_verdict_added(self, sample: Any, verdict: Any) -> None:
        self.seen.append(f"verdict {sample.id} {verdict.label}")

    @hookimpl
    def harness_run_finished(self, results: Any) -> None:
        self.seen.append("finished")


@pytest.mark.parametrize("phases", ["overlap", "sequential"])
def test_observers_are_told_of_each_new_line_once_in_either_order(phases: str, tmp_path: Path) -> None:
    house = House()
    plugin = Observing(house._provider("away", local=False), TASK, TONE)

    def once() -> Iterator[str]:
        plugin.seen.clear()
        with plugins.use(Host([source_of(plugin)])):
            options = Options(
                model=ModelSpec(ref="away/model"), tasks=("fake",), judges=("away/judge",), output=tmp_path,
                phases=phases, probe=False,  # type: ignore[arg-type]
            )  # fmt: skip
            anyio.run(within_20_seconds, options)
        yield from plugin.seen

    first = list(once())
    assert (first[0], first[-1]) == ("started", "finished")
    expected = {f"response q{n}" for n in range(6)} | {f"verdict q{n} safe" for n in range(6)}
    assert sorted(first[1:-1]) == sorted(expected)
    assert list(once()) == ["started", "finished"], "what is read back is no news"
