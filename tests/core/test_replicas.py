"""A model in several processes: who answers, and what becomes of a request when a process ends."""

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import psutil
import pytest

from harness import plugins
from harness.contracts import Model
from harness.errors import Forbidden, HarnessError, MissingData, PluginError
from harness.images import open_image
from harness.models import ModelSpec, resolve
from harness.plugins import Host
from harness.testing.fakes import fake_image
from harness.types import Failure, Message, Request, Response, Text

TOY = Path(__file__).with_name("toy_models.py")
T = TypeVar("T")


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with plugins.use(Host.load([TOY])):
        yield


def ask(text: str, images: int = 0) -> Request:
    shown = [open_image(fake_image(f"{number}.png")) for number in range(images)]
    return Request(messages=(Message(role="user", content=(*shown, Text(text=text))),))


@asynccontextmanager
async def model(replicas: int = 2, name: str = "plain", **settings: Any) -> AsyncGenerator[Model]:
    with anyio.fail_after(60):
        async with resolve(ModelSpec(ref=f"toy/{name}", settings={"replicas": replicas, **settings})).open() as opened:
            yield opened


def list_children() -> list[psutil.Process]:
    """Processes that this one has started, without Python's own resource tracker, which stays until the end."""
    every = psutil.Process().children(recursive=True)
    return [each for each in every if "resource_tracker" not in " ".join(each.cmdline())]


def within(body: Callable[[Model], Awaitable[T]], *arguments: Any, **settings: Any) -> T:
    """What a body gives that is handed an open model; afterwards no process is left."""

    async def run() -> T:
        async with model(*arguments, **settings) as opened:
            return await body(opened)

    given = anyio.run(run)
    assert list_children() == []
    return given


