"""How far a build is, in one line."""

from __future__ import annotations

import anyio
from harness_builder.tally import Progress, Tally, showing
from harness_builder.values import End, Step


class World:
    """A build that is counted, and a clock that is set."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.calls = 0
        self.now = 100.0
        self.lines: list[str] = []

    def progress(self) -> Progress:
        return Progress(self.tally, lambda: self.calls, self.lines.append, clock=lambda: self.now)

    def count(self, step: Step, end: End = "kept", times: int = 1) -> None:
        self.tally.ends[step, end] += times


def test_a_line_says_what_went_on_from_each_step_how_the_rest_ended_and_how_fast_calls_are() -> None:
    world = World()
    progress = world.progress()
    world.count("elements", times=40)
    world.count("write", times=38)
    world.count("draw", times=30)
    world.count("sort", times=28)
    world.count("label", times=12)
    world.count("write", "dropped", 2)
    world.count("draw", "dropped", 3)
    world.count("elements", "refused")
    world.calls, world.now = 31, 110.0
    progress.tick()
    (line,) = world.lines
    assert line == (
        "elements 40 · written 38 · drawn 30 · sorted 28 · probed 0 · labelled 12"
        " · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s"
    )


def test_the_speed_is_that_since_the_last_line() -> None:
    world = World()
    world.calls = 500  # of an earlier time
    progress = world.progress()
    world.calls, world.now = 520, 110.0
    progress.tick()
    world.calls, world.now = 521, 120.0
    progress.tick()
    assert [line.rpartition(" · ")[2] for line in world.lines] == ["2.0 calls/s", "0.1 calls/s"]


def test_steps_that_nothing_has_reached_are_not_shown_and_who_waits_is_only_where_somebody_does() -> None:
    world = World()
    progress = world.progress()
    world.count("elements")
    progress.tick()
    assert world.lines[-1].startswith("elements 1 · dropped 0 ")
    assert "waiting" not in world.lines[-1]
    world.count("sort", "waiting")
    progress.tick()
    assert "waiting 1" in world.lines[-1]


def test_nothing_is_said_while_nothing_moves() -> None:
    world = World()
    progress = world.progress()
    progress.tick()
    world.now += 60
    progress.tick()
    assert world.lines == []


def test_a_build_ends_with_a_line_even_where_it_was_quick() -> None:
    world = World()

    async def build() -> None:
        async with showing(world.tally, lambda: world.calls, world.lines.append):
            world.count("elements")

    anyio.run(build)
    assert len(world.lines) == 1


def test_lines_come_while_a_build_goes_on() -> None:
    world = World()

    async def build() -> None:
        heard = anyio.Event()

        def tell(line: str) -> None:
            world.lines.append(line)
            heard.set()

        async with showing(world.tally, lambda: world.calls, tell, every=0.01):
            world.count("elements")
            with anyio.fail_after(30):
                await heard.wait()

    anyio.run(build)
    assert world.lines
