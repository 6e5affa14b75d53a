"""A run over fakes, end to end: what is asked, what is asked again, and what a stop leaves behind."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness import plugins
from harness.contracts import Model, ModelInfo, Provider, Strategy, Task
from harness.engine import crew as engine
from harness.engine.work import Stop
from harness.errors import EndpointDown, HarnessError
from harness.limits import Policy
from harness.models import ModelSpec
from harness.options import Options
from harness.progress.lines import SilentProgress
from harness.runs.running import Run, run_async
from harness.testing.fakes import fake_image, fake_judge, fake_sample, fake_task, host_of
from harness.types import Failure, Image, Message, Request, Response, Sample, Settings, Text

POLICY = Policy(start=4, cap=8, tries=2, base=0, longest=0, breaker=5)
Script = Callable[[str], str | Response | Failure]


@dataclass
class Server:
    """A provider whose model answers by the question's text and counts calls."""

    script: Script = lambda text: f"yes {text}"
    asked: list[Request] = field(default_factory=list[Request])
    at_once: int = 0
    most: int = 0
    concurrency: int | None = None

    @property
    def texts(self) -> list[str]:
        return [question(request) for request in self.asked]

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(ref="seen/x", endpoint="seen", concurrency=self.concurrency)

    async def generate(self, request: Request) -> Response | Failure:
        self.asked.append(request)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        said = self.script(question(request))
        return Response(text=said) if isinstance(said, str) else said

    @asynccontextmanager
    async def _open(self, _name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield self

    @property
    def provider(self) -> Provider:
        return Provider(scheme="seen", description="", open=self._open)


def question(request: Request) -> str:
    return next(part.text for part in request.messages[-1].content if isinstance(part, Text))


def numbered(count: int) -> dict[str, str]:
    return {f"q{n}": f"question {n}" for n in range(count)}


def go(server: Server, folder: Path, *extra: Any, task: Task | None = None, **fields: Any) -> Run:
    """Run task `fake` on the server, judged by a rule; `stop` and `progress` are handed on."""
    stop, progress = fields.pop("stop", None), fields.pop("progress", None)
    spec = ModelSpec(ref="seen/x", strategy=fields.pop("strategy", ""))
    defaults: dict[str, Any] = {"tasks": ("fake",), "output": folder, "probe": False, "policy": POLICY}
    options = Options(model=spec, **defaults | fields)
    with plugins.use(host_of(server.provider, task or fake_task(numbered(10)), fake_judge(), *extra)):
        return anyio.run(partial(run_async, options, stop=stop, progress=progress))


def lines(folder: Path, name: str = "responses") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "fake" / f"{name}.jsonl").read_text().splitlines()]


def split(run: Run) -> dict[str, Any]:
    return dict(run.results["tasks"]["fake"]["splits"]["all"])


def test_each_sample_is_asked_once_and_each_answer_is_judged(tmp_path: Path) -> None:
    server = Server()
    run = go(server, tmp_path)
    assert sorted(server.texts) == sorted(numbered(10).values())
    assert (run.exit_code, split(run)["labels"]) == (0, {"unsafe": 10})
    assert split(run)["metrics"]["ASR"]["value"] == 100.0


@pytest.mark.parametrize(("fields", "most"), [({}, 8), ({"policy": Policy(start=3, cap=3)}, 3)])
def test_as_many_samples_are_under_way_as_calls_may_be_and_no_more(
    fields: dict[str, Any], most: int, tmp_path: Path
) -> None:
    server = Server()
    ahead: list[int] = []

    def samples() -> Iterator[Sample]:
        for n in range(100):
            ahead.append(n - len(server.asked))
            yield fake_sample(f"q{n}", text=f"question {n}")

    go(server, tmp_path, task=fake_task(samples), **fields)
    assert server.most == most
    second_pass = ahead[100:]
    assert max(second_pass) <= most + 1, "no sample is taken long before it is asked"


def test_a_strategy_does_not_make_a_run_slower_than_its_calls(tmp_path: Path) -> None:
    server = Server()
    plain = Strategy(name="plain", version="1", description="", wrap=lambda model, _: _Around(model))
    go(server, tmp_path, plain, strategy="plain", task=fake_task(numbered(60)))
    assert server.most == 8


class _Around:
    def __init__(self, inner: Model) -> None:
        self.info = inner.info
        self._inner = inner

    async def generate(self, request: Request) -> Response | Failure:
        return await self._inner.generate(request)


