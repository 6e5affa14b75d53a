"""A run over fakes, end to end: what is asked, what is asked again, and what ends a run early."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import hookimpl, plugins
from harness.contracts import Strategy
from harness.errors import EndpointDown, HarnessError
from harness.evaluation import samples as engine
from harness.evaluation.options import Options
from harness.evaluation.samples import Stop
from harness.limits import Policy, endpoints
from harness.models import ModelSpec
from harness.plugins import Host
from harness.progress.lines import SilentProgress
from harness.runs.run import run_async
from harness.store.folder import RunFolder
from harness.store.records import LOWEST
from harness.testing.fakes import FakePlugin, fake_image, fake_judge, fake_sample, fake_task, host_of, source_of
from harness.types import Failure, Image, Message, Request, Response, Sample, Text, Usage
from tests.core.carried import Around, Server, go, lines, numbered, split


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
    plain = Strategy(name="plain", version="1", description="", wrap=lambda model, _: Around(model))
    go(server, tmp_path, plain, strategy="plain", task=fake_task(numbered(60)))
    assert server.most == 8


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


def test_numbers_that_are_none_end_no_run_and_every_line_is_json(tmp_path: Path) -> None:
    nan: Any = float("nan")
    said: dict[str, Any] = {
        "question 0": Response(text="no", usage=Usage(input_tokens=nan), seconds=nan),
        "question 1": Response(text="no", choices={"A": nan}),
        "question 2": Failure(outcome="input_blocked", reason="f", usage=Usage(output_tokens=nan)),
    }
    run = go(Server(lambda text: said.get(text, "no")), tmp_path)
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 8, "error": 1, "input_blocked": 1}
    for name in ("responses.jsonl", "asked.jsonl"):
        for line in (tmp_path / "fake" / name).read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_a_choice_that_is_ruled_out_is_judged_alike_when_it_is_new_and_when_it_is_read_back(tmp_path: Path) -> None:
    seen: list[float] = []

    def noting(_: Sample, response: Response) -> str:
        seen.append(response.choices["B"])
        return "safe"

    server = Server(lambda _: Response(text="A", choices={"A": 0.0, "B": float("-inf")}))
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path, probe=False)
    with plugins.use(host_of(server.provider, fake_task(numbered(1)), fake_judge(noting))):
        for _ in range(2):
            anyio.run(partial(run_async, options))
            next((tmp_path / "fake").glob("verdicts-*")).unlink()
    assert len(server.asked) == 1
    assert seen == [LOWEST, LOWEST]


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
                raise HarnessError("the quota is used up")
            await anyio.sleep_forever()
            raise AssertionError

    with pytest.raises(HarnessError, match="the quota is used up"):
        go(Stuck(), tmp_path)


@pytest.mark.parametrize("strategy", ["", "plain"])
def test_what_failed_before_and_fails_again_does_not_stop_a_resumed_run(strategy: str, tmp_path: Path) -> None:
    def refuse(text: str) -> str | Failure:
        return Failure(outcome="error", reason="http_400") if int(text.split()[-1]) % 2 else "no"

    plain = Strategy(name="plain", version="1", description="", wrap=lambda model, _: Around(model))
    go(Server(refuse), tmp_path, plain, strategy=strategy, task=fake_task(numbered(40)), policy=Policy(start=1, cap=1))
    again = Server(refuse)
    run = go(again, tmp_path, plain, strategy=strategy, task=fake_task(numbered(40)))
    assert len(again.asked) == 20, "each refused one once more, though five in a row open the breaker"
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 20, "error": 20}


class Odd(Around):
    """A strategy with a mistake of its own in it."""

    async def generate(self, request: Request) -> Response | Failure:
        answer = await super().generate(request)
        if request.messages[-1].content[-1] == Text(text="question 3"):
            raise ZeroDivisionError("odd")
        return "a bare text" if request.messages[-1].content[-1] == Text(text="question 4") else answer  # type: ignore[return-value]


def test_a_strategy_that_raises_or_gives_no_answer_fails_that_sample_and_not_the_run(tmp_path: Path) -> None:
    odd = Strategy(name="odd", version="1", description="", wrap=lambda model, _: Odd(model))
    run = go(Server(), tmp_path, odd, strategy="odd", task=fake_task(numbered(10)))
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 8, "error": 2}
    assert {line["reason"] for line in lines(tmp_path) if line["outcome"] == "error"} == {
        "ZeroDivisionError",
        "no_answer",
    }


@dataclass
class Heard(SilentProgress):
    """Keeps what a person is told."""

    notes: list[str] = field(default_factory=list[str])

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_person_is_told_when_an_endpoint_asks_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "WORTH_TELLING", 0.01)
    wait = Failure(outcome="error", reason="http_429", transient=True, throttled=True, retry_after=0.02)
    heard, first = Heard(), [wait]
    go(Server(lambda text: first.pop() if first else "no"), tmp_path, progress=heard)
    assert heard.notes == ["seen asked to wait 0 s"]


def test_a_wait_of_hours_ends_the_run_with_what_was_asked_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    later = Failure(outcome="error", reason="http_429", transient=True, throttled=True, retry_after=7200)
    server = Server(lambda text: "no" if text == "question 0" else later)
    with pytest.raises(EndpointDown, match="asked to wait 7200 s"):
        go(server, tmp_path, policy=Policy(start=1, cap=1))
    assert [line["id"] for line in lines(tmp_path)] == ["q0"]
    again = Server()
    go(again, tmp_path)
    assert len(again.asked) == 9


def test_a_fresh_run_beside_a_live_writer_is_refused_and_the_writer_goes_on(tmp_path: Path) -> None:
    refused: list[Exception] = []

    def anew() -> None:
        try:
            go(Server(), tmp_path, fresh=True, task=fake_task(numbered(3)))
        except HarnessError as error:
            refused.append(error)

    def script(text: str) -> str:
        if text == "question 1":
            other = threading.Thread(target=anew)
            other.start()
            other.join()
        return "no"

    run = go(Server(script), tmp_path, task=fake_task(numbered(3)))
    assert [str(error) for error in refused] == [
        f"another process is writing to this run ({tmp_path})\n  wait for it, or give another --output"
    ]
    assert (run.exit_code, split(run)["n"], len(lines(tmp_path))) == (0, 3, 3)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_a_folder_is_put_aside_by_nobody_while_a_run_is_between_its_journals(tmp_path: Path) -> None:
    go(Server(), tmp_path, task=fake_task(numbered(3)))
    folder = RunFolder(tmp_path)
    with (
        folder.hold_for_writing(),
        folder.hold_for_writing(),
        pytest.raises(HarnessError, match="another process is writing"),
    ):
        folder.put_aside()
    assert folder.put_aside() is not None
    assert not tmp_path.exists()


def test_a_task_that_gives_no_sample_is_said_to_have_given_it(tmp_path: Path) -> None:
    task = fake_task(lambda: [None], name="broken")  # type: ignore[list-item]
    with pytest.raises(HarnessError, match="broken:all cannot be listed: its task returned None, not Sample"):
        go(Server(), tmp_path, task, tasks=("broken",))
    run = go(Server(), tmp_path, task, tasks=("fake", "broken"))
    assert any("broken:all ended early: its task returned None, not Sample" in note for note in run.notes)


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
