"""Runs in batches: cycles from the first command to the results, against servers that speak the vendors' forms.

The vendors' own SDKs speak to them over HTTP. A live run against the same server is the measure: lines, keys, outcomes
and results.json are the same, apart from times and from what says that a batch was used.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.http.batching import BatchLimits
from harness.prices.book import PriceBook, read_prices
from harness.runs.costs import count_spent
from harness.store.folder import RunFolder
from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance import commands, plays
from tests.acceptance.batched import (
    ANTHROPIC,
    BOOT,
    OPENAI,
    PATIENCE,
    Vendor,
    World,
    assert_as_live,
    every_vendor,
    opened,
    read,
)

pytestmark = [pytest.mark.usefixtures("quick_batches"), pytest.mark.slow]

# ---- the whole cycle ----------------------------------------------------------------------------------------------


@every_vendor
def test_the_same_command_goes_on_until_a_batched_run_equals_a_live_one(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        assert world.finish("run") == [3, 3, 3, 3, 0]
        paid = Counter(world.server.paid)
        assert len(world.server.batches) == 2, "one of answers, one of verdicts"
        assert max(paid.values()) == 1, "the probes were asked once in the cycle, and all else once"
        assert_as_live(world, "run")
        assert all(line["usage"]["batch"] for line in world.lines("run") if line["usage"]["input_tokens"])


@every_vendor
def test_wait_goes_through_all_rounds_in_one_command(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        assert world.finish("run", "--wait") == [0]
        assert_as_live(world, "run")


@every_vendor
def test_a_pending_command_says_how_to_go_on_and_leaves_no_results(vendor: Vendor, tmp_path: Path) -> None:
    with opened(vendor, tmp_path) as world:
        ended = commands.harness_here(*world.words("run", "--batch"))
        assert ended.code == 3
        assert "pending: 1 batch with 12 requests not ended yet" in ended.err
        assert "resume with: harness run" in ended.err
        assert not (tmp_path / "run" / "results.json").exists()
        [history] = json.loads((tmp_path / "run" / "run.json").read_text())["history"]
        assert history["end"] == "pending"
        as_json = commands.harness_here(*world.words("run", "--batch", "--json"))
        assert json.loads(as_json.out)["pending"].startswith("1 batch")
        refused = commands.harness_here(*world.words("run"))
        assert refused.code == 2
        assert "this run has 1 batch whose answers are not collected yet" in refused.err
        assert "add --batch, which collects them" in refused.err


@every_vendor
def test_a_walk_is_cut_into_batches_that_the_api_takes(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = vendor.limits.rpartition(".")
    side = getattr(__import__(module, fromlist=[name]), name)
    with opened(vendor, tmp_path) as world:
        monkeypatch.setattr(side, "limits", BatchLimits(requests=5, bytes=200_000_000))
        world.finish("run")
        assert sorted(len(batch.requests) for batch in world.server.batches.values()) == [2, 5, 5, 5, 5]
        assert_as_live(world, "run")
        monkeypatch.setattr(side, "limits", BatchLimits(requests=5, bytes=600))
        ended = commands.harness_here(*world.words("small", "--batch", "--wait"))
        assert ended.code == 3
        reasons = {line.get("reason") for line in read(tmp_path / "small" / "mis" / "responses.jsonl")}
        assert reasons == {"too_large_for_batch"}
        message = read(tmp_path / "small" / "mis" / "responses.jsonl")[0]["message"]
        assert "its largest image, " in message
        assert "a run without --batch can ask it" in message


# ---- several calls for one sample ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=lambda vendor: vendor.scheme)
def test_a_strategy_of_several_steps_goes_round_by_round_and_each_step_is_paid_once(
    vendor: Vendor, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        more = ("--strategy", "ecso")
        world.finish("run", *more)
        assert max(world.server.paid.values()) == 1
        assert commands.harness_here(*world.words("live", *more)).code == 0
        assert_as_live(world, "run")
        lines = read(tmp_path / "run" / "mis" / "responses.jsonl")
        most = max(line["calls"] for line in lines)
        assert most >= 2
        assert len(world.server.batches) >= most, "each walk gets one call further"


@pytest.mark.parametrize(("name", "later"), [("smooth", 0), ("jailguard", 1)])
def test_copies_that_a_defence_asks_at_once_go_into_one_batch(name: str, later: int, tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        world.finish("plain")
        plain = len(world.server.batches)
        world.server.paid.clear()
        more = ("--strategy", name, "-S", "copies=3")
        world.finish("run", *more)
        assert len(world.server.batches) == 2 * plain + later
        assert max(world.server.paid.values()) == 1
        assert commands.harness_here(*world.words("live", *more)).code == 0
        assert_as_live(world, "run")
        assert {line["calls"] for line in read(tmp_path / "run" / "mis" / "responses.jsonl")} <= {3, 3 + later}


def test_a_killed_strategy_keeps_its_first_step(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        kill_at(world, "create", 2, "--strategy", "ecso")
        world.finish("run", "--strategy", "ecso")
        assert commands.harness_here(*world.words("live", "--strategy", "ecso")).code == 0
        assert_as_live(world, "run")


def test_judges_are_asked_in_batches_later_and_repeats_are_calls_of_their_own(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        assert commands.harness_here(*world.words("run")).code == 0
        made = len(world.server.batches)
        where = f"base_url={world.server.base_url}"
        words = ("judge", tmp_path / "run", "--judge", "openai/other", "-J", where, "--judge-repeat", 2, "--batch")
        world.server.play = lambda call: plays.judge(call) if call.model == "other" else world.play(call)
        codes = [commands.harness_here(*words).code for _ in range(2)]
        assert codes == [3, 3]
        assert commands.harness_here(*words, "--wait").code == 0
        [batch] = list(world.server.batches.values())[made:]
        answered = [
            line for line in read(tmp_path / "run" / "mis" / "responses.jsonl") if line["outcome"] == "answered"
        ]
        assert len(batch.requests) == 2 * len(answered)
        files = sorted((tmp_path / "run" / "mis").glob("verdicts-mis-openai-other-*.jsonl"))
        assert [len(read(path)) for path in files] == [len(answered)] * 2


def test_a_judge_that_cannot_be_read_is_asked_again_in_a_batch(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:

        def play(call: Call) -> str | Reply:
            if call.model == "judge" and not plays.is_probe(call) and not plays.is_repair(call):
                return "It looks fine to me."
            return plays.both(call)

        world.server.play = play
        world.finish("run")
        assert len(world.server.batches) == 3
        assert_as_live(world, "run")


def test_a_judge_without_batches_is_asked_live_and_that_is_said(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        words = [*world.words("run", "--batch", "--wait")]
        words[words.index("openai/judge")] = "mistral/judge"
        ended = commands.harness_here(*words)
        assert ended.code == 0, ended.err
        assert "judge mistral/judge is asked live: no batch API of it is known" in ended.err
        assert len(world.server.batches) == 1


WHOLE = """
from harness import Judge, Rubric, Verdict, hookimpl
from harness.testing.fakes import fake_sample


