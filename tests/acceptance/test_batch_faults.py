"""What goes wrong with a batch, and what a vendor says that cannot be right: no answer is lost, none is paid twice."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.http.batching import BatchLimits
from harness.testing import faults
from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance import commands, upstream
from tests.acceptance.batched import (
    ANTHROPIC,
    GEMINI,
    OPENAI,
    Vendor,
    World,
    assert_as_live,
    every_vendor,
    opened,
    read,
)

pytestmark = pytest.mark.usefixtures("quick_batches")

# ---- what goes wrong with a batch ----------------------------------------------------------------------------------


@every_vendor
def test_what_expired_is_asked_again_and_nothing_else(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        seen = Counter[str]()

        def expire(name: str, _: bytes) -> Any:
            seen[name] += 1
            return "expired" if seen[name] == 1 and int(name[0], 16) < 8 else "answered"

        world.server.fate = expire
        world.finish("run")
        assert max(seen.values()) == 2
        assert max(world.server.paid.values()) == 1
        assert_as_live(world, "run")


@every_vendor
def test_torn_and_garbled_lines_are_tries_like_a_live_answer_of_that_kind(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        seen = Counter[str]()
        fates = {"0": "torn", "1": "torn", "2": "garbled", "3": "garbled", "4": "missing", "5": "missing"}

        def spoil(name: str, body: bytes) -> Any:
            asked = re.sub(rb"\b[0-9a-f]{16}\b", b"", body).decode()  # a judge's marker is drawn anew each time
            seen[asked] += 1
            return fates.get(name[0], "answered") if seen[asked] == 1 else "answered"

        world.server.fate = spoil
        world.finish("run", most=20)
        assert_as_live(world, "run")


@every_vendor
def test_a_request_that_never_gets_a_result_ends_as_an_error_and_the_run_ends(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        world.server.looks = 0
        world.server.fate = lambda name, _: "missing" if name[0] in "01234567" else "answered"
        assert world.finish("run", most=30)[-1] in (0, 3)
        lines = read(tmp_path / "run" / "mis" / "responses.jsonl")
        lost = [line for line in lines if line.get("reason") == "no_batch_result"]
        assert lost
        assert {line["outcome"] for line in lost} == {"error"}


@every_vendor
def test_results_that_vanished_are_named_and_asked_again(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        world.server.vanished = {"batch_1"}
        codes, said = [], ""
        while not codes or codes[-1] == 3:
            ended = commands.harness_here(*world.words("run", "--batch"))
            codes, said = [*codes, ended.code], said + ended.err
        assert "batch_1 (" in said
        assert "its results are gone" in said
        assert_as_live(world, "run")


def test_a_result_file_of_google_that_is_too_large_is_read_no_further_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(GEMINI, tmp_path) as world:
        world.server.looks = 0
        assert commands.harness_here(*world.words("run", "--batch")).code == 3
        with monkeypatch.context() as small:
            small.setattr("harness_gemini.batches.RESULTS_LIMIT", 1 << 10)
            ended = commands.harness_here(*world.words("run", "--batch"))
        assert ended.code == 2
        assert "the file is larger than 0.000976562 MiB, and no more is read of one" in ended.err
        assert world.finish("run")[-1] == 0
        assert max(world.server.paid.values()) == 1


def test_a_batch_that_is_refused_ends_the_run_with_the_reason_and_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        reasons = {
            "batch_1": ("invalid_json_line", "This line is not parseable"),
            "batch_2": ("token_limit_exceeded", "full"),
        }
        world.server.refuse = lambda batch: reasons.get(batch.id)
        assert commands.harness_here(*world.words("run", "--batch")).code == 3
        ended = commands.harness_here(*world.words("run", "--batch"))
        assert ended.code == 2
        assert "batch_1 was refused: invalid_json_line: This line is not parseable (line 1)" in ended.err
        world.finish("run")
        assert len(world.server.batches) == 4
        assert_as_live(world, "run")


@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=lambda vendor: vendor.scheme)
def test_a_batch_whose_answer_got_lost_is_found_and_not_made_twice(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        world.server.lost_answers = 1
        world.finish("run")
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")


def test_a_parameter_that_a_batch_refuses_is_left_out_in_the_next_and_no_answer_is_lost(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:

        def play(call: Call) -> str | Reply:
            asked = call.path == "batch" and call.model == "subject" and "temperature" in call.parameters
            if asked and int(world.server.question(call)[0], 16) < 8:
                return faults.error(400, "Unsupported parameter: 'temperature' is not supported with this model.")
            return world.play(call)

        world.server.play = play
        world.finish("run")
        assert max(world.server.paid.values()) == 1
        lines = read(tmp_path / "run" / "mis" / "responses.jsonl")
        assert {line["outcome"] for line in lines} <= {"answered", "empty", "input_blocked", "output_blocked"}
        run = json.loads((tmp_path / "run" / "run.json").read_text())
        assert {split["generation"]["temperature"] for split in run["tasks"]["mis"]["splits"].values()} == {None}


@every_vendor
def test_errors_of_single_requests_have_their_live_outcomes_and_are_tried_as_often(
    vendor: Vendor, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        server = world.server
        failing: set[str] = set()

        def play(call: Call) -> str | Reply:
            if call.model == "subject" and call.path == "batch" and int(server.question(call)[0], 16) < 6:
                failing.add(server.question(call))
                return server.make_error(400 if int(server.question(call)[0], 16) < 3 else 500, "it does not like this")
            return world.play(call)

        server.play = play
        server.looks = 0
        world.finish("run", most=20)
        errors = [line for line in read(tmp_path / "run" / "mis" / "responses.jsonl") if line["outcome"] == "error"]
        assert len(errors) == len(failing) > 0
        assert {line["reason"] for line in errors} <= {"http_400", "http_500"}
        assert len({(line["split"], line["id"]) for line in errors}) == len(errors)
        server.play = world.play
        world.finish("run")  # a new cycle tries errors again, as a live run that is resumed
        assert_resolved(world, "run")


def assert_resolved(world: World, name: str) -> None:
    for split in ("easy", "hard", "real"):
        assert {item.outcome for item in upstream.items(world.folder / name / "mis", split)} <= {
            "answered", "empty", "input_blocked", "output_blocked",
        }  # fmt: skip


# ---- what a provider says that cannot be right -----------------------------------------------------------------------


def put_id(said: dict[str, Any], found: Any) -> dict[str, Any]:
    """What is said of a batch, with another id in it."""
    if "metadata" in said and "displayName" in said["metadata"]:
        return {**said, "name": found, "metadata": {**said["metadata"], "name": found}}
    return {**said, "id": found}


def put_state(said: dict[str, Any], state: Any) -> dict[str, Any]:
    if "displayName" in said.get("metadata", {}):
        return {**said, "metadata": {**said["metadata"], "state": state}}
    return {**said, "processing_status" if "processing_status" in said else "status": state}


def refuse(world: World) -> str:
    """What the command says when it cannot go on; it never looks like a bug."""
    ended = commands.harness_here(*world.words("run", "--batch"))
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert "this is a bug" not in ended.err
    assert "batches and their answers are kept" in ended.err
    return " ".join(ended.err.split())


@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=lambda vendor: vendor.scheme)
def test_counts_that_cannot_be_right_change_nothing(vendor: Vendor, tmp_path: Path) -> None:
    names = ("total", "completed", "failed", "processing", "succeeded", "errored", "canceled", "expired")
    odd: Iterator[Any] = itertools.cycle([-5, 10**30, "7", None, 2.5, [1], {"a": 1}, True])
    with opened(vendor, tmp_path) as world:
        world.server.looks = 6
        shown = 0

        def show(said: dict[str, Any]) -> dict[str, Any]:
            nonlocal shown
            shown += 1
            return {**said, "request_counts": dict.fromkeys(names, next(odd)) if shown % 3 else "nonsense"}

        world.server.show = show
        assert world.finish("run", "--wait") == [0]
        assert shown >= 12
        for event in read(tmp_path / "run" / "batches.jsonl"):
            assert 0 <= event.get("done", 0) <= 12
        assert_as_live(world, "run")


@pytest.mark.slow
@every_vendor
@pytest.mark.parametrize("odd", ["another", "state", "list", "nothing"])
def test_an_answer_about_a_batch_that_cannot_be_right_is_a_sentence_and_the_next_command_goes_on(
    odd: str, vendor: Vendor, tmp_path: Path
) -> None:
    changes: dict[str, Callable[[dict[str, Any]], Any]] = {
        "another": lambda said: put_id(said, "batches/batch_99"),
        "state": lambda said: put_state(said, "BATCH_STATE_DREAMING\x1b[31m" * 90),
        "list": lambda said: [said],
        "nothing": lambda _: {},
    }
    with opened(vendor, tmp_path) as world:
        world.server.looks = 0
        assert commands.harness_here(*world.words("run", "--batch")).code == 3
        world.server.show = changes[odd]
        said = refuse(world)
        assert "cannot be read: " in said
        assert "\x1b" not in said
        assert len(said) < 2000
        world.server.show = lambda each: each
        assert world.finish("run")[-1] == 0
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")


@every_vendor
@pytest.mark.parametrize("odd", [None, "a\nb"], ids=repr)
def test_a_batch_that_is_made_without_a_usable_id_is_found_and_not_made_twice(
    odd: Any, vendor: Vendor, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:

        def show(said: dict[str, Any]) -> dict[str, Any]:
            if world.server.steps[-1] == "created":
                world.server.steps.append("shown")
                return put_id(said, odd)
            return said

        world.server.show = show
        assert world.finish("run")[-1] == 0
        assert world.server.steps.count("shown") == 2
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")


@every_vendor
def test_an_id_that_another_batch_has_is_not_taken_and_the_batch_is_found(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = vendor.limits.rpartition(".")
    monkeypatch.setattr(
        getattr(__import__(module, fromlist=[name]), name), "limits", BatchLimits(requests=7, bytes=200_000_000)
    )
    with opened(vendor, tmp_path) as world:
        first = "batches/batch_1" if vendor is GEMINI else "batch_1"

        def show(said: dict[str, Any]) -> dict[str, Any]:
            if world.server.steps[-1] == "created":
                world.server.steps.append("shown")
                return put_id(said, first)
            return said

        world.server.show = show
        assert world.finish("run")[-1] == 0
        assert len(world.server.batches) == 4
        assert max(world.server.paid.values()) == 1
        assert_as_live(world, "run")


@every_vendor
def test_lines_that_are_doubled_foreign_or_no_results_change_nothing(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:

        def write(lines: list[bytes]) -> list[bytes]:
            key = "key" if vendor is GEMINI else "custom_id"
            doubled = [line.replace(b'"content"', b'"contents"') for line in lines]
            others = [{**json.loads(line), key: f"{number:060x}"} for number, line in enumerate(lines)]
            foreign = [json.dumps(other).encode() + b"\n" for other in others]
            odd = [
                b"1" * 5000 + b"\n",
                b"null\n",
                b"[[[\n",
                b"{}\n",
                b'{"%s": 5}\n' % key.encode(),
                b"[" * 5000 + b"\n",
            ]
            return [*odd, *foreign, *lines, *doubled, *foreign]

        world.server.write = write
        assert world.finish("run")[-1] == 0
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")


def test_a_list_of_batches_that_cannot_be_read_leaves_the_batch_to_the_next_command(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        world.server.lost_answers = 1
        world.server.show = lambda said: {**said, "metadata": "nonsense", "created_at": "now"}
        assert "the list of batches cannot be read: " in refuse(world)
        world.server.show = lambda said: said
        assert world.finish("run")[-1] == 0
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")
