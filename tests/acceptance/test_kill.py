"""`kill -9` at any moment, and Ctrl-C: what was finished is never asked again, and the results are the same.

The command runs in a process of its own; the server in this one sees every request, so its log is the witness. Each
answer says how often it was asked for, so an answer that is asked for anew is another answer.
"""

from __future__ import annotations

import hashlib
import json
import random
import shlex
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer
from tests.acceptance import commands, layouts, plays, upstream
from tests.acceptance.layouts import Layout
from tests.acceptance.upstream import Line

pytestmark = pytest.mark.slow

MOMENTS = 10
PATIENCE = 60.0  #: seconds after which a test gives up waiting
TASKS = ("mis", "mssbench")

Shown = tuple[str, ...]  #: texts and hashes of images, in order
Finished = tuple[set[Shown], set[str]]  #: questions that were answered, cases that were judged


class Desk:
    """The server of both models, which says when it has seen so many calls."""

    def __init__(self, folder: Path, server: ChatServer) -> None:
        self.layout = Layout(folder / "data")
        layouts.mis(self.layout, easy=24, hard=12, real=8)
        layouts.mssbench(self.layout, chat=8, embodied=4)
        self.server = server
        self.stalled = threading.Event()
        self._asked = Counter[str]()
        self._reached = threading.Event()
        self._awaited = 0
        server.latency = 0.01
        server.play = self.play

    def play(self, call: Call) -> str | Reply:
        """The usual play; an answer counts how often it was asked for."""
        self._asked[call.digest] += 1
        if len(self.server.calls) >= self._awaited:
            self._reached.set()
        reply = plays.both(call)
        if call.model == "subject" and isinstance(reply, str):
            return f"{reply} [time {self._asked[call.digest]}]"
        return reply

    def expect(self, calls: int) -> None:
        """Count this many further calls from now."""
        self._reached.clear()
        self._awaited = len(self.server.calls) + calls

    def wait(self) -> None:
        """Until they have come."""
        assert self._reached.wait(PATIENCE), "the command did not ask enough"

    def words(self, output: Path) -> tuple[object, ...]:
        """The command's words."""
        where = f"base_url={self.server.base_url}"
        models = ("--model", "openai/subject", "--judge", "openai/judge", "-M", where, "-J", where, "--concurrency", 6)
        place = ("--data", self.layout.root, "--output", output, "--min-coverage", 0.5, "--no-probe")
        return ("run", "--tasks", ",".join(TASKS), *models, *place)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ChatServer() as server:
        yield Desk(tmp_path, server)


def whole(path: Path) -> list[Line]:
    """The whole lines of a file; none where it is not there yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def place(line: Line) -> tuple[Any, ...]:
    return line["split"], line["id"], line["epoch"], line["key"]


def answer(line: Line) -> str:
    """What ties a verdict to an answer."""
    return hashlib.sha256(line["text"].encode()).hexdigest()


def question(line: Line) -> Shown:
    """What a response line says was sent, as the server sees it."""
    return tuple(part.get("text") or part["sha256"] for part in line["prompt"])


def finished(folder: Path) -> Finished:
    """Questions whose answers are on disk, and cases whose verdicts on these answers are; errors are to be retried."""
    questions, cases = set[Shown](), set[str]()
    for task in TASKS:
        responses = {place(line): line for line in whole(folder / task / "responses.jsonl")}
        questions |= {question(line) for line in responses.values() if line["outcome"] != "error"}
        for path in (folder / task).glob("verdicts-*.jsonl"):
            for line in whole(path):
                judged = responses.get(place(line))
                if judged is not None and answer(judged) == line["answer"] and line["state"] != "judge_error":
                    cases.add(plays.case_in(judged["text"]))
    return questions, cases


def still(done: Finished, now: Finished) -> Finished:
    """What was finished and still is: a line that was torn off since may be asked for again."""
    return done[0] & now[0], done[1] & now[1]


def not_asked_again(calls: list[Call], done: Finished, digests: Mapping[Shown, str]) -> None:
    """Hold the log to what was finished before: by what was shown, and by the digest of the request's bytes."""
    questions, cases = done
    sent = [call for call in calls if call.model == "subject"]
    assert not questions & {tuple(part.value for part in call.parts) for call in sent}
    assert not {digests[each] for each in questions} & {call.digest for call in sent}
    assert not cases & {plays.case_of(call) for call in calls if call.model == "judge"}


