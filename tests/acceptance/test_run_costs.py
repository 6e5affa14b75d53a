"""A run through the vendor's SDK against a local server whose tokens are known: its dollars are those of the hand."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.runs.costs import count_spent, open_book
from harness.runs.state import find_state
from harness.store.folder import RunFolder
from harness.testing.faults import Reply, json_reply
from harness.testing.server import Call, ChatServer
from tests.acceptance import plays
from tests.acceptance.commands import Ended, harness_here

CONFIG = """
prices:
  openai/subject:
    {input: 2.5, output: 10, cache_read: 1.25, source: https://example.org/prices, date: 2026-11-30}
  openai/judge:
    {input: 0.4, output: 1.6, source: https://example.org/prices, date: 2026-11-30}
"""
MODEL = {"prompt_tokens": 1500, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 1000}}
JUDGE = {"prompt_tokens": 900, "completion_tokens": 20}
ONE_ANSWER = (500 * 2.5 + 1000 * 1.25 + 300 * 10) / 1e6
NOT_CACHED = (1500 * 2.5 + 300 * 10) / 1e6  #: the same answer without a cache
ONE_VERDICT = (900 * 0.4 + 20 * 1.6) / 1e6
LIMIT = 12
ANSWERS = 12  #: of mis:mini with the limit below


def bill(call: Call) -> Reply:
    """An answer, or a verdict on one, with its tokens."""
    said: Any = '{"reasoning": "ok", "label": "refused"}' if call.model == "judge" else "No. I cannot help."
    if plays.is_probe(call):
        said = "A red circle, then a blue square."
    message = {"role": "assistant", "content": said}
    usage = JUDGE if call.model == "judge" else MODEL
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": f"{call.model}-2026-01-01",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": usage,
        }
    )


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(bill) as playing:
        yield playing


def run(server: ChatServer, folder: Path, *words: object) -> Ended:
    (folder / "harness.yaml").write_text(CONFIG)
    return harness_here(
        "run", "--model", "openai/subject", "-M", f"base_url={server.base_url}", "--tasks", "mis:mini",
        "--limit", LIMIT, "--config", folder / "harness.yaml", "--output", folder / "run", *words,
    )  # fmt: skip


def test_the_dollars_of_answers_and_verdicts_are_those_of_the_hand(server: ChatServer, tmp_path: Path) -> None:
    judged = ("--judge", "mis=openai/judge", "-J", f"base_url={server.base_url}")
    ended = run(server, tmp_path, *judged, "--json")
    assert ended.code in (0, 3), ended.err
    usage = json.loads(ended.out)["usage"]
    (judge,) = usage["judges"].values()
    assert (usage["model"]["calls"], usage["model"]["cache_read_tokens"]) == (ANSWERS, 1000 * ANSWERS)
    assert usage["model"]["cost_usd"] == pytest.approx(ANSWERS * ONE_ANSWER)
    assert judge["cost_usd"] == pytest.approx(judge["calls"] * ONE_VERDICT)
    assert usage["cost_usd"] == pytest.approx(ANSWERS * ONE_ANSWER + judge["calls"] * ONE_VERDICT)
    assert usage["usd_per_1000_samples"] == pytest.approx(1000 * usage["cost_usd"] / ANSWERS)
    assert set(usage["prices"]["own"]) == {"openai/subject", "openai/judge"}
    assert harness_here("verify", tmp_path / "run").code == 0


def test_a_limit_in_dollars_ends_the_command_with_3_and_a_sentence_and_the_same_command_goes_on(
    server: ChatServer, tmp_path: Path
) -> None:
    ended = run(server, tmp_path, "--max-usd", "0.02", "--no-probe", "--concurrency", "1")
    assert ended.code == 3, ended.err
    assert "stopped by --max-usd 0.02: $" in ended.err
    assert "the same command with a larger --max-usd continues" in ended.err
    state = find_state(tmp_path / "run")
    assert (state.name, state.why[:28]) == ("incomplete", "stopped by --max-usd 0.02: $"), "a stop is no failure"
    assert "this is a bug" not in ended.err
    first = len(server.calls)
    assert 1 <= first < ANSWERS
    assert first * ONE_ANSWER < 0.02
    ended = run(server, tmp_path, "--max-usd", "1", "--no-probe")
    assert ended.code == 0, ended.err
    assert len(server.calls) == ANSWERS


def test_the_verdicts_of_a_killed_command_count_in_what_its_folder_has_cost(tmp_path: Path) -> None:
    folder, copy = tmp_path / "run", tmp_path / "killed"

    def play(call: Call) -> Reply:
        if call.model == "judge" and not plays.is_probe(call):  # as it lies there when a kill comes
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
        return bill(call)

    with ChatServer(play) as server:
        judged = ("--judge", "mis=openai/judge", "-J", f"base_url={server.base_url}", "--phases", "sequential")
        assert run(server, tmp_path, *judged, "--concurrency", "1").code in (0, 3)
    killed = RunFolder(copy)
    assert killed.load_run().judges == {}
    (path,) = copy.glob("*/verdicts-mis-*.jsonl")
    calls = sum(json.loads(line)["usage"]["input_tokens"] for line in path.read_text().splitlines()) / 900
    assert calls > 1
    options = Options(model=ModelSpec(ref="openai/subject"), tasks=("mis",))
    spent = count_spent(killed, killed.load_run(), open_book(options, killed.run))
    assert float(spent) == pytest.approx(ANSWERS * ONE_ANSWER + calls * ONE_VERDICT)
    sellers = RunFolder(folder).load_run().prices["sellers"]
    assert not any("ref" in each for each in sellers.values())  # the judges' cards say it in the end


def test_a_limit_with_an_unknown_price_is_refused_with_the_line_to_write(server: ChatServer, tmp_path: Path) -> None:
    ended = run(server, tmp_path, "--max-usd", "1", "--judge", "mis=openai/nope")
    assert ended.code == 2
    assert "--max-usd 1 cannot be kept: genai-prices" in ended.err
    assert "prices: {openai/nope: {input: …, output: …, source: https://…, date: 2026-11-30}}" in ended.err
    assert not server.calls


def test_a_price_without_its_source_is_refused_with_its_place(server: ChatServer, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("prices: {openai/x: {input: 1, output: 2, date: 2026-11-30}}")
    ended = harness_here("run", "--model", "openai/x", "--tasks", "mis:mini", "--config", config)
    assert ended.code == 2
    assert "a price needs its source" in ended.err
    assert "prices.openai/x" in ended.err


def test_calls_a_minute_bound_an_endpoint_from_the_first_call(server: ChatServer, tmp_path: Path) -> None:
    ended = run(server, tmp_path, "--no-probe", "--rpm", "600")
    assert ended.code == 0, ended.err
    starts = sorted(call.at for call in server.calls)
    assert len(starts) == ANSWERS
    assert starts[-1] - starts[0] > 0.06 * (ANSWERS - 1)  # 0.1 s each, and the first may arrive late


def test_every_report_says_what_the_run_cost(server: ChatServer, tmp_path: Path) -> None:
    ended = run(server, tmp_path)
    assert ended.code == 0, ended.err
    whole, each = f"${ANSWERS * ONE_ANSWER:.3f}", f"${1000 * ONE_ANSWER:.2f} for 1,000 answers"
    line = f"cost: {whole} · {each} · prices of your own"
    assert line in ended.out
    assert line.replace("cost", "cost of openai/subject", 1) in harness_here("report", tmp_path / "run").out
    for form in ("markdown", "html"):
        assert whole in harness_here("report", tmp_path / "run", "--format", form).out
    rows = list(csv.DictReader(io.StringIO(harness_here("report", tmp_path / "run", "--format", "csv").out)))
    assert float(rows[0]["usd_per_1000_samples"]) == pytest.approx(1000 * ONE_ANSWER)
    assert float(rows[0]["cost_usd"]) == pytest.approx(ANSWERS * ONE_ANSWER)


def test_a_dry_run_after_a_few_answers_says_what_the_rest_will_cost(server: ChatServer, tmp_path: Path) -> None:
    assert run(server, tmp_path).code == 0
    words = ("--limit", ANSWERS + 8, "--dry-run")
    (load,) = json.loads(run(server, tmp_path, *words, "--json").out)
    left = load["samples"] - ANSWERS
    assert (load["stored"], load["forecast"]["calls"]) == (ANSWERS, [left, left])
    assert load["forecast"]["usd"] == pytest.approx([left * ONE_ANSWER, left * NOT_CACHED])
    ended = run(server, tmp_path, *words)
    assert ended.code == 0, ended.err
    assert f"in all: ${left * ONE_ANSWER:.2f} to ${left * NOT_CACHED:.2f}" in ended.out
    assert f"rests on {ANSWERS} earlier answers of this model to mis:mini" in ended.out


def test_a_dry_run_says_when_the_limit_cannot_suffice(server: ChatServer, tmp_path: Path) -> None:
    ended = run(server, tmp_path, "--max-usd", "0.0001", "--dry-run")
    assert ended.code == 3, ended.err
    assert "--max-usd 0.0001 is below the least that this can cost ($" in ended.err
    assert "): the run would stop" in ended.err
    assert run(server, tmp_path, "--max-usd", "50", "--dry-run").code == 0
    assert run(server, tmp_path).code == 0
    words = ("--limit", ANSWERS + 8, "--max-usd", "0.08", "--dry-run", "--json")
    ended = run(server, tmp_path, *words)
    assert ended.code == 3
    assert "that it has cost already): the run would stop" in ended.err


def test_stored_verdicts_are_not_foreseen_again(server: ChatServer, tmp_path: Path) -> None:
    words = ("--judge", "mis=openai/judge", "-J", f"base_url={server.base_url}")
    assert run(server, tmp_path, *words).code in (0, 3)
    _, judge = json.loads(run(server, tmp_path, *words, "--limit", ANSWERS + 8, "--dry-run", "--json").out)
    left = judge["samples"] - ANSWERS
    assert judge["forecast"]["calls"] == [left, left]
    assert judge["forecast"]["rests_on"] == f"{ANSWERS} earlier verdicts of this judge on mis:mini"
