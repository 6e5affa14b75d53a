"""A plugin that hangs is named, and one that is slow is known with its time."""

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType

import anyio
import anyio.lowlevel
import pytest

from harness.plugins import Host, boundary, registry
from harness.plugins.boundary import is_importing, watch_loop
from harness.plugins.registry import Watch
from harness.testing.fakes import FakePlugin, fake_sample, fake_task, host_of, source_of
from harness.types import Sample

HELD = 30.0  #: seconds that nobody is kept waiting here, because the watch says its line long before


class Clock:
    """The time as a test says it is."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Ear:
    """Takes lines, and lets go who waits for the first one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._heard = threading.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._heard.set()

    def wait(self) -> None:
        """Hang until something is said."""
        assert self._heard.wait(HELD)


def test_a_plugin_that_hangs_at_import_is_named_while_it_does() -> None:
    ear, source = Ear(), source_of(FakePlugin(), "stuck")
    with Watch(ear, patience=0.02).calling(source, "import"):
        ear.wait()
    [line] = ear.lines
    assert line.startswith("plugin stuck (stuck 1.0): its import has taken 0.02 s so far; Ctrl-C ends it, ")


def test_a_plugin_that_hangs_in_an_offer_hook_is_named_on_stderr_though_nobody_is_told_of_faults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "PATIENCE", 0.02)
    ear = Ear()
    monkeypatch.setattr("harness.plugins.registry.write_line", ear)

    class Stuck(FakePlugin):
        def _of(self, kind: type[object]) -> list[object]:
            ear.wait()
            return []

    Host([source_of(Stuck(), "stuck")], tell=lambda _: None).offers("tasks")
    assert ear.lines[0].startswith("plugin stuck (stuck 1.0): what it offers has taken 0.02 s so far")


def test_what_a_plugin_took_is_known_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(registry, "time", clock)

    class Slow(FakePlugin):
        def _of(self, kind: type[object]) -> list[object]:
            clock.now += 3.0
            return []

    host = Host([source_of(Slow(), "slow"), source_of(FakePlugin(), "quick")])
    host.offers("tasks")
    found = host.slow(least=3.0)
    assert [source.name for source in found] == ["slow"]
    assert next(iter(found.values()))["offer"] == 3.0


SLOW = "from tests.core import test_plugins_watch as here\nhere.GATE()\n"
GATE: Callable[[], object] = lambda: None  # noqa: E731 - each test puts its own in its place


def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Callable[[], object], ear: Ear) -> None:
    """List samples under the watch by a task that imports a module, whose import lasts until `gate` returns."""
    name = f"slow_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SLOW, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "GATE", gate)

    def samples() -> Iterator[Sample]:
        importlib.import_module(name)
        yield fake_sample()

    async def go() -> None:
        with watch_loop(ear, patience=0.05):
            await anyio.lowlevel.checkpoint()
            list(host_of(fake_task(samples)).task("fake").samples(Path(), "all", {}))

    anyio.run(go)


def test_an_import_that_takes_long_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear, looks, looked, enough = Ear(), count(1), is_importing, threading.Event()

    def counted(frame: FrameType | None) -> bool:
        if next(looks) == 12:  # as often as it takes to wait twice as long as the watch is patient
            enough.set()
        return looked(frame)

    monkeypatch.setattr(boundary, "is_importing", counted)
    monkeypatch.setattr(boundary, "IMPORTS", 1e9)
    imported(tmp_path, monkeypatch, lambda: enough.wait(HELD), ear)
    assert enough.is_set()
    assert ear.lines == []


def test_an_import_that_brings_no_module_for_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear()
    monkeypatch.setattr(boundary, "IMPORTS", 2)
    imported(tmp_path, monkeypatch, ear.wait, ear)
    [line] = ear.lines
    assert "samples of task 'fake': it has blocked the run" in line


def test_a_plugin_that_holds_the_event_loop_is_named_with_the_place_and_the_line() -> None:
    ear = Ear()

    def samples() -> Iterator[Sample]:
        yield fake_sample()
        ear.wait()

    async def go() -> None:
        with watch_loop(ear, patience=0.05):
            await anyio.lowlevel.checkpoint()
            list(host_of(fake_task(samples)).task("fake").samples(Path(), "all", {}))

    anyio.run(go)
    assert len(ear.lines) == 1
    assert ear.lines[0].startswith(
        "plugin fakes (fakes 1.0), samples of task 'fake': it has blocked the run for 0.05 s, at "
    )
