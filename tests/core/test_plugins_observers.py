"""Observers: after the write, in order, in a thread of their own; never a reason for a run to end or to wait."""

import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import Failure, Response, RunInfo, Sample, Unscored, Verdict, hookimpl
from harness.images import open_image
from harness.plugins import Host
from harness.plugins.loader import Fault
from harness.testing.fakes import FakePlugin, fake_image, fake_sample, source_of

RUN = RunInfo(folder=Path("runs/x"), model="fake/x", tasks=("fake",), judges=(), plugins={})
ANSWER = Response(text="no")


class Notes(FakePlugin):
    """Writes down all it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    @hookimpl
    def harness_run_started(self, run: RunInfo) -> None:
        self.seen.append(("started", run))

    @hookimpl
    def harness_response_added(self, sample: Sample, response: Response | Failure) -> None:
        self.seen.append((sample.id, response))

    @hookimpl
    def harness_verdict_added(self, run: RunInfo, sample: Sample, response: Response, verdict: Any) -> None:
        self.seen.append((sample.id, response, verdict))

    @hookimpl
    def harness_run_finished(self, run: RunInfo, results: Any) -> None:
        self.seen.append(("finished", results))


class Broken(FakePlugin):
    """Raises at every response."""

    @hookimpl
    def harness_response_added(self, response: Response) -> None:
        raise SystemExit("no more")


class Slow(FakePlugin):
    """Waits at every response until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go = threading.Event()
        self.finished = threading.Event()
        self.seen = 0

    @hookimpl
    def harness_response_added(self, response: Response) -> None:
        self.entered.set()
        self.go.wait(60)
        self.seen += 1

    @hookimpl
    def harness_run_finished(self, results: Any) -> None:
        self.finished.set()


def host(*plugins: object) -> tuple[Host, list[str]]:
    lines: list[str] = []
    sources = [source_of(plugin, type(plugin).__name__.lower()) for plugin in plugins]
    return Host(sources, tell=lines.append), lines


def test_an_observer_sees_every_event_in_order() -> None:
    notes = Notes()
    found, lines = host(notes)
    failed = Failure(outcome="error", reason="http_500")
    verdict, unscored = Verdict(label="safe"), Unscored(state="judge_refused")
    with found.observe(RUN) as observers:
        observers.response_added(fake_sample("a"), ANSWER)
        observers.verdict_added(fake_sample("a"), ANSWER, verdict)
        observers.response_added(fake_sample("b"), failed)
        observers.verdict_added(fake_sample("c"), ANSWER, unscored)
        observers.finished({"schema": "x"})
    assert notes.seen == [
        ("started", RUN),
        ("a", ANSWER),
        ("a", ANSWER, verdict),
        ("b", failed),
        ("c", ANSWER, unscored),
        ("finished", {"schema": "x"}),
    ]
    assert observers.dropped == 0
    assert lines == []


def test_observers_run_in_a_thread_that_ends_with_the_run() -> None:
    threads: list[threading.Thread] = []

    class Where(FakePlugin):
        @hookimpl
        def harness_run_started(self) -> None:
            threads.append(threading.current_thread())

    with host(Where())[0].observe(RUN):
        pass
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_without_observers_there_is_no_thread() -> None:
    with host(FakePlugin())[0].observe(RUN) as observers:
        assert "harness-observers" not in {thread.name for thread in threading.enumerate()}
        observers.response_added(fake_sample(), ANSWER)
    assert observers.dropped == 0


def test_an_observer_that_raises_is_reported_once_and_stops_nobody() -> None:
    notes = Notes()
    found, lines = host(Broken(), notes)
    with found.observe(RUN) as observers:
        for number in range(3):
            observers.response_added(fake_sample(str(number)), ANSWER)
    assert [each[0] for each in notes.seen] == ["started", "0", "1", "2"]
    assert lines == ["plugin broken (broken 1.0): SystemExit: no more"]
    assert found.faults[0].stage == "observe"


