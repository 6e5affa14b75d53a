"""Dialogues end to end: against a server that speaks OpenAI's form, with a real model, killed, in batches, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from harness_view.index import RunIndex

from harness.batches import queue as queues
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer
from tests.acceptance import commands, plays
from tests.batching import OpenAIBatchServer

TASK = "mtmcs:mini"


def play(call: Call) -> str | Reply:
    """A subject that numbers its replies, and a judge that gives a 4."""
    if plays.is_probe(call):
        return plays.both(call)
    if call.model == "judge":
        return json.dumps({"reason": "fine", "score": 4})
    replies = sum(part.role == "assistant" for part in call.parts)
    return f"Reply {replies + 1} to {call.parts[-1].value[:20]}"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(play) as server:
        yield server


def words(server: Any, folder: Path, *more: object, task: str = TASK) -> tuple[object, ...]:
    where = f"base_url={server.base_url}"
    models = ("--model", "openai/subject", "--judge", "mtmcs=openai/judge", "-M", where, "-J", where)
    return ("run", "--tasks", task, *models, "--output", folder, *more)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def asked(server: Any) -> list[Call]:
    return [call for call in server.calls if call.model == "subject" and not plays.is_probe(call)]


def test_each_turn_goes_out_with_the_image_and_the_replies_before_it(server: ChatServer, tmp_path: Path) -> None:
    run = commands.harness_here(*words(server, tmp_path / "run"))
    assert run.code == 0, run.err
    last = max(asked(server), key=lambda call: len(call.parts))
    assert [(part.role, part.kind) for part in last.parts] == [
        ("user", "image"), ("user", "text"), ("assistant", "text"), ("user", "text"), ("assistant", "text"),
        ("user", "text"),
    ]  # fmt: skip
    assert last.parts[2].value == "Reply 1 to What is this?"
    lines = read(tmp_path / "run" / "mtmcs" / "responses.jsonl")
    assert [(line["calls"], line["text"][:7]) for line in lines] == [(3, "Reply 3")] * 4
    assert all(line["usage"]["input_tokens"] == 3 * 12 for line in lines), "the server counts 12 a call"


def test_the_judge_is_sent_the_conversation_and_the_viewer_builds_its_prompt_again(
    server: ChatServer, tmp_path: Path
) -> None:
    assert commands.harness_here(*words(server, tmp_path / "run")).code == 0
    judged = [call for call in server.calls if call.model == "judge" and not plays.is_probe(call)]
    assert len(judged) == 4
    assert all("The model replies:\n| Reply 1 to" in call.text for call in judged)
    shown = commands.harness_here("show", tmp_path / "run", "mtmcs/mini/0", "--reveal")
    assert shown.code == 0, shown.err
    for text in ("turn 1, user", "turn 1, reply", "turn 3, user", "Reply 3 to"):
        assert text in shown.out
    index = RunIndex(tmp_path / "run", "run", "reveal")
    try:
        index.advance(100)
        (judge,) = index.find_item("mtmcs/mini/0#0")["judges"]
        found = index.build_prompt("mtmcs/mini/0#0", judge["judge"])
    finally:
        index.close()
    assert found["why"] == ""


def test_a_second_run_asks_nothing(server: ChatServer, tmp_path: Path) -> None:
    assert commands.harness_here(*words(server, tmp_path / "run")).code == 0
    before = len(asked(server))
    again = commands.harness_here(*words(server, tmp_path / "run"))
    assert (again.code, len(asked(server)) - before) == (0, 0)


def test_verify_a_redacted_export_and_an_inspect_log_hold_a_dialogue(server: ChatServer, tmp_path: Path) -> None:
    assert commands.harness_here(*words(server, tmp_path / "run")).code == 0
    assert commands.harness_here("verify", tmp_path / "run").code == 0
    exported = commands.harness_here("export", tmp_path / "run", "--output", tmp_path / "out.zip")
    assert exported.code == 0, exported.err
    with ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (path.parent for path in (tmp_path / "out").rglob("run.json"))
    checked = commands.harness_here("verify", folder)
    assert checked.code == 0, checked.err + checked.out
    line = read(folder / "mtmcs" / "responses.jsonl")[0]
    assert list(line["steps"]) == ["turn-1", "turn-2"]
    assert [part.get("turn") for part in line["prompt"]] == [None, None, 1, None, 2, None]
    assert "Reply" not in json.dumps(line)
    log = commands.harness_here(
        "report", tmp_path / "run", "--format", "inspect", "--reveal", "--output", tmp_path / "logs"
    )
    assert log.code == 0, log.err


def test_rounds_of_batches_end_as_a_live_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(queues, "FIRST_SECONDS", 0.02)
    with OpenAIBatchServer() as server:
        server.play = play
        ended = commands.harness_here(*words(server, tmp_path / "batch", "--batch", "--wait"))
        assert ended.code == 0, ended.err
        assert [len(batch.requests) for batch in server.batches.values()] == [4, 4, 4, 4], "three turns and a verdict"
        assert max(Counter(server.paid).values()) == 1
        assert commands.harness_here(*words(server, tmp_path / "live")).code == 0
    for name in ("responses.jsonl", "asked.jsonl"):
        batch, live = (sorted(map(bare, read(tmp_path / run / "mtmcs" / name))) for run in ("batch", "live"))
        assert batch == live


def bare(line: dict[str, Any]) -> str:
    usage = {name: value for name, value in line.get("usage", {}).items() if name != "batch"}
    return json.dumps({**{key: line[key] for key in line if key not in ("at", "seconds")}, "usage": usage})


def test_after_a_kill_no_finished_dialogue_is_asked_again_and_a_half_one_from_its_first_turn(tmp_path: Path) -> None:
    hold = tmp_path / "held"

    def slow(call: Call) -> str | Reply:
        if call.model == "subject" and not plays.is_probe(call) and len(call.parts) > 2 and hold.exists():
            wait_for(lambda: not hold.exists())  # a dialogue stands in its second turn when the process is killed
        return play(call)

    with ChatServer(slow) as server:
        command = [sys.executable, "-m", "harness", *map(str, words(server, tmp_path / "run", "--concurrency", 1))]
        journal = tmp_path / "run" / "mtmcs" / "responses.jsonl"
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 1)
            hold.touch()
            finished = journal.read_bytes().count(b"\n")
            wait_for(lambda: len(asked(server)) > 3 * finished + 1 or child.poll() is not None)
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            hold.unlink(missing_ok=True)
            child.wait()
        hold.unlink(missing_ok=True)
        done = {line["id"] for line in read(journal)}
        before = len(server.calls)
        assert commands.harness_here(*words(server, tmp_path / "run")).code == 0
        new = [call for call in asked(server) if call in server.calls[before:]]
    assert done
    assert len(new) == 3 * (4 - len(done)), "what was finished is not asked, and the rest from its first turn"
    assert Counter(line["id"] for line in read(journal)) == dict.fromkeys("0123", 1)


def wait_for(done: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_runs_whose_replies_differ_were_asked_the_same(tmp_path: Path) -> None:
    def other(call: Call) -> str | Reply:
        said = play(call)
        return said.upper() if isinstance(said, str) and call.model == "subject" else said

    for name, how in (("a", play), ("b", other)):
        with ChatServer(how) as server:
            more = ("--limit", 3) if name == "a" else ()
            assert commands.harness_here(*words(server, tmp_path / name, *more)).code == 0
    compared = commands.harness_here("compare", tmp_path / "a", tmp_path / "b")
    assert "what was asked" not in compared.out + compared.err


def test_a_real_model_answers_turn_by_turn_with_given_replies_and_images(tmp_path: Path) -> None:
    run = commands.harness_here("run", "--model", "mini/base", "--tasks", "mtmcs:mini,visco:mini", "--output", tmp_path)
    assert run.code == 0, run.err
    assert all(
        line["outcome"] == "answered"
        for task in ("mtmcs", "visco")
        for line in read(tmp_path / task / "responses.jsonl")
    )
    roles = [[part["role"] for part in line["prompt"]] for line in read(tmp_path / "visco" / "responses.jsonl")]
    assert all("assistant" in each for each in roles)
