"""A build that is killed goes on where it was: it asks nothing again that was answered, and makes the same set."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import yaml

from benchmarks.mini_server import painted, written
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer, ImagesServer
from tests.acceptance.commands import harness, started

AT_ONCE = 4
COLORS = ("red", "green", "blue", "yellow", "purple", "black")
_MARKER = re.compile(r"\b[0-9a-f]{16}\b")


@dataclass
class Counted:
    """Plays the mini world, counts what is asked, and tells when so many calls have come."""

    asked: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    enough: threading.Event = field(default_factory=threading.Event)
    left: int = 0

    def count(self, call: Call) -> None:
        self.asked[call.model, _MARKER.sub("", call.text), *call.images, str(call.parameters.get("seed"))] += 1
        self.left -= 1
        if self.left == 0:
            self.enough.set()

    def write(self, call: Call) -> str | Reply:
        self.count(call)
        return written(call)

    def draw(self, call: Call) -> Reply:
        self.count(call)
        return painted(call)

    def await_calls(self, count: int) -> None:
        """Wait until so many more have come."""
        self.enough.clear()
        self.left = count
        assert self.enough.wait(60)


@contextmanager
def served(folder: Path) -> Iterator[tuple[Counted, Path]]:
    counted = Counted()
    rows = [
        f"{at},A {one} star near a {other} ring"
        for at, (one, other) in enumerate(zip(COLORS, COLORS[::-1], strict=True))
    ]
    rows += [f"{at + 10},Something with a {color} heart" for at, color in enumerate(COLORS)]
    (folder / "seeds.csv").write_text("\n".join(["id,text", *rows, ""]), encoding="utf-8")
    with ChatServer(counted.write, latency=0.02) as chat, ImagesServer(counted.draw, latency=0.02) as painter:
        model = {"model": "openai/writer", "settings": {"base_url": chat.base_url}}
        config = {
            "name": "killed",
            "sources": [{"name": "ideas", "path": "seeds.csv", "licence": "cc0-1.0"}],
            "models": {"writer": model},
            "painter": {"painter": "openai/painter", "settings": {"base_url": painter.base_url}},
            "sort": {"review": "none"},
            "label": {"rubric": "mini", "accept": ["declines_with_reason"]},
            "limits": {"concurrency": AT_ONCE},
        }
        (folder / "build.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        yield counted, folder / "build.yaml"


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a set, but for what tells when and by which calls it was made."""
    told = {"build.json", "README.md", ".source.json"}
    files = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and "work" not in path.relative_to(folder).parts
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in told}


def test_a_build_that_is_killed_three_times_repeats_no_answered_call_and_makes_the_same_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rng, kills = Random(7), 3
    with served(tmp_path) as (counted, config):
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        ended = harness("build", "mis", "--config", config, "--out", whole)
        assert ended.code == 0, ended.err
        once = Counter(counted.asked)
        counted.asked.clear()
        for _ in range(kills):
            with started("build", "mis", "--config", config, "--out", killed) as process:
                counted.await_calls(rng.randrange(10, len(once) // kills))
                process.send_signal(signal.SIGKILL)
                process.wait()
        ended = harness("build", "mis", "--config", config, "--out", killed)
        assert ended.code == 0, ended.err
    repeated = counted.asked - once
    assert set(counted.asked) == set(once)
    # two servers, and what had come home and was not written down yet
    assert repeated.total() <= kills * 3 * AT_ONCE, "more than was on its way was asked again"
    assert contents(killed) == contents(whole)