def test_a_second_run_asks_nothing_and_ends_alike(tmp_path: Path) -> None:
    first = go(Server(), tmp_path)
    again = Server()
    second = go(again, tmp_path)
    assert again.asked == []
    assert split(second) == split(first)


def test_a_resumed_run_asks_errors_again_and_leaves_blocks_and_empties(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "question 0": Failure(outcome="error", reason="http_400"),
        "question 1": Failure(outcome="input_blocked", reason="content_filter"),
        "question 2": "",
    }
    first = go(Server(lambda text: said.get(text, "no")), tmp_path)
    assert split(first)["outcomes"] == {
        "answered": 7, "input_blocked": 1, "output_blocked": 0, "empty": 1, "bad_sample": 0, "error": 1,
    }  # fmt: skip
    assert first.exit_code == 3
    again = Server()
    second = go(again, tmp_path)
    assert again.texts == ["question 0"]
    assert (second.exit_code, split(second)["outcomes"]["answered"]) == (0, 8)


def test_retry_names_what_else_is_asked_again(tmp_path: Path) -> None:
    go(Server(lambda text: "" if text == "question 3" else "no"), tmp_path)
    again = Server()
    run = go(again, tmp_path, retry=frozenset({"empty"}))
    assert again.texts == ["question 3"]
    assert split(run)["outcomes"]["empty"] == 0


def test_an_answer_that_changes_is_judged_anew(tmp_path: Path) -> None:
    go(Server(lambda _: "no"), tmp_path)
    run = go(Server(lambda _: "yes"), tmp_path, retry=frozenset({"answered"}))
    assert split(run)["labels"] == {"unsafe": 10}


def test_each_epoch_is_a_record_of_its_own(tmp_path: Path) -> None:
    server = Server()
    run = go(server, tmp_path, epochs=3)
    assert len(server.asked) == 30
    assert (split(run)["n"], split(run)["records"]) == (10, 30)
    assert "ASR_worst" in split(run)["metrics"]
    one = go(Server(), tmp_path / "one")
    assert run.results["tasks"]["fake"]["data"]["sha256"] == one.results["tasks"]["fake"]["data"]["sha256"]


def test_the_users_system_message_stands_before_the_tasks_own(tmp_path: Path) -> None:
    def samples() -> Iterator[Sample]:
        yield fake_sample("plain")
        own = Message(role="system", content=(Text(text="Be kind."),))
        ask = fake_sample().request
        yield Sample(id="own", split="all", request=Request(messages=(own, *ask.messages)))

    server = Server()
    go(server, tmp_path, task=fake_task(samples), system="Be brief.")
    said = [
        [part.text for part in request.messages[0].content if isinstance(part, Text)]
        for request in sorted(server.asked, key=lambda request: len(request.messages[0].content))
    ]
    assert said == [["Be brief."], ["Be brief.", "Be kind."]]
    assert all(len(request.messages) == 2 for request in server.asked)


def test_an_image_that_cannot_be_opened_is_the_datas_fault_and_the_run_goes_on(tmp_path: Path) -> None:
    def samples() -> Iterator[Sample]:
        for n, image in enumerate((fake_image(), Image(path="../gone.png", files=fake_image().files))):
            parts = (image, Text(text=f"question {n}"))
            yield Sample(id=str(n), split="all", request=Request(messages=(Message(role="user", content=parts),)))

    server = Server()
    run = go(server, tmp_path, task=fake_task(samples, images=1))
    assert server.texts == ["question 0"]
    assert split(run)["outcomes"]["bad_sample"] == 1
    (bad,) = (line for line in lines(tmp_path) if line["outcome"] == "bad_sample")
    assert (bad["reason"], "../gone.png" in bad["message"]) == ("missing", True)


def raising_after(count: int, times: list[int]) -> Callable[[], Iterator[Sample]]:
    """Samples of a task that breaks off on the passes named."""

    def samples() -> Iterator[Sample]:
        times[0] -= 1
        for n in range(10):
            if n == count and times[0] < 0:
                raise ValueError("the disk is gone")
            yield fake_sample(f"q{n}", text=f"question {n}")

    return samples