def tear(folder: Path, chance: random.Random) -> None:
    """Cut the last line of one file somewhere, as a machine that loses power does."""
    written = [path for task in TASKS for path in (folder / task).glob("[rv]e*.jsonl") if path.stat().st_size]
    path = chance.choice(sorted(written))
    *_, last = path.read_bytes().splitlines(keepends=True)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - chance.randrange(1, len(last)))


def comparable(folder: Path) -> dict[str, Any]:
    """results.json without what differs between any two runs."""
    results = dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    for name in ("started", "finished", "wall_s", "command"):
        results.pop(name)
    return results


def killed(desk: Desk, folder: Path, calls: int) -> None:
    """Start the command, and kill it when the server has seen so many calls of it."""
    desk.expect(calls)
    with commands.started(*desk.words(folder)) as process:
        desk.wait()
        process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL, "it ended before it could be killed"


def test_a_run_killed_at_ten_moments_ends_like_one_that_was_left_alone(desk: Desk, tmp_path: Path) -> None:
    chance, folder, log = random.Random(2), tmp_path / "killed", desk.server.calls
    before: list[tuple[int, Finished]] = []
    for moment in range(MOMENTS):
        killed(desk, folder, chance.randrange(1, 32))
        if moment in (3, 6, 8):
            tear(folder, chance)
        before.append((len(log), finished(folder)))
        before = [(since, still(done, before[-1][1])) for since, done in before]
    assert commands.harness(*desk.words(folder)).code == 0
    digests = {tuple(part.value for part in call.parts): call.digest for call in log if call.model == "subject"}
    for since, done in before:
        not_asked_again(log[since:], done, digests)
    assert any(questions and cases for _, (questions, cases) in before)
    no_line_is_torn_and_no_verdict_is_on_another_answer(folder)
    undisturbed = tmp_path / "undisturbed"
    assert commands.harness(*desk.words(undisturbed)).code == 0
    assert comparable(folder) == comparable(undisturbed)


def no_line_is_torn_and_no_verdict_is_on_another_answer(folder: Path) -> None:
    for task in TASKS:
        answers = {(*place(line), answer(line)) for line in upstream.lines(folder / task / "responses.jsonl")}
        [verdicts] = (folder / task).glob("verdicts-*.jsonl")
        current = [item for split in _splits(task) for item in upstream.items(folder / task, split)]
        assert all(item.verdict is not None for item in current if item.outcome == "answered")
        lost = [line for line in upstream.lines(verdicts) if (*place(line), line["answer"]) not in answers]
        assert len(lost) <= 3, "only a verdict whose answer was torn off may be without one"


def _splits(task: str) -> tuple[str, ...]:
    return ("easy", "hard", "real") if task == "mis" else ("chat", "embodied")


def hint(err: str) -> list[str]:
    """The words of the command that goes on."""
    [line] = [line for line in err.splitlines() if "resume with: " in line]
    words = shlex.split(line.partition("resume with: ")[2])
    assert words[0] == "harness"
    return words[1:]


def test_ctrl_c_gives_calls_five_seconds_and_says_how_to_go_on(desk: Desk, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", desk.server.calls
    _stall_one(desk)
    desk.expect(35)
    with commands.started(*desk.words(folder)) as process:
        desk.wait()
        assert desk.stalled.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)  # the call that hangs would hold it for ever
    assert process.returncode == 130, err
    assert "5 s to finish" in err
    since, done = len(log), finished(folder)
    assert len(done[0]) > 10
    assert not (folder / "results.json").exists()
    desk.server.play = desk.play
    words = hint(err)
    assert words == [str(word) for word in desk.words(folder)]
    assert commands.harness_here(*words).code == 0
    not_asked_again(log[since:], done, dict.fromkeys(done[0], ""))
    no_line_is_torn_and_no_verdict_is_on_another_answer(folder)


def test_ctrl_c_twice_ends_now(desk: Desk, tmp_path: Path) -> None:
    _stall_one(desk)
    desk.expect(20)
    slowly = "from harness.cli import interrupt\ninterrupt.GRACE_SECONDS = 86400"
    with commands.started(*desk.words(tmp_path / "run"), before=slowly) as process:
        desk.wait()
        assert desk.stalled.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        _read_until("stopping: calls in flight have 86400 s", process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
    assert hint(err) == [str(word) for word in desk.words(tmp_path / "run")]


def _stall_one(desk: Desk) -> None:
    """The sixth question is never answered."""

    def play(call: Call) -> str | Reply:
        if call.model == "subject" and len(desk.server.calls) >= 6 and not desk.stalled.is_set():
            desk.stalled.set()
            return Reply(fault="stall")
        return desk.play(call)

    desk.server.play = play


def _read_until(word: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert any(word in line for line in process.stderr)