async def score(rows, folder, ask):
    for row in rows:
        reply = await ask(row.item, fake_sample("a", text=f"Is it safe? {row.response.text}").request)
        yield row.item, Verdict(label="safe" if reply.text else "unsafe", axes={"safe": 1.0, "effective": 1.0})


def open_rubric(settings, root):
    return Rubric(identity={}, labels=("safe", "unsafe"), score=score)


@hookimpl
def harness_judges():
    return [Judge(name="whole", version="1", description="all at once", open=open_rubric, needs=frozenset())]
"""


def test_a_rubric_that_scores_a_whole_split_is_asked_live_and_that_is_said_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(WHOLE)
    with opened(OPENAI, tmp_path) as world:
        prices = price(world)
        world.server.play = lambda call: "yes" if call.model == "judge" else world.play(call)
        words = [*world.words("run", "--batch", *prices, "--plugin", tmp_path / "whole.py")]
        words[words.index("openai/judge")] = "whole=openai/judge"
        note = "--batch: judge whole=openai/judge is asked live: its rubric scores all answers of a split at once"
        dry = commands.harness_here(*words, "--dry-run")
        assert note in " ".join((dry.out + dry.err).split())
        assert not world.server.calls
        ended = commands.harness_here(*words, "--wait")
        assert note in " ".join(ended.err.split()), ended.err
        assert ended.code == 0, ended.err
        [batch] = world.server.batches.values()
        assert len(batch.requests) == 12
        verdicts = [line for path in (tmp_path / "run" / "mis").glob("verdicts-*") for line in read(path)]
        answered = [line for line in world.lines("run") if line.get("outcome") == "answered"]
        assert len(verdicts) == len(answered) > 0
        assert not any(line["usage"].get("batch") for line in verdicts)
        assert [call.model for call in world.server.calls].count("judge") == len(answered)


def test_a_limit_needs_no_batch_rates_of_a_judge_that_is_asked_live(tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(WHOLE)
    with opened(OPENAI, tmp_path) as world:
        prices = price(world)
        world.server.play = lambda call: "yes" if call.model == "judge" else world.play(call)
        config = tmp_path / "harness.yaml"
        head, _, judge = config.read_text().partition("openai/judge")
        config.write_text(f"{head}openai/judge{judge.replace(', batch: {input: 1, output: 4}', '')}")
        words = [*world.words("run", "--batch", "--max-usd", 5, *prices, "--plugin", tmp_path / "whole.py")]
        refused = commands.harness_here(*words)
        assert "your price of openai/judge has no batch rates" in refused.err
        words[words.index("openai/judge")] = "whole=openai/judge"
        assert commands.harness_here(*words, "--wait").code == 0


def test_a_local_model_and_a_server_without_batches_are_refused_with_the_reason(tmp_path: Path) -> None:
    for model, why in (("mini/base", "run on this machine"), ("openrouter/x", "no batch API of it is known")):
        ended = commands.harness_here("run", "--model", model, "--tasks", "mis:mini", "--batch")
        assert ended.code == 2
        assert f"--batch: {model} cannot be asked in batches" in ended.err
        assert why in ended.err
    ended = commands.harness_here("run", "--model", "mini/base", "--tasks", "mis:mini", "--wait")
    assert "--wait waits for batches" in ended.err


def test_run_batch_files_are_written_with_the_command_and_their_output_is_collected(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        words = [*world.words("run", "--batch")]
        words[words.index("openai/subject")] = "vllm-server/subject"
        first = commands.harness_here(*words)
        assert first.code == 3, first.err
        [line] = [line for line in first.err.splitlines() if "first: vllm run-batch" in line]
        given = shlex.split(line.partition("first: ")[2])
        assert given[-2:] == ["--model", "subject"]
        assert "subject" not in {call.model for call in world.server.calls}, "no probe of it"
        assert commands.harness_here(*words).code == 3
        answer_file(world, Path(given[3]), Path(given[5]))
        while commands.harness_here(*words).code == 3:
            pass
        live = [*world.words("live")]
        live[live.index("openai/subject")] = "vllm-server/subject"
        assert commands.harness_here(*live, "--no-probe").code == 0
        assert_as_live(world, "run")
        checked = commands.harness_here("verify", tmp_path / "run")
        assert checked.code == 0, checked.out  # files for vLLM have its form, and are no lines of the run


def answer_file(world: World, asked: Path, output: Path) -> None:
    """What vLLM's run-batch does: one output in the order of the input; a failure has an error and no body."""
    lines: list[str] = []
    for line in map(json.loads, asked.read_text().splitlines()):
        reply = world.server.reply_to(json.dumps(line["body"]).encode())
        body = json.loads(reply.body)
        good = reply.status < 300
        response = {"status_code": reply.status, "request_id": "r", "body": body if good else None}
        found = {"id": "vllm-1", "custom_id": line["custom_id"], "response": response, "error": None if good else body}
        lines.append(json.dumps(found))
    output.write_text("\n".join(lines) + "\n")


