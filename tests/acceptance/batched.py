"""Runs in batches against servers that speak the vendors' forms, and the live run that is their measure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance import commands, layouts, plays
from tests.acceptance.layouts import Layout
from tests.batching import AnthropicBatchServer, BatchPlay, GeminiBatchServer, OpenAIBatchServer

PATIENCE = 60.0
BOOT = (
    "import harness.batches.queue as queue; queue.SETTLE_SECONDS = 0; queue.FIRST_SECONDS = 0.05; "
    "from harness.cli import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A provider, and the server that plays its vendor's."""

    scheme: str
    server: Callable[..., BatchPlay]
    limits: str

    def url(self, server: Any) -> str:
        return str(server.base_url if self.scheme == "openai" else server.url)


OPENAI = Vendor(scheme="openai", server=OpenAIBatchServer, limits="harness_openai.batches.OpenAIBatches")
ANTHROPIC = Vendor(scheme="anthropic", server=AnthropicBatchServer, limits="harness_anthropic.batches.AnthropicBatches")
GEMINI = Vendor(scheme="gemini", server=GeminiBatchServer, limits="harness_gemini.batches.GeminiBatches")
VENDORS = [OPENAI, ANTHROPIC, GEMINI]
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.scheme)


class World:
    """A vendor's server, data, and the command's words."""

    def __init__(self, vendor: Vendor, server: BatchPlay, folder: Path) -> None:
        self.vendor, self.server, self.folder = vendor, server, folder
        self.layout = Layout(folder / "data")
        layouts.mis(self.layout, easy=6, hard=4, real=2)
        server.play = self.play

    def play(self, call: Call) -> str | Reply:
        """What the usual play says, in the vendor's own form."""
        return self.server.translate(plays.both(replace(call, parameters=self.server.as_chat(call.parameters))))

    def words(self, name: str, *more: object) -> tuple[object, ...]:
        where = f"base_url={self.vendor.url(self.server)}"
        models = ("--model", f"{self.vendor.scheme}/subject", "--judge", f"{self.vendor.scheme}/judge")
        place = ("--data", self.layout.root, "--output", self.folder / name, "--min-coverage", "0.5")
        return ("run", "--tasks", "mis", *models, "-M", where, "-J", where, *place, *more)

    def finish(self, name: str, *more: object, most: int = 12) -> list[int]:
        """Give the same command until nothing is pending; its exit codes."""
        codes: list[int] = []
        while len(codes) < most:
            ended = commands.harness_here(*self.words(name, "--batch", *more))
            codes.append(ended.code)
            if ended.code != 3 or "pending: " not in ended.err:
                return codes
        raise AssertionError(f"still pending after {most} commands: {ended.err}")

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [line for path in sorted((self.folder / name / "mis").glob("[rv]e*.jsonl")) for line in read(path)]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@contextmanager
def opened(vendor: Vendor, folder: Path) -> Iterator[World]:
    with vendor.server() as server:
        yield World(vendor, server, folder)


def comparable(folder: Path) -> dict[str, Any]:
    """results.json without times and without the mark that a batch was used."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: bare(each) for name, each in value.items() if name not in ("batch", "why")}
        return value

    results = dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    for name in ("started", "finished", "wall_s", "command"):
        results.pop(name)
    return dict(bare(results))


def assert_as_live(world: World, name: str) -> None:
    """The run's folder is that of a live run against the same server, and holds each item once."""
    if not (world.folder / "live").exists():
        assert commands.harness_here(*world.words("live")).code == 0
    assert comparable(world.folder / name) == comparable(world.folder / "live")

    def shown(line: dict[str, Any]) -> dict[str, Any]:
        usage = {key: value for key, value in line["usage"].items() if key != "batch"}
        return {**{key: value for key, value in line.items() if key not in ("at", "seconds")}, "usage": usage}

    def place(line: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(line.get(key, "")) for key in ("split", "id", "epoch", "key", "answer"))

    ours, live = world.lines(name), world.lines("live")
    assert max(Counter(map(place, ours)).values()) == 1
    assert sorted(map(shown, ours), key=str) == sorted(map(shown, live), key=str)
