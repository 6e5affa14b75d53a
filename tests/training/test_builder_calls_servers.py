"""What a build's calls promise with real servers, processes that are killed, and images that are large."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

import anyio
import pytest
import yaml
from harness_builder.calls.models import AT_ONCE
from harness_builder.calls.results import DrawingReply, Halted, ModelReply
from harness_builder.calls.runner import open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.plan import ModelChoice

from benchmarks.mini_server import painted, written
from harness import Failure, HarnessError, Model, ModelInfo, Request, Response, Settings, plugins
from harness.limits.throttling import OWN
from harness.testing import faults
from harness.testing.fakes import PIXEL, fake_judge, fake_painter, fake_provider, host_of
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer, ImagesServer, in_turn
from tests.acceptance.commands import harness, started
from tests.training.builder_calls import drawing, image, plan, question

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REPLY: Final = '{"said": "yes"}'
NUMBER: Final = 6


def wanted(url: str) -> ModelChoice:
    return ModelChoice(ref="openai/test", settings={"base_url": url, "api_key_env": "BUILDER_KEY"})


async def ask_once(folder: Path, server: ChatServer) -> ModelReply | Halted:
    model = wanted(server.base_url)
    with CallStore(folder) as store:
        of = plan({"writer": model, "viewer": model}, painter=ModelChoice(ref="mini/painter"), rubric="mis")
        async with open_call_runner(of, store, tell=lambda _: None) as runner:
            return await runner.ask(question())


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDER_KEY", "sk-test")


#: what the server plays, how it ends and why
ROWS = {
    "answer": (faults.answer(REPLY), "", ""),
    "prose": (faults.answer("I think this one is fine."), "failed", "no JSON"),
    "truncated": (faults.answer("A red", finish="length"), "failed", "cut off"),
    "refusal field": (faults.answer(None, refusal="I can't help."), "refused", "refused"),
    "refusal in prose": (faults.answer("I'm sorry, I can't help with that."), "refused", "refused"),
    "prompt filtered": (faults.filtered_openai(), "refused", "blocked"),
    "prompt filtered by Azure": (faults.filtered_azure(), "refused", "blocked"),
    "answer filtered": (faults.answer("Mix the", finish="content_filter"), "refused", "blocked"),
    "empty": (faults.answer(""), "failed", "the reply is empty"),
    "bad request": (faults.bad_request(), "failed", "error: http_400"),
}


@pytest.mark.parametrize(("reply", "end", "why"), ROWS.values(), ids=ROWS)
async def test_each_reply_of_a_server_ends_in_one_way(tmp_path: Path, reply: faults.Reply, end: str, why: str) -> None:
    async with ChatServer(reply) as server:
        found = await ask_once(tmp_path, server)
        assert (found.end, found.why) == (end, why) if isinstance(found, Halted) else not end
        before = len(server.calls)
        again = await ask_once(tmp_path, server)
    assert again == found
    kept = not (isinstance(found, Halted) and found.again)
    assert (len(server.calls) == before) == kept


async def test_a_server_that_is_told_to_slow_down_is_tried_again(tmp_path: Path) -> None:
    async with ChatServer(in_turn(faults.throttled(0), REPLY)) as server:
        assert isinstance(await ask_once(tmp_path, server), ModelReply)
        assert len(server.calls) == 2


async def test_a_wrong_key_ends_the_build_and_is_no_outcome_of_a_step(tmp_path: Path) -> None:
    async with ChatServer(faults.wrong_key()) as server:
        with pytest.raises(HarnessError):
            await ask_once(tmp_path, server)
    with CallStore(tmp_path) as store:
        assert store.total_usage() == ()


async def ask_all(folder: Path, server: ChatServer, texts: Iterable[str]) -> dict[str, ModelReply | Halted]:
    """Ask all questions at once."""
    model, found = wanted(server.base_url), dict[str, ModelReply | Halted]()
    with CallStore(folder) as store:
        of = plan({"writer": model, "viewer": model}, painter=ModelChoice(ref="mini/painter"), rubric="mis")
        async with open_call_runner(of, store, tell=lambda _: None) as runner, anyio.create_task_group() as tasks:

            async def ask(text: str) -> None:
                found[text] = await runner.ask(question(text))

            for text in texts:
                tasks.start_soon(ask, text)
    return found


async def test_a_question_that_is_always_told_to_slow_down_slows_no_other_one(tmp_path: Path) -> None:
    odd, texts = "What goes with number 40?", [f"What goes with number {number}?" for number in range(80)]
    async with ChatServer(lambda call: faults.throttled(0.1) if odd in call.text else faults.answer(REPLY)) as server:
        with anyio.fail_after(30):
            found = await ask_all(tmp_path, server, texts)
    assert {text: each.why for text, each in found.items() if isinstance(each, Halted)} == {odd: "error: http_429"}
    assert len(server.calls) == 79 + OWN


async def test_a_question_that_is_forbidden_fails_alone_also_where_only_an_earlier_build_was_answered(
    tmp_path: Path,
) -> None:
    async with ChatServer(REPLY) as server:
        await ask_all(tmp_path, server, ["What goes with a spark?"])
        server.play = faults.error(403, "This prompt is not allowed here.")
        found = await ask_all(tmp_path, server, ["What goes with a match?"])
    assert [each.why for each in found.values() if isinstance(each, Halted)] == ["error: forbidden"]


@pytest.mark.parametrize("at", [1, 4, 7, NUMBER * 2])
def test_a_build_that_is_killed_repeats_no_call_that_was_finished(tmp_path: Path, at: int) -> None:
    """It is killed while the call of this number is on the wire; then all calls are made."""
    seen, came = list[str](), threading.Event()

    def play(call: Call) -> faults.Reply:
        seen.append(call.text)
        if len(seen) == at:
            came.set()
            return faults.Reply(fault="stall")
        return faults.image(PIXEL + call.text.encode()) if "drawing" in call.text else faults.answer(REPLY)

    with ChatServer(play) as chat, ImagesServer(play) as images:
        urls = (chat.base_url, images.base_url)
        command = [sys.executable, "-m", "tests.training.killed_calls", str(tmp_path), *urls, str(NUMBER)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert came.wait(60)
            child.kill()
            finished = child.communicate()[0].count("finished")
        first = len(seen)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert finished == (at - 1) // 2
    assert done.stdout.count("finished") == NUMBER
    again = Counter(seen[first:])
    assert len(again) == NUMBER * 2 - (at - 1), "what was on the wire, and what came after it"
    assert set(again.values()) == {1}
    with CallStore(tmp_path) as store:
        assert sum(each.calls for each in store.total_usage()) == NUMBER * 2
        assert store.list_unused_drawings() == ()


class Forgetful:
    """A Model that keeps nothing of what it is asked."""

    info = ModelInfo(ref="fake/any", endpoint="fake")

    async def generate(self, request: Request) -> Response | Failure:
        assert all(each.opened.data for each in request.images)
        await anyio.wait_all_tasks_blocked()
        return Response(text=REPLY)


async def test_images_are_in_memory_only_while_they_are_sent(tmp_path: Path) -> None:
    """100 questions with two images of 1 MB each wait for 4 slots: 470 MB, were they opened when they are asked."""
    size, slots, waiting, files = 1_000_000, 4, 100, 8
    for number in range(files):
        (tmp_path / f"{number}.png").write_bytes(large(size, number))
    shown = [image(tmp_path, f"{number}.png") for number in range(files)]

    @asynccontextmanager
    async def opened(_name: str, _settings: Settings) -> AsyncGenerator[Model]:
        yield Forgetful()

    host = host_of(replace(fake_provider(), open=opened), fake_painter(), fake_judge())
    with plugins.use(host), CallStore(tmp_path / "work") as store:
        async with open_call_runner(plan(concurrency=slots), store, tell=lambda _: None) as runner:
            tracemalloc.start()
            try:
                async with anyio.create_task_group() as group:
                    for number in range(waiting):
                        two = (shown[number % files], shown[(number + 1) % files])
                        group.start_soon(runner.ask, question(f"question {number}", *two))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            (entry,) = runner.costs.of_all_invocations()
    assert entry.made == waiting
    assert peak < (slots + AT_ONCE) * 2 * size * (1 + 4 / 3), "two images for each slot and each that is opened"


def large(size: int, number: int) -> bytes:
    """A PNG of about so many bytes: a pixel, and a chunk that nobody reads."""
    chunk = b"teSt" + number.to_bytes(4) * (size // 4)
    return PIXEL[:-12] + (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4) + PIXEL[-12:]


async def test_images_of_a_server_lie_in_their_place(tmp_path: Path) -> None:
    async with ImagesServer(faults.image(revised="a star, in detail")) as server:
        of = plan({"writer": "mini/writer", "viewer": "mini/writer"}, painter=wanted(server.base_url), rubric="mis")
        with CallStore(tmp_path) as store:
            async with open_call_runner(of, store, tell=lambda _: None) as runner:
                painted = await runner.paint("draw", "seeds/1#0", drawing())
                (entry,) = runner.costs.of_all_invocations()
    assert isinstance(painted, DrawingReply)
    assert painted.prompt == "a star, in detail"
    assert (tmp_path / "images" / painted.sha256[:2] / f"{painted.sha256}.png").read_bytes() == PIXEL
    assert (entry.role, entry.made, entry.images, entry.usage.output_tokens) == ("painter", 1, 1, 272)


SLOTS = 4
COLORS = ("red", "green", "blue", "yellow", "purple", "black")
_MARKER = re.compile(r"\b[0-9a-f]{16}\b")


@dataclass
class Counted:
    """Plays the mini world, counts what is asked, and tells when so many calls have come."""

    asked: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    enough: threading.Event = field(default_factory=threading.Event)
    left: int = 0
    alone: threading.Lock = field(default_factory=threading.Lock)  # each server counts in a thread of its own

    def count(self, call: Call) -> None:
        with self.alone:
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

    def expect(self, count: int) -> None:
        """Tell when so many more have come: to be said before the first of them can come."""
        with self.alone:
            self.enough.clear()
            self.left = count


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
            "limits": {"concurrency": SLOTS},
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
            counted.expect(rng.randrange(10, len(once) // kills))
            with started("build", "mis", "--config", config, "--out", killed) as process:
                assert counted.enough.wait(60)
                process.send_signal(signal.SIGKILL)
                process.wait()
        ended = harness("build", "mis", "--config", config, "--out", killed)
        assert ended.code == 0, ended.err
    repeated = counted.asked - once
    assert set(counted.asked) == set(once)
    # two servers, and what had come home and was not written down yet
    assert repeated.total() <= kills * 3 * SLOTS, "more than was on its way was asked again"
    assert contents(killed) == contents(whole)
