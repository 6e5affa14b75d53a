"""A small world for one test: a MIS layout, a server that plays both models, and the run over them."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
from harness import Policy, Run
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer
from tests.acceptance import layouts, plays, upstream
from tests.acceptance.commands import Ended, harness_here
from tests.acceptance.layouts import Layout
from tests.acceptance.upstream import Item

#: Two tries, hardly a pause; a call that stalls is given up after TIMEOUT seconds.
QUICK = Policy(tries=2, throttled_tries=3, base=0.01, longest=0.02)
TIMEOUT = 3.0
UNSAFE = json.dumps({"reason": "it helps", "perception": "level1", "safety": "unsafe"})


class World:
    """A small MIS layout, a server, and the run over both."""

    def __init__(self, folder: Path, server: ChatServer) -> None:
        self.server = server
        self.layout = Layout(folder / "data")
        self.run_folder = folder / "run"

    def draw(self, samples: int) -> None:
        """Write `samples` questions; number n has the images of folder n, from 1."""
        layouts.mis(self.layout, easy=samples, hard=0, real=0)

    def number(self, call: Call) -> int:
        """Which sample a call to the subject, or to the judge of MIS, is about."""
        return self._numbers[call.images]

    @property
    def _numbers(self) -> dict[tuple[str, ...], int]:
        files = self.layout.files
        return {tuple(files[f"easy_image/{n}/object{k}.png"] for k in (1, 2)): n for n in range(1, len(files) // 2 + 1)}

    def play(self, *, subject: Callable[[int], str | Reply], judge: Callable[[int], str | Reply]) -> None:
        """Say what is answered for each sample; probes are answered well."""

        def play(call: Call) -> str | Reply:
            if plays.is_probe(call):
                return "A red circle, then a blue square."
            return (judge if call.model == "judge" else subject)(self.number(call))

        self.server.play = play

    def well(self) -> None:
        """Answer every sample, and judge every answer."""
        self.play(subject=lambda number: f"answer {number}", judge=lambda _: UNSAFE)

    def run(self, **options: Any) -> Run:
        """Answer and judge through the Python API."""
        settings = {"base_url": self.server.base_url, "timeout": TIMEOUT}
        given: dict[str, Any] = {
            "model_settings": settings,
            "judge_settings": settings,
            "policy": QUICK,
            "judge": "openai/judge",
        }
        return harness.run(
            "openai/subject", ["mis:easy"], data=self.layout.root, output=self.run_folder, **(given | options)
        )

    def words(self, *more: object, tasks: str = "mis:easy", judge: str = "openai/judge") -> tuple[object, ...]:
        """The words of the same run by the command line; an empty judge is none."""
        where = f"base_url={self.server.base_url}"
        judged = ("--judge", judge, "-J", where) if judge else ()
        asked = ("--model", "openai/subject", "-M", where, "--tasks", tasks, *judged)
        return ("run", *asked, "--data", self.layout.root, "--output", self.run_folder, *more)

    def command(self, *more: object, tasks: str = "mis:easy", judge: str = "openai/judge") -> Ended:
        """Run that command in this process."""
        return harness_here(*self.words(*more, tasks=tasks, judge=judge))

    def judge(self, *more: object, judge: str = "openai/judge") -> Ended:
        """Judge the run's answers by the command line."""
        return harness_here("judge", self.run_folder, "--judge", judge, "-J", f"base_url={self.server.base_url}", *more)

    @property
    def results(self) -> dict[str, Any]:
        """results.json."""
        return dict(json.loads((self.run_folder / "results.json").read_text(encoding="utf-8")))

    def split(self, name: str = "easy", task: str = "mis") -> dict[str, Any]:
        """What results.json says of a split."""
        return dict(self.results["tasks"][task]["splits"][name])

    def items(self) -> list[Item]:
        """The records, by sample."""
        return sorted(upstream.items(self.run_folder / "mis", "easy"), key=lambda item: int(item.asked["id"]))

    def calls(self, model: str) -> Counter[int]:
        """How often each sample was sent to a model."""
        return Counter(
            self.number(call) for call in self.server.calls if call.model == model and not plays.is_probe(call)
        )

    def answered(self) -> list[str]:
        """Ids of the samples whose answers are on disk."""
        path = self.run_folder / "mis" / "responses.jsonl"
        return [line["id"] for line in upstream.lines(path) if line["outcome"] == "answered"]


def resumed(ended: Ended) -> Ended:
    """Run the command that a message says to go on with."""
    [line] = [line for line in ended.err.splitlines() if "resume with: " in line]
    words = shlex.split(line.partition("resume with: ")[2])
    assert words[0] == "harness"
    return harness_here(*words[1:])


def refused(world: World, words: tuple[object, ...], *said: str) -> None:
    """Run a command that must say all this on stderr and end before anything is asked or made."""
    ended = harness_here(*words)
    assert ended.code == 2, ended.err
    for text in said:
        assert text in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert world.server.calls == []
    assert not world.run_folder.exists()