def test_a_full_queue_drops_and_counts_but_never_the_end_of_the_run() -> None:
    slow = Slow()
    found, lines = host(slow)
    with found.observe(RUN, capacity=2, patience=60) as observers:
        observers.response_added(fake_sample(), ANSWER)
        assert slow.entered.wait(60)
        for _ in range(5):  # two wait, three are lost
            observers.response_added(fake_sample(), ANSWER)
        observers.finished({})
        slow.go.set()
    assert observers.dropped == 3
    assert slow.seen == 3
    assert slow.finished.is_set()
    assert lines == ["plugin slow (slow 1.0): observers missed 3 events: this one is slow"]


def test_closing_waits_a_bounded_time_for_a_slow_observer() -> None:
    slow = Slow()
    found, lines = host(Notes(), slow)
    with found.observe(RUN, patience=0.01) as observers:
        observers.response_added(fake_sample(), ANSWER)
        assert slow.entered.wait(60)
        observers.response_added(fake_sample(), ANSWER)
        observers.finished({})
    assert observers.dropped == 2
    assert "plugin slow (slow 1.0): observers missed 2 events" in lines[0]
    slow.go.set()


def test_what_happens_after_closing_is_counted_as_dropped() -> None:
    found, _ = host(Notes())
    with found.observe(RUN) as observers:
        pass
    observers.response_added(fake_sample(), ANSWER)
    assert observers.dropped == 1


def test_the_queue_never_holds_the_bytes_of_images() -> None:
    opened = open_image(fake_image())
    assert opened.content is not None
    sample = fake_sample(images=1)
    message = sample.request.messages[0]
    parts = (opened, *message.content[1:])
    held: list[Sample] = []

    class Holder(FakePlugin):
        @hookimpl
        def harness_response_added(self, sample: Sample) -> None:
            held.append(sample)

    from dataclasses import replace

    request = replace(sample.request, messages=(replace(message, content=parts),))
    with host(Holder())[0].observe(RUN) as observers:
        observers.response_added(replace(sample, request=request), ANSWER)
    assert [image.content for image in held[0].request.images] == [None]
    assert held[0].request.images[0].path == opened.path


def test_while_a_run_goes_on_faults_are_told_where_the_run_wants_them() -> None:
    found, lines = host(Broken())
    told: list[str] = []
    with found.observe(RUN, tell=told.append) as observers:
        observers.response_added(fake_sample(), ANSWER)
    assert (len(told), lines) == (1, [])
    assert isinstance(found.faults[0], Fault)


@pytest.mark.parametrize("hook", ["harness_run_started", "harness_response_added"])
def test_an_observer_may_take_fewer_arguments_than_its_hook(hook: str) -> None:
    called: list[str] = []

    class Bare(FakePlugin):
        pass

    setattr(Bare, hook, hookimpl(lambda self: called.append(hook)))
    with host(Bare())[0].observe(RUN) as observers:
        observers.response_added(fake_sample(), ANSWER)
    assert called == [hook]


def test_in_async_code_closing_waits_in_a_thread_and_all_else_goes_on() -> None:
    slow = Slow()
    found, lines = host(slow)

    async def let_go() -> None:
        """Only runs while the other task waits for the observer to end."""
        slow.go.set()

    async def body() -> None:
        async with anyio.create_task_group() as group, found.observe(RUN, patience=5) as observers:
            observers.response_added(fake_sample(), ANSWER)
            assert slow.entered.wait(60)
            observers.finished({})
            group.start_soon(let_go)

    anyio.run(body)
    assert slow.finished.is_set()
    assert lines == []


def test_a_run_that_is_cancelled_still_delivers_what_is_queued() -> None:
    notes = Notes()
    found, _ = host(notes)

    async def body() -> None:
        with anyio.CancelScope() as scope:
            async with found.observe(RUN) as observers:
                observers.response_added(fake_sample("a"), ANSWER)
                scope.cancel()
                await anyio.sleep_forever()

    anyio.run(body)
    assert notes.seen[-1] == ("a", ANSWER)