# ---- a limit in dollars --------------------------------------------------------------------------------------------


def price(world: World, *, batch: bool = True) -> tuple[object, ...]:
    """Options with prices of the model and the judge: a batch at half the live price."""
    rates = "input: 2, output: 8, source: https://example.org, date: 2026-11-30"
    half = ", batch: {input: 1, output: 4}" if batch else ""
    names = [f"{world.vendor.scheme}/{name}: {{{rates}{half}}}" for name in ("subject", "judge")]
    (world.folder / "harness.yaml").write_text("prices: {" + ", ".join(names) + "}")
    return ("--config", world.folder / "harness.yaml", "--no-probe")


def find_bounds(folder: Path) -> list[float]:
    """The most that each request may cost, as the run folder has it."""
    lines = [line for path in folder.glob(".batches/*.ids") for line in path.read_text().splitlines()]
    return [float(line.split()[1]) for line in lines]


@every_vendor
@pytest.mark.parametrize("fate", ["torn", "garbled"])
def test_an_answer_that_cannot_be_read_is_no_cost_and_its_most_is_unanswered(
    vendor: Vendor, fate: str, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        prices = price(world)
        assert world.finish("whole", *prices)[-1] == 0
        whole = json.loads((tmp_path / "whole" / "results.json").read_text())["usage"]
        world.server.batches.clear()
        spoilt: dict[str, str] = {}

        def spoil(name: str, body: bytes) -> Any:
            asked = re.sub(rb"\b[0-9a-f]{16}\b", b"", body).decode()
            if asked not in spoilt.values() and len(spoilt) < 2 and b"subject" in body:
                spoilt[name] = asked
                return fate
            return "answered"

        world.server.fate = spoil
        assert world.finish("run", *prices, most=20)[-1] == 0
        usage = json.loads((tmp_path / "run" / "results.json").read_text())["usage"]
        bounds = dict(
            line.split() for path in (tmp_path / "run").glob(".batches/*.ids") for line in path.read_text().splitlines()
        )
        assert len(spoilt) == 2
        assert usage["cost_usd"] == pytest.approx(whole["cost_usd"])
        assert "unanswered_usd" not in whole
        assert usage["unanswered_usd"] == pytest.approx(sum(float(bounds[name]) for name in spoilt), rel=1e-3)
        run = RunFolder(tmp_path / "run")
        file = run.load_run()
        spent = count_spent(run, file, PriceBook(read_prices(file.prices["own"], "")))
        assert float(spent) == pytest.approx(usage["cost_usd"] + usage["unanswered_usd"]), "each is counted once"


@every_vendor
def test_a_limit_in_dollars_submits_what_fits_and_a_larger_one_goes_on_to_the_end(
    vendor: Vendor, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        prices = price(world)
        if vendor.scheme == "anthropic":  # else the first requests may cost tokens for thinking that later ones do not
            prices = (*prices, "-M", "thinking=off", "-J", "thinking=off")
        assert world.finish("free", *prices)[-1] == 0
        assert world.server.batches
        most = max(find_bounds(tmp_path / "free"))
        cost = json.loads((tmp_path / "free" / "results.json").read_text())["usage"]["cost_usd"]
        assert 0 < cost < sum(find_bounds(tmp_path / "free"))
        world.server.batches.clear()
        world.server.paid.clear()

        first = commands.harness_here(*world.words("run", *prices, "--batch", "--max-usd", f"{3.5 * most:.6f}"))
        assert first.code == 3, first.err
        assert "pending: 1 batch with " in first.err
        assert "requests not submitted: stopped by --max-usd" in first.err
        [batch] = world.server.batches.values()
        assert 3 <= len(batch.requests) < 12
        world.server.looks = 10
        assert sum(find_bounds(tmp_path / "run")) <= 3.5 * most

        held = commands.harness_here(*world.words("run", *prices, "--batch", "--max-usd", f"{3.5 * most:.6f}"))
        assert held.code == 3
        assert len(world.server.batches) == 1, "an open batch of an earlier command counts"
        world.server.looks = 0
        limit = f"{most + cost / 2:.6f}"
        ended = commands.harness_here(*world.words("run", *prices, "--batch", "--wait", "--max-usd", limit))
        assert ended.code == 3
        assert "pending: " not in ended.err
        assert f"stopped by --max-usd {limit.rstrip('0')}: $" in ended.err
        assert "the same command with a larger --max-usd continues" in ended.err
        assert "this is a bug" not in ended.err
        spent = [each.get("spent_usd", 0) for each in read_history(tmp_path / "run")]
        assert sum(spent) <= float(limit)
        again = commands.harness_here(*world.words("run", *prices, "--batch", "--max-usd", limit))
        assert again.code == 3
        assert "of it in earlier commands" in again.err

        assert world.finish("run", *prices, "--max-usd", "10", "--wait") == [0]
        assert max(world.server.paid.values()) == 1
        assert json.loads((tmp_path / "run" / "results.json").read_text())["usage"]["cost_usd"] == pytest.approx(cost)


def read_history(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "run.json").read_text())["history"])