def test_a_task_that_raises_midway_ends_its_split_and_keeps_what_it_was_answered(tmp_path: Path) -> None:
    run = go(Server(), tmp_path, task=fake_task(raising_after(4, [1])))
    assert run.exit_code == 3
    assert any("fake:all ended early: its task raised ValueError: the disk is gone" in note for note in run.notes)
    assert len(lines(tmp_path)) == 4
    again = Server()
    go(again, tmp_path, task=fake_task(numbered(10)))
    assert len(again.asked) == 6


def test_a_task_that_raises_at_once_leaves_the_others_their_run(tmp_path: Path) -> None:
    broken = fake_task(raising_after(0, [0]), name="broken")
    run = go(Server(), tmp_path, broken, tasks=("broken", "fake"))
    assert (run.exit_code, set(run.results["tasks"])) == (3, {"fake"})
    assert any("broken:all ended early" in note for note in run.notes)
    with pytest.raises(HarnessError, match="broken:all cannot be listed: its task raised ValueError"):
        go(Server(), tmp_path, broken, tasks=("broken",))


def test_a_stop_takes_no_new_sample_and_the_next_run_goes_on(tmp_path: Path) -> None:
    stop = Stop()

    def script(_: str) -> str:
        stop.interrupt()
        return "no"

    first = Server(script)
    with pytest.raises(KeyboardInterrupt):
        go(first, tmp_path, stop=stop, task=fake_task(numbered(50)))
    written = len(lines(tmp_path))
    assert 0 < written == len(first.asked) <= 8
    assert not (tmp_path / "results.json").exists()
    assert json.loads((tmp_path / "run.json").read_text())["history"][0]["reason"] == "interrupted"
    again = Server()
    go(again, tmp_path, task=fake_task(numbered(50)))
    assert len(again.asked) == 50 - written


def test_a_dead_endpoint_stops_the_run_before_it_wastes_the_rest(tmp_path: Path) -> None:
    server = Server(lambda _: Failure(outcome="error", reason="http_500"))
    with pytest.raises(EndpointDown, match="5 errors in a row"):
        go(server, tmp_path, task=fake_task(numbered(1000)))
    assert len(server.asked) < 20


def test_calls_in_flight_do_not_keep_a_stopped_run_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN_SECONDS", 0.01)

    class Stuck(Server):
        async def generate(self, request: Request) -> Response | Failure:
            self.asked.append(request)
            if len(self.asked) == 3:
                raise HarnessError("the quota is gone")
            await anyio.sleep_forever()
            raise AssertionError

    with pytest.raises(HarnessError, match="the quota is gone"):
        go(Stuck(), tmp_path)


@pytest.mark.parametrize("strategy", ["", "plain"])
def test_what_failed_before_and_fails_again_does_not_stop_a_resumed_run(strategy: str, tmp_path: Path) -> None:
    def refuse(text: str) -> str | Failure:
        return Failure(outcome="error", reason="http_400") if int(text.split()[-1]) % 2 else "no"

    plain = Strategy(name="plain", version="1", description="", wrap=lambda model, _: _Around(model))
    go(Server(refuse), tmp_path, plain, strategy=strategy, task=fake_task(numbered(40)), policy=Policy(start=1, cap=1))
    again = Server(refuse)
    run = go(again, tmp_path, plain, strategy=strategy, task=fake_task(numbered(40)))
    assert len(again.asked) == 20, "each refused one once more, though five in a row open the breaker"
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 20, "error": 20}


@dataclass
class Heard(SilentProgress):
    """Keeps what a person is told."""

    notes: list[str] = field(default_factory=list[str])

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_person_is_told_when_an_endpoint_asks_to_slow_down(tmp_path: Path) -> None:
    heard, first = Heard(), [Failure(outcome="error", reason="http_429", transient=True, throttled=True)]
    go(Server(lambda text: first.pop() if first else "no"), tmp_path, progress=heard)
    assert heard.notes == ["seen takes too many calls at once: 2 from now on"]


def test_a_wait_of_hours_ends_the_run_with_what_was_asked_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    later = Failure(outcome="error", reason="http_429", transient=True, throttled=True, retry_after=7200)
    server = Server(lambda text: "no" if text == "question 0" else later)
    with pytest.raises(EndpointDown, match="asked to wait 7200 s"):
        go(server, tmp_path, policy=Policy(start=1, cap=1))
    assert [line["id"] for line in lines(tmp_path)] == ["q0"]
    again = Server()
    go(again, tmp_path)
    assert len(again.asked) == 9