def with_model(
    replicas: int = 2, **settings: Any
) -> Callable[[Callable[..., Awaitable[None]]], Callable[[Path], None]]:
    """A test that is handed an open model, and as `folder` the one in which the model leaves and looks for files."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[[Path], None]:
        def run(tmp_path: Path) -> None:
            more = {"folder": tmp_path} if "folder" in inspect.signature(test).parameters else {}
            within(lambda model: test(model, **more), replicas, folder=tmp_path, **settings)

        return run

    return decorate


def told(answer: Response | Failure) -> dict[str, Any]:
    assert isinstance(answer, Response), answer
    return dict(json.loads(answer.text))


async def never(_: Model) -> None:
    raise AssertionError("it opened")


async def all_of(model: Model, *texts: str) -> list[Response | Failure]:
    """The answers to requests that are asked at once, in their order."""
    answers: dict[int, Response | Failure] = {}

    async def one(number: int, text: str) -> None:
        answers[number] = await model.generate(ask(text))

    async with anyio.create_task_group() as tasks:
        for number, text in enumerate(texts):
            tasks.start_soon(one, number, text)
    return [answers[number] for number in range(len(texts))]


async def release(fifo: Path) -> None:
    """Let one who holds go on; comes back once it was there."""
    await anyio.to_thread.run_sync(fifo.write_bytes, b"go on")


@with_model()
async def test_replicas_are_one_model_whose_processes_share_its_requests(model: Model) -> None:
    assert (model.info.ref, model.info.local, model.info.concurrency) == ("toy/plain", True, 4)
    assert model.info.fingerprint == {"weights": "abc"}
    answers = [told(answer) for answer in await all_of(model, *(f"say {number}" for number in range(20)))]
    assert [answer["said"] for answer in answers] == [str(number) for number in range(20)]
    assert len({answer["pid"] for answer in answers}) == 2
    assert os.getpid() not in {answer["pid"] for answer in answers}


@with_model()
async def test_a_request_goes_to_the_replica_with_the_least_to_do(model: Model, folder: Path) -> None:
    os.mkfifo(folder / "gate")
    holding: list[Response | Failure] = []
    async with anyio.create_task_group() as tasks:

        async def hold() -> None:
            holding.append(await model.generate(ask("hold gate")))

        tasks.start_soon(hold)
        await anyio.wait_all_tasks_blocked()
        others = [told(await model.generate(ask("say x")))["pid"] for _ in range(3)]
        await release(folder / "gate")
    assert len(set(others)) == 1
    assert told(holding[0])["pid"] not in others


@with_model(1)
async def test_images_arrive_byte_for_byte_and_in_order(model: Model) -> None:
    request = ask("say x", images=2)
    answer = told(await model.generate(request))
    assert answer["images"] == [image.opened.sha256 for image in request.images]
    assert answer["encoded"] == [image.opened.encoded.decode() for image in request.images]


def test_nothing_that_a_replica_prints_reaches_our_output(capfd: pytest.CaptureFixture[str]) -> None:
    async def body(model: Model) -> None:
        await model.generate(ask("say x"))

    within(body, 1)
    assert capfd.readouterr() == ("", "")


@with_model(1, tone="low")
async def test_a_replica_opens_the_model_with_the_same_settings(model: Model, folder: Path) -> None:
    settings = told(await model.generate(ask("say x")))["settings"]
    assert settings == {"folder": str(folder), "tone": "low", "images_per_prompt": "None"}


@with_model(1)
async def test_what_the_model_fails_with_comes_back_as_it_is(model: Model) -> None:
    assert await model.generate(ask("fail")) == Failure(
        outcome="error", reason="http_500", message="\ud800", transient=True, retry_after=1.5
    )
    bug = await model.generate(ask("bug"))
    assert bug == Failure(outcome="error", reason="ValueError", message="a bug of the model's")


@with_model()
async def test_a_note_of_any_replica_is_one_of_the_model(model: Model) -> None:
    await all_of(model, "note batch halved", "note batch halved", "note slow", "say x")
    assert sorted(model.info.notes) == ["batch halved", "slow"]


@with_model()
async def test_requests_of_a_replica_that_dies_are_answered_by_another_and_it_is_started_again(model: Model) -> None:
    answers = await all_of(model, "die once a", *(f"say {number}" for number in range(10)))
    assert [told(answer)["said"] for answer in answers] == ["once a", *map(str, range(10))]
    [note] = model.info.notes
    assert "was killed by SIGKILL" in note
    assert note.endswith("asked again, and it is started again (1 of 2)")


@with_model(1)
async def test_a_single_replica_that_dies_is_waited_for(model: Model, folder: Path) -> None:
    answers = await all_of(model, "say a", "die once a", "say b")
    assert [told(answer)["said"] for answer in answers] == ["a", "once a", "b"]


@with_model()
async def test_a_request_that_two_replicas_die_over_is_given_up(model: Model) -> None:
    answer = await model.generate(ask("die"))
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.reason, answer.transient) == ("error", "replica_died", False)
    assert "killed by SIGKILL" in answer.message
    assert told(await model.generate(ask("say x")))["said"] == "x", "both were started again"


@pytest.mark.slow
def test_requests_that_crash_a_replica_are_given_up_and_an_answer_earns_its_restarts_back(tmp_path: Path) -> None:
    (tmp_path / "story").touch()
    texts = [text for number in range(5) for text in ("die", f"say {number}", f"say {number}", f"say {number}")]

    async def body(model: Model) -> None:
        answers = await all_of(model, *texts)
        given_up = [answer.reason for answer in answers if isinstance(answer, Failure)]
        assert given_up == ["replica_died"] * 5
        assert [told(answer)["said"] for answer in answers if isinstance(answer, Response)] == [
            text.split()[1] for text in texts if text != "die"
        ]

    within(body, 1, folder=tmp_path)
    opened = (tmp_path / "story").read_text().count("open plain")
    assert opened <= 1 + 2 * 5, "no request ended more than two"


@with_model(1)
async def test_a_request_that_was_under_way_beside_one_that_crashes_is_never_blamed(model: Model, folder: Path) -> None:
    os.mkfifo(folder / "gate")
    answers: list[Response | Failure] = []
    async with anyio.create_task_group() as tasks:

        async def hold() -> None:
            answers.append(await model.generate(ask("hold gate")))

        tasks.start_soon(hold)
        tasks.start_soon(model.generate, ask("die"))
        await anyio.wait_all_tasks_blocked()
        while not any("started again" in note for note in model.info.notes):
            await anyio.lowlevel.checkpoint()
        await release(folder / "gate")
    assert told(answers[0])["said"] == "gate"


@with_model()
async def test_while_suspects_are_tried_one_by_one_the_other_replica_goes_on(model: Model, folder: Path) -> None:
    for gate in ("gate", "other"):
        os.mkfifo(folder / gate)
    async with anyio.create_task_group() as tasks:
        for text in ("hold gate", "hold other", "die once a", "say x"):
            tasks.start_soon(model.generate, ask(text))
        while not model.info.notes:
            await anyio.lowlevel.checkpoint()
        assert told(await model.generate(ask("say y")))["said"] == "y", "though a hold may be tried alone"
        for gate in ("gate", "other"):
            await release(folder / gate)


@with_model(1)
async def test_what_is_forbidden_of_one_request_leaves_its_replica_alone(model: Model) -> None:
    before = told(await model.generate(ask("say x")))["pid"]
    with pytest.raises(Forbidden, match="not for you"):
        await model.generate(ask("forbid"))
    assert told(await model.generate(ask("say x")))["pid"] == before
    assert model.info.notes == ()


def test_when_none_is_left_the_last_words_are_told_without_control_characters() -> None:
    async def body(model: Model) -> None:
        for _ in range(2):
            with pytest.raises(HarnessError) as caught:
                await all_of_once(model)
            assert "toy/plain: replica 1 (CPU) was killed by SIGKILL" in caught.value.what
            assert "[31mfatal: no more" in caught.value.remedy
            assert "\x1b" not in caught.value.remedy

    async def all_of_once(model: Model) -> None:
        for _ in range(3):
            await model.generate(ask("die"))

    within(body, 1)


@with_model()
async def test_a_replica_whose_model_gives_up_costs_only_its_own_requests(model: Model, folder: Path) -> None:
    assert told(await model.generate(ask("refuse once a")))["said"] == "once a"
    [note] = model.info.notes
    assert "says: no memory for it: its request is asked again, and it is gone for good" in note


@with_model(1)
async def test_a_replica_that_has_answered_before_it_gives_up_is_started_again(model: Model, folder: Path) -> None:
    await model.generate(ask("say x"))
    assert told(await model.generate(ask("refuse once a")))["said"] == "once a"
    assert model.info.notes[0].endswith("it is started again (1 of 2)")


@with_model()
async def test_when_all_models_give_up_the_run_hears_what_they_say(model: Model) -> None:
    for _ in range(2):
        with pytest.raises(HarnessError) as caught:
            await model.generate(ask("refuse"))
        assert (caught.value.what, caught.value.where, caught.value.remedy) == (
            "no memory for it",
            "toy",
            "use less",
        )


@with_model(1)
async def test_a_replica_whose_model_breaks_is_started_again(model: Model, folder: Path) -> None:
    assert told(await model.generate(ask("say x")))["said"] == "x"
    assert told(await model.generate(ask("break once a")))["said"] == "once a"
    [note] = model.info.notes
    assert "says: RuntimeError: the model broke: its request is asked again, and it is started again" in note


@with_model()
async def test_when_all_models_broke_the_run_hears_of_the_bug(model: Model) -> None:
    with pytest.raises(HarnessError, match="RuntimeError: the model broke") as caught:
        await model.generate(ask("break"))
    assert "toy_models" in caught.value.remedy
    assert 'File "' not in str(caught.value)


@pytest.mark.parametrize("end", ["shut", "garble", "orphan"])
def test_a_replica_that_sends_no_frames_is_gone_though_its_pipes_or_its_process_are_not(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.subprocesses.GRACE", 0.2)
    os.mkfifo(tmp_path / "gate")

    async def body(model: Model) -> None:
        assert told(await model.generate(ask(f"{end} once a")))["said"] == "once a"
        if end == "orphan":
            await release(tmp_path / "gate")

    within(body, 1, folder=tmp_path)


@with_model(1)
async def test_a_replica_may_write_without_end_and_never_end_the_line(model: Model) -> None:
    for _ in range(3):
        assert told(await model.generate(ask("flood")))


@pytest.mark.parametrize("name", ["closed", "late"])
def test_a_replica_that_cannot_be_opened_is_told_as_one_process_would(name: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        within(never, name=name, folder=tmp_path)
    error = caught.value
    assert (error.what, error.where, error.remedy) == ("this model is not for you", "the hub", "ask for access")
    assert list_children() == []


def test_a_replica_that_dies_while_it_starts_is_told_with_its_last_words() -> None:
    with pytest.raises(HarnessError, match=r"toy/crashing: replica \d \(CPU\) was killed by SIGKILL") as caught:
        within(never, name="crashing")
    assert "fatal: no more" in caught.value.remedy


def test_replicas_that_would_answer_as_different_models_are_refused() -> None:
    with pytest.raises(HarnessError, match="opened other files"):
        within(never, name="odd")


def test_a_bug_of_the_provider_is_told_as_its_plugins_with_the_traceback() -> None:
    said = r"plugin toy_models \(file .*\), open of provider 'toy': ValueError: a bug of the provider's"
    with pytest.raises(PluginError, match=said) as caught:
        within(never, name="broken")
    assert 'File "' in caught.value.story


def test_what_the_body_raises_comes_out_as_it_is() -> None:
    async def body(_: Model) -> None:
        raise MissingData("no data")

    with pytest.raises(MissingData, match="no data"):
        within(body)


@with_model(1)
async def test_a_request_that_nobody_waits_for_any_more_makes_room(model: Model, folder: Path) -> None:
    os.mkfifo(folder / "gate")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(model.generate, ask("hold gate"))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert told(await model.generate(ask("say x")))["said"] == "x"
    await release(folder / "gate")


@pytest.mark.slow
@with_model(1)
async def test_a_process_that_does_not_end_by_itself_is_ended(model: Model, folder: Path) -> None:
    os.mkfifo(folder / "gate")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(model.generate, ask("hold gate"))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


PARENT = """
import json, sys, anyio
from harness import open_model, plugins
from harness.plugins import Host
from harness.types import Message, Request, Text

async def main():
    async with open_model("toy/plain", {"replicas": 2}) as model:
        answers = {}
        async def ask(number):
            text = Text(text=f"say {number}")
            answers[number] = await model.generate(Request(messages=(Message(role="user", content=(text,)),)))
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(ask, number)
        print(json.dumps(sorted({json.loads(answer.text)["pid"] for answer in answers.values()})), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

with plugins.use(Host.load([sys.argv[1]])):
    anyio.run(main)
"""


def test_replicas_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(TOY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        replicas = [psutil.Process(pid) for pid in pids]
        parent.send_signal(signal.SIGKILL)
        gone, alive = psutil.wait_procs(replicas, timeout=20)
    assert (len(gone), alive) == (2, [])