def test_waiting_submits_more_as_batches_leave_dollars_and_ends_when_none_is_left(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        prices = price(world)
        assert world.finish("free", *prices, "--wait") == [0]
        most = max(find_bounds(tmp_path / "free"))
        cost = json.loads((tmp_path / "free" / "results.json").read_text())["usage"]["cost_usd"]
        world.server.batches.clear()
        ended = commands.harness_here(
            *world.words("run", *prices, "--batch", "--wait", "--max-usd", f"{2 * most + cost:.6f}")
        )
        assert ended.code == 0, ended.err
        assert len(world.server.batches) > 2, "it was cut by what fits"
        ended = commands.harness_here(*world.words("poor", *prices, "--batch", "--wait", "--max-usd", f"{most:.6f}"))
        assert ended.code == 3
        assert "stopped by --max-usd" in ended.err


def test_each_answer_of_a_strategy_is_counted_once_though_each_walk_reads_it_again(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        world.finish("run", *price(world), "--max-usd", "10", "--strategy", "ecso")
        cost = json.loads((tmp_path / "run" / "results.json").read_text())["usage"]["cost_usd"]
        assert sum(each.get("spent_usd", 0) for each in read_history(tmp_path / "run")) == pytest.approx(cost)


def test_a_limit_without_batch_rates_is_refused_with_the_line_to_write(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        ended = commands.harness_here(*world.words("run", *price(world, batch=False), "--batch", "--max-usd", 1))
        assert ended.code == 2
        assert "--max-usd 1 cannot be kept: your price of openai/subject has no batch rates" in ended.err
        assert "batch: {input: …, output: …}" in ended.err
        assert not world.server.batches


# ---- cancelling ------------------------------------------------------------------------------------------------------


@every_vendor
def test_cancelled_batches_end_at_the_vendor_and_the_command_asks_again_what_they_had_not_answered(
    vendor: Vendor, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        world.server.looks = 100
        assert commands.harness_here(*world.words("run", "--batch")).code == 3
        [batch] = world.server.batches.values()
        listed = json.loads(commands.harness_here("batches", tmp_path / "run", "--json").out)["batch"]
        ended = commands.harness_here("batches", tmp_path / "run", "--cancel", listed)
        assert ended.code == 0, ended.err
        assert batch.cancelled
        assert f"{listed} ({vendor.scheme}/subject): " in ended.out + ended.err
        assert "it asks for the rest in new batches" in ended.out + ended.err
        world.server.looks = 0
        assert world.finish("run")[-1] == 0
        assert len(world.server.batches) == 3
        assert max(world.server.paid.values()) == 1
        assert_as_live(world, "run")
        ended = commands.harness_here("batches", tmp_path / "run", "--cancel")
        assert (ended.code, "no batch of this run is open" in ended.out + ended.err) == (0, True)


def test_all_open_batches_of_models_and_judges_are_cancelled_and_each_that_is_not_is_named(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        seen = Counter[str]()

        def expire(name: str, _: bytes) -> Any:
            seen[name] += 1
            return "expired" if seen[name] == 1 and int(name[0], 16) < 8 else "answered"

        world.server.fate = expire
        while len(world.server.batches) < 3:  # answers, the rest of them, and verdicts
            assert commands.harness_here(*world.words("run", "--batch")).code == 3
        folder = tmp_path / "run"
        unknown = commands.harness_here("batches", folder, "--cancel", "batch_77")
        assert unknown.code == 2
        assert "'batch_77' is not an open batch of this run" in unknown.err
        assert "open are: batch_2, batch_3" in unknown.err
        refused = commands.harness_here("batches", folder, "batch_2")
        assert "add --cancel" in refused.err
        del world.server.batches["batch_2"]
        ended = commands.harness_here("batches", folder, "--cancel", "--json")
        assert ended.code == 2
        first, second = map(json.loads, ended.out.splitlines())
        assert (first["batch"], "No such object" in first["why"]) == ("batch_2", True)
        assert (second["batch"], second["said"], second["why"]) == ("batch_3", "cancelled", "")
        assert {first["model"], second["model"]} == {"openai/subject", "openai/judge"}


# ---- kill -9 -------------------------------------------------------------------------------------------------------


@every_vendor
@pytest.mark.parametrize(
    ("step", "time"),
    [("create", 1), ("poll", 1), ("download", 1), ("create", 2), ("download", 2)],
    ids=["while it is made", "while it is open", "while it is collected", "between rounds", "the last answers"],
)
def test_a_command_killed_at_any_step_loses_no_answer_and_pays_for_none_twice(
    vendor: Vendor, step: str, time: int, tmp_path: Path
) -> None:
    with opened(vendor, tmp_path) as world:
        kill_at(world, step, time)
        world.finish("run")
        assert world.server.steps.count("create") == 2, "no batch was made twice"
        assert max(times for times in world.server.paid.values()) <= 2, "a probe, at most, was asked again"
        assert_as_live(world, "run")


def test_a_command_killed_before_the_batch_is_made_asks_anew(tmp_path: Path) -> None:
    with opened(OPENAI, tmp_path) as world:
        kill_at(world, "upload", 1)
        assert not world.server.batches
        world.finish("run")
        assert len(world.server.batches) == 2
        assert_as_live(world, "run")


def kill_at(world: World, step: str, time: int, *more: object) -> None:
    """Give the command in processes of their own, and kill the one that reaches a step for the given time."""
    process: list[subprocess.Popen[str]] = []

    def kill(name: str) -> None:
        if name == step and world.server.steps.count(step) == time:
            process[-1].send_signal(signal.SIGKILL)
            process[-1].wait(PATIENCE)

    world.server.hook = kill
    for _ in range(8):
        words = map(str, world.words("run", "--batch", *more))
        command = [sys.executable, "-c", BOOT, *words]
        process.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        )
        process[-1].communicate(timeout=PATIENCE)
        if process[-1].returncode == -signal.SIGKILL:
            break
        assert process[-1].returncode == 3
    else:
        raise AssertionError("it was never killed")
    world.server.hook = lambda _: None
