"""The soak's prediction (`benchmarks/soak_plan.py`), on a run that is small enough for a test."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest

from benchmarks.soak import PLUGIN, PRICE, Reading, compare, find_slope
from benchmarks.soak_plan import ENDINGS, PASSING, SHARE, TRIES, list_tries, predict
from benchmarks.soak_server import Player
from harness.evaluation.options import Options
from harness.limits import Policy
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.prices import read_prices
from harness.runs.run import run_async
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer

SAMPLES, SEED = 60, 4


@pytest.mark.anyio
async def test_a_run_with_every_fault_gives_what_was_predicted_call_by_call(tmp_path: Path) -> None:
    player = Player(SEED, math.inf, overloaded=0.0)

    def play(call: Call) -> Reply:
        reply = player(call)  # a time limit that a test can wait for would be missed by good calls on a busy machine
        return Reply(fault="garbage") if reply.fault == "stall" else reply

    with use(Host.load([PLUGIN])):
        async with ChatServer(play) as server:
            settings = {"base_url": server.base_url}
            options = Options(
                model=ModelSpec(ref="openai/model", settings=settings),
                tasks=("soak",),
                task_settings={"soak.n": SAMPLES},
                judges=("soak=openai/judge",),
                judge_settings=settings,
                output=tmp_path / "run",
                probe=False,
                min_coverage=0.0,
                policy=Policy(base=0.01),
                prices=read_prices(dict.fromkeys(("openai/model", "openai/judge"), PRICE), "here"),
            )
            run = await run_async(options)
    expected = predict(SEED, SAMPLES)
    assert {*PASSING} < {name.partition(": ")[2] for name in expected.replies}
    assert compare(expected, run.results, player.count(), killed=False)
    expected.outcomes["answered"] += 1
    assert not compare(expected, run.results, player.count(), killed=False)


def test_each_fault_has_its_share_of_the_tries() -> None:
    tries = [name for sample in range(4000) for name in list_tries(SEED, "model", sample)]
    for name in PASSING:
        assert abs(tries.count(name) / len(tries) - SHARE) < 0.01
    for name in ENDINGS["model"]:
        assert abs(tries.count(name) / 4000 - SHARE) < 0.015
    assert max(map(len, (list(list_tries(SEED, "model", sample)) for sample in range(4000)))) == TRIES + 1


def test_the_slope_of_memory_is_that_of_the_second_half() -> None:
    read = partial(Reading, seconds=0.0, files=1, sockets=1, threads=1)
    readings = [read(done=done, megabytes=50 + max(0, done - 500) / 1000) for done in range(0, 1001, 100)]
    assert round(find_slope(readings), 6) == 10.0
